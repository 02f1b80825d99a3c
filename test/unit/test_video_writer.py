"""The annotated film: it plays at the stream's speed, whatever the encoder, and is whole or absent."""

import os
import subprocess

import cv2
import numpy as np
import pytest
from small_disk import small_disk

from facial_emotion_ros.demo import h264, video_writer
from facial_emotion_ros.demo.h264 import h264_program
from facial_emotion_ros.demo.sample_video import SampleVideo
from facial_emotion_ros.demo.video_writer import ENCODERS, AnnotatedVideo


def frame(value, width=64, height=48):
    """Make a gray frame."""
    return np.full((height, width, 3), value, np.uint8)


def film_of(folder, count, **options):
    """Begin a film at 10 frames a second, each a little brighter."""
    film = AnnotatedVideo(str(folder), **options)
    for number in range(count):
        film.add(frame(number), number / 10)
    return film


def played(path):
    """Read a film: frames per second, and each frame's brightness."""
    capture = cv2.VideoCapture(path)
    levels = []
    while True:
        good, image = capture.read()
        if not good:
            return capture.get(cv2.CAP_PROP_FPS), levels
        levels.append(int(np.median(image)))


@pytest.mark.parametrize('suffix, encoder', ENCODERS)
def test_film_has_the_streams_speed_when_written(tmp_path, suffix, encoder):
    if encoder == 'h264' and not h264_program():
        pytest.skip('there is no ffmpeg with libx264: pip install imageio-ffmpeg')
    film = AnnotatedVideo(str(tmp_path), encoders=[(suffix, encoder)])
    for number in range(24):
        film.add(frame(number * 10), 100.0 + number / 8)
        assert not (tmp_path / ('annotated' + suffix)).exists(), 'not before it is whole'
    name = film.close()
    if name != 'annotated' + suffix:
        pytest.skip('this OpenCV has no encoder for %s' % suffix)
    rate, levels = played(str(tmp_path / name))
    assert os.listdir(str(tmp_path)) == [name]
    assert rate == pytest.approx(8.0, abs=0.1) and len(levels) == 24
    assert np.abs(np.array(levels) - np.arange(24) * 10).max() <= 6


@pytest.mark.parametrize(
    'stamps, count',
    [
        ([0.1 * n for n in range(12)] + [1.6, 1.7], 18),  # a gap is filled by the frame before or after it
        ([0.1 * n for n in range(12)] + [500.0, 500.1], 14),  # a long one is cut
        ([0.1 * n for n in range(12)] + [0.2, 0.3], 14),  # a clock that went back
        ([5.0] * 12, 12),
        ([3.0], 1),
        ([3.0, 3.1], 2),
    ],
)
def test_every_moment_is_shown_when_the_stream_stutters(tmp_path, stamps, count):
    film = AnnotatedVideo(str(tmp_path), encoders=())
    for stamp_s in stamps:
        film.add(frame(90), stamp_s)
    name = film.close()
    assert name == 'annotated'
    files = sorted(os.listdir(str(tmp_path / name)))
    assert abs(len(files) - count) <= (11 if len(set(stamps)) == 1 and len(stamps) > 1 else 0)
    assert files[0] == '000001.jpg' and cv2.imread(str(tmp_path / name / files[0])).shape == (48, 64, 3)


@pytest.mark.parametrize('encoders', [ENCODERS, ()])
def test_a_film_is_written_when_its_folder_has_a_name_that_is_not_utf_8(tmp_path, encoders):
    folder = os.fsdecode(os.fsencode(str(tmp_path)) + b'/caf\xe9')
    os.mkdir(folder)
    assert film_of(folder, 1, encoders=encoders).close() == os.listdir(folder)[0]
    # Others may open files in this process meanwhile.
    opened = [os.path.realpath('/proc/self/fd/' + number) for number in os.listdir('/proc/self/fd')]
    assert not [path for path in opened if path.startswith(os.path.realpath(folder))]


def test_frame_is_fitted_when_the_size_changes(tmp_path):
    film = AnnotatedVideo(str(tmp_path), encoders=())
    for number in range(12):
        film.add(frame(200, width=64 if number < 6 else 30), number / 10)
    film.close()
    assert {cv2.imread(str(path)).shape for path in (tmp_path / 'annotated').iterdir()} == {(48, 64, 3)}


def test_nothing_is_written_when_there_was_no_frame(tmp_path):
    assert AnnotatedVideo(str(tmp_path)).close() == ''
    assert os.listdir(str(tmp_path)) == []


def test_former_film_is_replaced_when_written_again(tmp_path):
    for value in (10, 250):
        film = AnnotatedVideo(str(tmp_path), encoders=())
        film.add(frame(value), 0.0)
        film.close()
    assert cv2.imread(str(tmp_path / 'annotated' / '000001.jpg')).mean() > 200


needs_h264 = pytest.mark.skipif(
    not h264_program(), reason='there is no ffmpeg with libx264: pip install imageio-ffmpeg'
)


@needs_h264
@pytest.mark.parametrize('width, height', [(64, 48), (65, 47)])
def test_film_is_what_browsers_play_when_ffmpeg_is_there(tmp_path, width, height):
    contents = []
    for name in ('one', 'two'):
        film = AnnotatedVideo(str(tmp_path), name)
        for number in range(15):
            film.add(frame(number * 16, width, height), number / 10)
        assert film.close() == name + '.mp4' and film.note == ''
        contents.append((tmp_path / (name + '.mp4')).read_bytes())
    assert contents[0] == contents[1]
    told = subprocess.run(
        [h264_program(), '-hide_banner', '-i', str(tmp_path / 'one.mp4')],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ).stderr
    assert b'Video: h264' in told and b'yuv420p' in told
    assert contents[0].index(b'moov') < contents[0].index(b'mdat'), 'it begins to play before all of it is there'


@needs_h264
def test_the_video_has_the_same_bytes_when_its_encoder_s_memory_held_others(tmp_path, monkeypatch):
    video, contents = SampleVideo(320, 240), set()
    for fill in ('0', '1', '165'):
        monkeypatch.setenv('MALLOC_PERTURB_', fill)  # glibc fills memory with it that a program gets
        film = AnnotatedVideo(str(tmp_path))
        for number in range(6):
            film.add(video.frame(number / 10), number / 10)
        contents.add((tmp_path / film.close()).read_bytes())
    assert len(contents) == 1


def test_one_sentence_says_what_to_do_when_there_is_no_h264(tmp_path, monkeypatch):
    monkeypatch.setattr(h264, '_packaged', lambda: None)
    monkeypatch.setenv('PATH', str(tmp_path))
    h264_program.cache_clear()
    try:
        film = film_of(tmp_path, 1)
        assert film.close() in ('annotated.mp4', 'annotated.avi', 'annotated')
        assert film.note == video_writer.NO_H264 and 'imageio-ffmpeg' in film.note
    finally:
        h264_program.cache_clear()


@needs_h264
def test_nothing_is_left_when_a_film_is_given_up_or_its_encoder_dies(tmp_path):
    film_of(tmp_path, 12).discard()
    assert os.listdir(str(tmp_path)) == []
    film = film_of(tmp_path, 12)
    film._writer._process.kill()
    with pytest.raises(OSError, match='ffmpeg could not write the video'):
        film.close()
    film.discard()
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize('encoders', [[pair] for pair in ENCODERS] + [[]])
def test_the_disk_is_named_when_it_takes_no_more(tmp_path, encoders):
    if encoders == [('.mp4', 'h264')] and not h264_program():
        pytest.skip('there is no ffmpeg with libx264: pip install imageio-ffmpeg')
    noise = np.random.RandomState(3)
    with small_disk(tmp_path / 'disk', 64) as disk:
        film = AnnotatedVideo(str(disk.path), encoders=encoders)
        with pytest.raises(OSError, match='full|No space'):
            for number in range(40):
                film.add(noise.randint(0, 255, (240, 320, 3)).astype(np.uint8), number / 10)
            film.close()
        film.discard()
        assert os.listdir(str(disk.path)) == []


def test_a_folder_of_another_s_stays_when_a_film_of_pictures_has_its_name(tmp_path):
    (tmp_path / 'annotated').mkdir()
    (tmp_path / 'annotated' / 'holiday.jpg').write_text('mine')
    film = film_of(tmp_path, 1, encoders=())
    with pytest.raises(OSError, match='contains other files'):
        film.close()
    film.discard()
    assert os.listdir(str(tmp_path)) == ['annotated'] and (tmp_path / 'annotated' / 'holiday.jpg').exists()
