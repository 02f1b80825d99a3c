"""Films, and recordings whose images are coded as video: each frame comes at its time, and no loss is silent."""

import csv
import io
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest
from in_process import models_opened_once

from facial_emotion_ros.cli import evaluate_recording
from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.demo.h264 import h264_program
from facial_emotion_ros.demo.sample_video import SampleVideo
from facial_emotion_ros.recordings.batch.recording_discovery import bags_among, find_bags, name_of
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.film_file import TOPIC
from facial_emotion_ros.recordings.io.frames import read_frames
from facial_emotion_ros.recordings.io.message_types import (
    COMPRESSED_IMAGE,
    COMPRESSED_VIDEO,
    FFMPEG_PACKET,
    IMAGE,
    THEORA,
    header,
    make,
    make_image,
)
from facial_emotion_ros.recordings.io.writer import BagWriter

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')

MS = Fraction(1, 1000)
LOSSLESS = {'.mkv': ('ffv1', 'bgr0', {}), '.mp4': ('libx264rgb', 'bgr24', {'crf': '0'})}
LOSSLESS.update(
    {'.mov': LOSSLESS['.mp4'], '.avi': LOSSLESS['.mkv'], '.webm': ('libvpx-vp9', 'gbrp', {'lossless': '1'})}
)

#: A film of variable rate: times of its frames in ms, and their pictures.
TIMES_MS = [0, 40, 80, 400, 1000, 1010]
NOISE = [np.random.default_rng(each).integers(0, 256, (48, 64, 3), np.uint8) for each in TIMES_MS]

#: A stream: each image is brighter than the one before.
STREAM = [np.full((48, 64, 3), 20 * number, np.uint8) for number in range(10)]


def write_film(path, images, times_ms, rotation=0, junk_ms=None):
    """Write a film whose frames are decoded to what they were, and a packet that holds none; return its path."""
    codec, pixels, options = LOSSLESS[path.suffix.lower()]
    with av.open(str(path), 'w') as film:
        film.metadata['creation_time'] = '2026-01-02T03:04:05Z'
        stream = film.add_stream(codec, rate=30, options=options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = pixels, MS
        if rotation:
            stream.set_display_rotation(rotation)
        for image, time_ms in zip(images, times_ms):
            frame = av.VideoFrame.from_ndarray(image, format='bgr24')
            frame.pts, frame.time_base = time_ms, MS
            film.mux(stream.encode(frame))
            if time_ms == junk_ms:
                junk = av.Packet(b'junk' * 9)
                junk.stream, junk.pts, junk.dts, junk.time_base = stream, time_ms + 10, time_ms + 10, MS
                film.mux(junk)
        film.mux(stream.encode(None))
    return str(path)


def frames_of(path):
    """Read all images of a recording; return them with what was damaged."""
    with BagFile(path) as bag:
        return list(read_frames(bag, bag.cameras())), bag.faults


@pytest.mark.parametrize('suffix, rotation', [('.mkv', 0), ('.MOV', 0), ('.avi', 0), ('.webm', 0), ('.mp4', 90)])
def test_every_frame_has_its_own_time_and_stands_upright_when_a_film_is_read(tmp_path, suffix, rotation):
    found, faults = frames_of(write_film(tmp_path / ('film' + suffix), NOISE, TIMES_MS, rotation))
    begin_ns = 0 if suffix == '.avi' else 1767323045 * 10**9  # 2026-01-02 03:04:05
    assert [(frame.stamp_ns - begin_ns) / 1e6 for frame in found] == TIMES_MS and faults == []
    assert [(frame.camera, frame.number) for frame in found] == [(TOPIC, number) for number in range(6)]
    for frame, image in zip(found, NOISE):
        np.testing.assert_array_equal(frame.image, np.rot90(image) if rotation else image)


def test_a_film_and_a_recording_of_the_same_images_give_the_same_rows(tmp_path):
    sample = SampleVideo(320, 240)
    images, times_ms = [sample.frame(each / 10) for each in range(4)], [0, 100, 200, 500]
    films = tmp_path / 'films'
    films.mkdir()
    write_film(films / 'walk.mkv', images, times_ms)
    (films / 'annotated').mkdir()  # is no recording
    with BagWriter(tmp_path / 'bag') as bag:
        for image, time_ms in zip(images, times_ms):
            stamp_ns = 1767323045 * 10**9 + time_ms * 10**6
            bag.add(TOPIC, stamp_ns, make_image(header(stamp_ns), image))
    with models_opened_once():
        assert evaluate_recording.main([str(films), '--output', str(tmp_path / 'film')]) == 0
        assert evaluate_recording.main([str(tmp_path / 'bag'), '--output', str(tmp_path / 'out')]) == 0
    of_film, of_bag = ((tmp_path / each / 'frames.csv').read_text() for each in ('film', 'out'))
    assert of_film == of_bag and len(list(csv.DictReader(io.StringIO(of_film)))) >= 4


def test_films_of_a_folder_are_found_and_those_that_are_results_are_not(tmp_path):
    assert bags_among(['a.mp4', 'b/c.MKV', 'b/d.txt', 'ride/ride_0.mcap', 'ride/metadata.yaml', 'ride/x.mp4']) == [
        'a.mp4',
        'b/c.MKV',
        'ride',
    ]
    assert name_of('/films/my film.webm') == 'my_film'
    for name in ('a.mp4', 'annotated.mp4', 'annotated_front.mp4', 'summary.json', 'frames.csv'):
        (tmp_path / name).touch()
    assert find_bags([str(tmp_path)], without=str(tmp_path)) == [str(tmp_path / 'a.mp4')]


def test_one_image_is_lost_and_the_others_read_when_a_packet_of_a_film_is_damaged(tmp_path):
    found, faults = frames_of(write_film(tmp_path / 'film.mkv', NOISE, TIMES_MS, junk_ms=80))
    assert [frame.image is None for frame in found] == [False] * 3 + [True] + [False] * 3 and faults == []
    assert 'damaged' in found[3].fault and [frame.stamp_ns // 10**6 % 1000 for frame in found[4:]] == [400, 0, 10]


def test_the_rest_is_read_and_the_loss_is_said_when_a_film_was_cut(tmp_path):
    whole = open(write_film(tmp_path / 'whole.mkv', NOISE * 2, [*TIMES_MS, *(each + 2000 for each in TIMES_MS)]), 'rb')
    with whole, open(tmp_path / 'cut.mkv', 'wb') as cut:
        cut.write(whole.read()[: 40 * 1024])
    found, (fault,) = frames_of(str(tmp_path / 'cut.mkv'))
    assert 1 < len(found) < 12 and 'cut.mkv: cannot be read beyond' in fault and 'the video is truncated' in fault


@pytest.mark.parametrize('name, said', [('film.mp4', 'may be truncated'), ('sound.mkv', 'holds no video')])
def test_one_sentence_says_what_is_wrong_when_a_film_cannot_be_read(tmp_path, name, said):
    path = tmp_path / name
    path.write_bytes(b'no film' * 99)
    if name == 'sound.mkv':
        with av.open(str(path), 'w') as film:
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), 's16', 'mono')
            sound.sample_rate = 8000
            film.mux(film.add_stream('pcm_s16le', rate=8000, layout='mono').encode(sound))
    with pytest.raises(BadBag, match=said), BagFile(path):
        pass


def test_what_to_install_is_said_once_when_a_package_is_missing(tmp_path, monkeypatch, capsys):
    write_stream(tmp_path / 'bag', packets_of('libx264'), 'h264')
    (tmp_path / 'film.mp4').write_bytes(b'film')
    for missing, name in (('av', 'film.mp4'), ('av', 'bag'), ('scipy', 'bag')):
        monkeypatch.setitem(sys.modules, missing, None)
        assert evaluate_recording.main([str(tmp_path / name), '--output', str(tmp_path / 'out')]) == 1
        told = capsys.readouterr().err
        assert missing in told and told.count('pip install') == 1, told


# Packets of a video in a recording


def packets_of(codec, **options):
    """Encode STREAM; return (packet, number of its image)."""
    encoder = av.CodecContext.create(codec, 'w')
    encoder.width, encoder.height, encoder.pix_fmt = 64, 48, 'yuv420p'
    encoder.time_base, encoder.framerate = Fraction(1, 30), 30
    encoder.options = {'preset': 'ultrafast', 'crf': '4', **options}
    found = []
    for number, image in enumerate(STREAM):
        frame = av.VideoFrame.from_ndarray(image, format='bgr24')
        frame.pts = number
        found += encoder.encode(frame)
    return [(bytes(each), each.pts) for each in [*found, *encoder.encode(None)]]


def theora_packets():
    """Encode STREAM as Theora, which PyAV cannot; return its three headers, and packets as of packets_of."""
    program = h264_program()
    if not program:
        pytest.skip('there is no ffmpeg: pip install imageio-ffmpeg')
    words = '-loglevel error -f rawvideo -pix_fmt bgr24 -s 64x48 -r 30 -i - -c:v libtheora -q:v 10 -f ogg -'.split()
    ran = subprocess.run([program, *words], input=np.stack(STREAM).tobytes(), stdout=subprocess.PIPE)
    if ran.returncode:
        pytest.skip('ffmpeg has no encoder of Theora')
    with av.open(io.BytesIO(ran.stdout)) as film:
        rest, headers = bytes(film.streams.video[0].codec_context.extradata), []
        while len(headers) < 3:
            end = 2 + int.from_bytes(rest[:2], 'big')
            headers, rest = [*headers, rest[2:end]], rest[end:]
        packets = [bytes(packet) for packet in film.demux(film.streams.video[0]) if packet.size]
    return [(each, 0) for each in headers] + [(each, number) for number, each in enumerate(packets)]


def write_stream(path, packets, format, msgtype=FFMPEG_PACKET):
    """Write packets as messages, each with the stamp of its image in s; return the path."""
    with BagWriter(path) as bag:
        for place, (packet, number) in enumerate(packets):
            head, fields = header(10**18 + number * 10**9, 'front'), {'data': np.frombuffer(packet, np.uint8)}
            if msgtype == COMPRESSED_VIDEO:
                fields.update(timestamp=head.stamp, frame_id='front', format=format)
            else:
                fields.update({'header': head}, **({'encoding' if msgtype == FFMPEG_PACKET else 'format': format}))
            if msgtype == THEORA:
                del fields['format']
            bag.add('/camera/coded', 10**18 + place, make(msgtype, **fields))
    return path


@pytest.mark.parametrize(
    'codec, options, format, msgtype',
    [
        ('libx264', {'tune': 'zerolatency'}, 'h264;yuv420p;bgr8;bgr8', FFMPEG_PACKET),
        ('libx264', {'bf': '2', 'preset': 'medium'}, 'libx264', FFMPEG_PACKET),  # images in another order than packets
        ('libx264', {}, 'h264', COMPRESSED_IMAGE),
        ('libx265', {'x265-params': 'log-level=none'}, 'h265', COMPRESSED_VIDEO),
        ('theora', {}, '', THEORA),
    ],
)
def test_images_come_with_their_stamps_when_a_recording_holds_packets_of_a_video(
    tmp_path, codec, options, format, msgtype
):
    packets = theora_packets() if codec == 'theora' else packets_of(codec, **options)
    found, faults = frames_of(write_stream(tmp_path / 'bag', packets, format, msgtype))
    assert [(frame.stamp_ns - 10**18) / 10**9 for frame in found] == [frame.number for frame in found] == [*range(10)]
    assert {(frame.fault, frame.damage, frame.frame_id) for frame in found} == {('', '', 'front')} and faults == []
    for frame, image in zip(found, STREAM):
        assert frame.image.shape == image.shape and abs(frame.image.mean() - image.mean()) < 4


def test_packets_without_an_image_are_counted_and_the_others_read_when_a_recording_begins_amid_a_stream(tmp_path):
    packets = packets_of('libx264', tune='zerolatency', g='5')[2:]
    packets[5:5] = [(b'junk' * 9, 7), (b'', 7)]
    found, _ = frames_of(write_stream(tmp_path / 'bag', packets, 'h264'))
    assert [frame.image is None for frame in found] == [True] * 3 + [False] * 2 + [True] * 2 + [False] * 3
    assert 'precedes the first key frame' in found[0].fault and [frame.number for frame in found] == list(range(10))


def test_the_way_out_is_named_when_a_codec_is_not_read(tmp_path):
    found, _ = frames_of(write_stream(tmp_path / 'bag', packets_of('libx264')[:1], 'dirac'))
    assert "got 'dirac'; record the raw or JPEG topic instead" in found[0].fault
    found, _ = frames_of(write_stream(tmp_path / 'headless', [(b'\x10' * 60, 0)], '', THEORA))
    assert 'three Theora header packets' in found[0].fault


def test_one_transport_of_each_camera_is_read_when_several_are_recorded(tmp_path):
    topics = {
        '/a/image': IMAGE,
        '/a/image/ffmpeg': FFMPEG_PACKET,
        '/b/image/theora': THEORA,
        '/b/image/compressed': COMPRESSED_IMAGE,
        '/c/image/ffmpeg': FFMPEG_PACKET,
        '/video': COMPRESSED_VIDEO,
    }
    with BagWriter(tmp_path / 'bag') as bag:
        for topic, msgtype in topics.items():
            bag.add(topic, 1, make(msgtype))
    with BagFile(tmp_path / 'bag') as bag:
        assert bag.cameras() == ['/a/image', '/b/image/compressed', '/c/image/ffmpeg', '/video']
