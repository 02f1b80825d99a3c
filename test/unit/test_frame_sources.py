"""Media: what is played as a camera, and how bad input is refused."""

import os
import socket
import struct
import zlib

import cv2
import numpy as np
import pytest
from places import SAMPLES

from facial_emotion_ros.core.errors import BadImage, BadParameter
from facial_emotion_ros.demo.frame_sources import PAUSE_S, open_source
from facial_emotion_ros.perception.image_files import BACKGROUND, fit, read_picture, shrink
from facial_emotion_ros.perception.image_formats import check_picture


def picture(value, width=60, height=40):
    """Make a picture with some detail."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([rows * 3 + value, columns * 2, np.full((height, width), value)]).astype(np.uint8)


def read_all(medium):
    """Read to the end."""
    frames = []
    while True:
        frame = medium.read()
        if frame is None:
            return frames
        frames.append(frame)


@pytest.fixture
def folder(tmp_path):
    """Make a folder with three good pictures, two damaged ones and two files that are none."""
    for value, name in ((10, 'c.png'), (20, 'a.jpg'), (30, 'B.JPEG')):
        cv2.imwrite(str(tmp_path / name.lower()), picture(value))
        os.rename(str(tmp_path / name.lower()), str(tmp_path / name))
    whole = (tmp_path / 'a.jpg').read_bytes()
    (tmp_path / 'cut.jpg').write_bytes(whole[: len(whole) * 2 // 3])
    (tmp_path / 'noise.png').write_bytes(b'\x89PNG\r\n' + bytes(range(256)))
    (tmp_path / 'notes.txt').write_text('no picture')
    (tmp_path / '.hidden.jpg').write_bytes(whole)
    return str(tmp_path)


@pytest.fixture(params=[('.mp4', 'mp4v'), ('.avi', 'MJPG')], ids=['mp4', 'avi'])
def video(request, tmp_path):
    """Make a film of 30 frames at 10 frames per second, whose brightness grows from frame to frame."""
    suffix, letters = request.param
    path = str(tmp_path / ('film' + suffix))
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*letters), 10.0, (64, 48))
    if not writer.isOpened():
        pytest.skip('this OpenCV has no %s encoder' % letters)
    for number in range(30):
        writer.write(np.full((48, 64, 3), number * 8, np.uint8))
    writer.release()
    return path


def test_sample_is_a_stream_when_played():
    frames = read_all(open_source('sample', path=SAMPLES))
    assert len(frames) == 240
    steps = [np.abs(after.image.astype(int) - before.image).mean() for before, after in zip(frames, frames[1:])]
    assert frames[0].image.shape == (480, 640, 3) and frames[0].image.dtype == np.uint8
    assert min(steps) > 0.1, 'it must move all the time'
    assert max(steps) < 60, 'it must have no cut'
    assert np.abs(frames[0].image.astype(int) - frames[-1].image).mean() < 60, 'its end must lead back to its start'


def test_sample_is_the_same_when_played_again():
    medium = open_source('sample', path=SAMPLES, rate_hz=2.0)
    first = read_all(medium)
    medium.rewind()
    again = read_all(medium)
    assert len(first) == len(again) and all(np.array_equal(a.image, b.image) for a, b in zip(first, again))


def test_sample_is_refused_when_a_portrait_is_missing(tmp_path):
    with pytest.raises(BadImage, match='astronaut.jpg'):
        open_source('sample', path=str(tmp_path))


def test_pictures_come_by_name_with_pauses_when_a_folder_is_played(folder):
    medium = open_source('images', path=folder, rate_hz=10.0, seconds_each=0.5, width=120, height=120)
    frames = read_all(medium)
    names = [frame.name for frame in frames]
    pause = [''] * int(round(PAUSE_S * 10))
    assert names == ['B.JPEG'] * 5 + pause + ['a.jpg'] * 5 + pause + ['c.png'] * 5 + pause
    assert all(frame.image.shape == (120, 120, 3) for frame in frames)
    assert (frames[5].image == BACKGROUND).all(), 'a pause shows nothing'
    assert not (frames[0].image[60] == BACKGROUND).all()
    medium.rewind()
    assert [frame.name for frame in read_all(medium)] == names


def test_one_picture_file_is_played_as_a_folder_is(folder):
    medium = open_source('images', path=os.path.join(folder, 'a.jpg'), rate_hz=10.0, seconds_each=0.5)
    assert [frame.name for frame in read_all(medium) if frame.name] == ['a.jpg'] * 5
    with pytest.raises(BadImage, match='cut.jpg'):
        open_source('images', path=os.path.join(folder, 'cut.jpg'))


def test_pause_is_longer_than_a_face_is_remembered():
    from facial_emotion_ros.ros.parameters import TABLE

    [memory_s] = [row.default for row in TABLE if row.name == 'tracker.max_age_s']
    assert PAUSE_S > memory_s + 0.1


def test_damaged_pictures_are_named_when_others_are_good(folder):
    medium = open_source('images', path=folder)
    assert [name for name, _ in medium.skipped] == ['cut.jpg', 'noise.png']
    assert 'cut off' in medium.skipped[0][1]


def test_nothing_is_left_out_in_silence_when_opencv_does_not_read_a_kind(folder):
    for name in ('phone.HEIC', 'camera.dng', 'web.jxl'):
        with open(os.path.join(folder, name), 'wb') as file:
            file.write(b'a picture')
    os.mkfifo(os.path.join(folder, 'pipe.jpg'))
    with open(os.path.join(folder, 'huge.png'), 'wb') as file:
        header = b'IHDR' + struct.pack('>IIBBBBB', 30000, 30000, 8, 2, 0, 0, 0)
        file.write(
            b'\x89PNG\r\n\x1a\n\0\0\0\r'
            + header
            + struct.pack('>I', zlib.crc32(header))
            + bytes.fromhex('0000000049454e44ae426082')
        )
    skipped = dict(open_source('images', path=folder).skipped)
    assert set(skipped) == {'cut.jpg', 'noise.png', 'phone.HEIC', 'camera.dng', 'web.jxl', 'pipe.jpg', 'huge.png'}
    assert skipped['phone.HEIC'] == 'OpenCV does not read .heic files; convert it to JPEG or PNG'
    assert 'pipe or device' in skipped['pipe.jpg'] and '30000 x 30000' in skipped['huge.png']


@pytest.mark.parametrize('suffix', ['jfif', 'jpe', 'webp', 'jp2', 'gif', 'avif', 'tiff', 'bmp', 'ppm'])
def test_a_picture_is_read_or_named_when_its_kind_is_not_common(tmp_path, suffix):
    try:
        coded = cv2.imencode({'jfif': '.jpg'}.get(suffix, '.' + suffix), picture(70))[1].tobytes()
    except cv2.error:  # this OpenCV has none of the kind
        coded = {'gif': b'GIF89a\x09\0\x09\0', 'avif': b'\0\0\0\x14ftypavif\0\0\0\0avif'}[suffix] + bytes(50)
        (tmp_path / 'other.png').write_bytes(cv2.imencode('.png', picture(70))[1].tobytes())
    (tmp_path / ('it.' + suffix)).write_bytes(coded)
    medium = open_source('images', path=str(tmp_path), width=60, height=40)
    if medium.skipped:
        assert medium.skipped[0][0] == 'it.' + suffix and suffix in ('gif', 'avif')
    else:
        shown = medium.read()
        assert shown.name == 'it.' + suffix
        assert np.abs(shown.image.astype(int) - picture(70)).mean() < 20  # GIF has few colours


def test_a_damaged_pnm_file_is_refused_at_once_when_it_has_a_long_gap():
    with pytest.raises(BadImage, match='begins with'):
        check_picture(b'P6' + b' ' * 200 + b'x')


def test_the_size_of_jpeg_2000_is_that_of_its_codestream_when_a_box_before_it_holds_another():
    coded = cv2.imencode('.jp2', picture(70))[1].tobytes()
    codestream = coded.index(b'jp2c') - 4
    decoy = b'\xff\x4f\xff\x51' + struct.pack('>HH4I', 47, 0, 8, 8, 0, 0)
    hidden = coded[:codestream] + struct.pack('>I4s', 8 + len(decoy), b'xml ') + decoy + coded[codestream:]
    assert check_picture(hidden)[:2] == check_picture(coded)[:2] == picture(70).shape[:2]
    with pytest.raises(BadImage, match='damaged header'):
        check_picture(coded[:codestream])


def test_a_picture_is_shown_when_its_name_is_not_utf_8(tmp_path):
    os.mkdir(os.fsencode(str(tmp_path)) + b'/caf\xe9')
    folder = os.fsdecode(os.fsencode(str(tmp_path)) + b'/caf\xe9')
    for name in (b'\xe9t\xe9.png', b'cut\xff\x1b[2J.png'):
        with open(os.fsencode(folder) + b'/' + name, 'wb') as file:
            file.write(cv2.imencode('.png', picture(9))[1].tobytes()[: None if name.startswith(b'\xe9') else -9])
    medium = open_source('images', path=folder)
    assert medium.read().name == r'\xe9t\xe9.png' and medium.skipped[0][0] == r'cut\xff\x1b[2J.png'
    medium.title.encode('ascii')
    with pytest.raises(BadParameter) as refusal:
        open_source('images', path=folder + '/none')
    str(refusal.value).encode('ascii')


@pytest.mark.parametrize('rate_hz, count', [(0.0, 30), (10.0, 30), (5.0, 15), (20.0, 60)])
def test_video_keeps_its_speed_when_the_rate_differs(video, rate_hz, count):
    medium = open_source('video', path=video, rate_hz=rate_hz)
    levels = [int(np.median(frame.image)) for frame in read_all(medium)]
    assert medium.rate_hz == (rate_hz or 10.0)
    assert abs(len(levels) - count) <= 1
    assert all(before <= after + 2 for before, after in zip(levels, levels[1:]))
    assert levels[0] < 12 and levels[-1] > 200
    medium.rewind()
    assert int(np.median(medium.read().image)) == levels[0]
    medium.close()


def test_video_is_scaled_down_when_larger_than_asked(video):
    assert open_source('video', path=video, max_side_px=32).read().image.shape == (24, 32, 3)


def restamped(content, durations):
    """Return an MP4 file whose frames last as long as is given, in units of its own."""
    table = struct.pack('>II', 0, len(durations)) + b''.join(struct.pack('>II', 1, each) for each in durations)
    parts, place = [], 0
    while place < len(content):
        size, kind = struct.unpack_from('>I4s', content, place)
        body = content[place + 8 : place + size]
        if kind in (b'moov', b'trak', b'mdia', b'minf', b'stbl'):
            body = restamped(body, durations)
        elif kind == b'stts':
            body = table
        if kind != b'edts':  # a list of edits would cut off what lasts longer than before
            parts.append(struct.pack('>I4s', len(body) + 8, kind) + body)
        place += size
    return b''.join(parts)


@pytest.mark.parametrize('video', [('.mp4', 'mp4v')], indirect=True)
def test_video_keeps_its_time_when_its_rate_varies(video):
    with open(video, 'rb') as file:
        content = file.read()
    (unit,) = struct.unpack_from('>I', content, content.index(b'stts') + 16)
    with open(video, 'wb') as file:  # ten frames in 1 s, ten in 4 s, ten in 0.5 s
        file.write(restamped(content, [unit] * 10 + [4 * unit] * 10 + [unit // 2] * 10))
    levels = [int(np.median(frame.image)) for frame in read_all(open_source('video', path=video, rate_hz=10.0))]
    assert abs(len(levels) - 56) <= 2
    for at, number in ((0, 0), (5, 5), (10, 10), (26, 14), (46, 19), (52, 24), (54, 28)):
        assert abs(levels[at] - 8 * number) <= 12, (at, levels)


def test_a_film_is_played_when_its_name_is_not_utf_8(video):
    name = os.fsdecode(os.fsencode(os.path.dirname(video)) + b'/caf\xe9' + os.fsencode(os.path.splitext(video)[1]))
    os.rename(video, name)
    medium = open_source('video', path=name)
    assert len(read_all(medium)) == 30 and r'caf\xe9' in medium.title
    medium.rewind()
    medium.close()
    camera = open_source('camera', path=name)
    assert camera.read().image.shape == (48, 64, 3)
    camera.close()


@pytest.mark.skipif(not hasattr(cv2, 'CAP_PROP_OPEN_TIMEOUT_MSEC'), reason='this OpenCV has no time limit for streams')
def test_a_stream_is_given_up_with_fitting_advice_when_its_server_is_silent(monkeypatch):
    if cv2.CAP_FFMPEG not in cv2.videoio_registry.getStreamBackends():
        pytest.skip('this OpenCV was built without FFmpeg')
    monkeypatch.setattr('facial_emotion_ros.demo.frame_sources.STREAM_TIMEOUT_S', 0.5)
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        server.listen(1)
        with pytest.raises(BadImage) as refusal:
            open_source('camera', path='rtsp://user:secret@127.0.0.1:%d/live?pwd=secret' % server.getsockname()[1])
    words = str(refusal.value)
    assert 'camera rtsp://127.0.0.1:' in words and 'in 0.5 s; check that its server runs' in words
    assert '/dev/video' not in words and 'secret' not in words


def test_a_camera_that_is_gone_is_reported(video):
    camera = open_source('camera', path=video)  # to OpenCV a device is a path too
    with pytest.raises(BadImage, match='expected another picture from .*, got none; check that'):
        for _ in range(40):
            assert camera.read().image.shape == (48, 64, 3)
    camera.close()


@pytest.mark.parametrize(
    'kind, make, expected, words',
    [
        ('film', None, BadParameter, "one of sample, images, video, camera, got 'film'"),
        ('images', None, BadParameter, 'name a folder'),
        ('video', None, BadParameter, 'name a file'),
        ('images', lambda path: None, BadParameter, 'does not exist'),
        ('images', lambda path: path.mkdir(), BadImage, 'got none'),
        (
            'images',
            lambda path: (path.mkdir(), (path / 'a.png').write_bytes(b'')),
            BadImage,
            'a.png: expected a picture file, got an empty one',
        ),
        ('video', lambda path: None, BadParameter, 'does not exist'),
        ('video', lambda path: path.mkdir(), BadParameter, 'a folder'),
        ('video', lambda path: path.write_bytes(b'no video' * 100), BadImage, 'gave no frame'),
        ('camera', lambda path: None, BadImage, '/dev/video'),
    ],
)
def test_bad_input_is_refused_when_opened(tmp_path, kind, make, expected, words):
    path = tmp_path / 'input'
    if make is not None:
        make(path)
    with pytest.raises(expected, match=words) as refusal:
        open_source(kind, path='' if make is None else str(path))
    assert 'expected' in str(refusal.value) and 'got' in str(refusal.value) or 'gave' in str(refusal.value)


@pytest.mark.parametrize(
    'content, words',
    [
        (b'', 'empty'),
        (b'\xff\xd8\xff\xda' + b'x' * 50, 'cut off'),
        (b'\x89PNG\r\n\x1a\n' + b'x' * 50, 'cut off'),
        (b'\xff\xd8\xff\xda\0\x0c' + b'x' * 50 + b'\xff\xd9', 'frame header'),
        (b'BM' + b'\xff' * 60, '-1 x 1'),
        (b'BM' + bytes(12) + b'\x28\0\0\0\x09\0\0\0\x09\0\0\0' + bytes(30), 'a damaged one'),
        (b'BM', 'damaged header'),
        (b'\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'HEIC'),
        (b'\0\0\0\x18ftypmp42\0\0\0\0isommp42', 'a video; pass it as one'),
        (b'RIFF\x24\0\0\0AVI LIST', 'a video; pass it as one'),
        (b'\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01', 'a video; pass it as one'),
    ],
)
def test_damaged_picture_is_refused_when_read(tmp_path, content, words):
    path = tmp_path / 'picture'
    path.write_bytes(content)
    with pytest.raises(BadImage, match=words):
        read_picture(str(path))


@pytest.mark.parametrize('width, height', [(640, 480), (1, 500), (500, 1), (3, 2)])
def test_picture_keeps_its_shape_when_fitted(width, height):
    frame = fit(np.full((height, width, 3), 200, np.uint8), 64, 48)
    rows, columns = np.where((frame == 200).all(axis=2))
    assert frame.shape == (48, 64, 3)
    scale = min(64 / width, 48 / height)
    assert abs(np.ptp(columns) + 1 - max(width * scale, 1)) <= 1 and abs(np.ptp(rows) + 1 - max(height * scale, 1)) <= 1


@pytest.mark.parametrize(
    'size, limit, wanted',
    [((40, 60), 0, (40, 60)), ((40, 60), 60, (40, 60)), ((40, 60), 30, (20, 30)), ((1, 400), 100, (1, 100))],
)
def test_image_is_scaled_down_when_larger_than_the_limit(size, limit, wanted):
    assert shrink(np.zeros(size + (3,), np.uint8), limit).shape == wanted + (3,)
