"""The annotated film: it plays at the stream's speed, whatever the encoder, and is whole or absent."""
import os

import cv2
import numpy as np
import pytest

from facial_emotion_ros.annotated_film import ENCODERS, AnnotatedFilm


def frame(value, width=64, height=48):
    """Make a gray frame."""
    return np.full((height, width, 3), value, np.uint8)


def played(path):
    """Read a film: frames per second, and each frame's brightness."""
    capture = cv2.VideoCapture(path)
    levels = []
    while True:
        good, image = capture.read()
        if not good:
            return capture.get(cv2.CAP_PROP_FPS), levels
        levels.append(int(np.median(image)))


def encoder(suffix):
    """Give one encoder, or skip."""
    [(_, letters)] = [pair for pair in ENCODERS if pair[0] == suffix]
    return [(suffix, letters)]


@pytest.mark.parametrize('suffix', ['.mp4', '.avi'])
def test_film_has_the_streams_speed_when_written(tmp_path, suffix):
    film = AnnotatedFilm(str(tmp_path), encoders=encoder(suffix))
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


@pytest.mark.parametrize('stamps, count', [
    ([0.1 * n for n in range(12)] + [1.6, 1.7], 18),           # a gap is filled by the frame before or after it
    ([0.1 * n for n in range(12)] + [500.0, 500.1], 14),       # a long one is cut
    ([0.1 * n for n in range(12)] + [0.2, 0.3], 14),           # a clock that went back
    ([5.0] * 12, 12), ([3.0], 1), ([3.0, 3.1], 2),
])
def test_every_moment_is_shown_when_the_stream_stutters(tmp_path, stamps, count):
    film = AnnotatedFilm(str(tmp_path), encoders=())
    for stamp_s in stamps:
        film.add(frame(90), stamp_s)
    name = film.close()
    assert name == 'annotated'
    files = sorted(os.listdir(str(tmp_path / name)))
    assert abs(len(files) - count) <= (11 if len(set(stamps)) == 1 and len(stamps) > 1 else 0)
    assert files[0] == '000001.jpg' and cv2.imread(str(tmp_path / name / files[0])).shape == (48, 64, 3)


def test_frame_is_fitted_when_the_size_changes(tmp_path):
    film = AnnotatedFilm(str(tmp_path), encoders=())
    for number in range(12):
        film.add(frame(200, width=64 if number < 6 else 30), number / 10)
    film.close()
    assert {cv2.imread(str(path)).shape for path in (tmp_path / 'annotated').iterdir()} == {(48, 64, 3)}


def test_nothing_is_written_when_there_was_no_frame(tmp_path):
    assert AnnotatedFilm(str(tmp_path)).close() == ''
    assert os.listdir(str(tmp_path)) == []


def test_former_film_is_replaced_when_written_again(tmp_path):
    for value in (10, 250):
        film = AnnotatedFilm(str(tmp_path), encoders=())
        film.add(frame(value), 0.0)
        film.close()
    assert cv2.imread(str(tmp_path / 'annotated' / '000001.jpg')).mean() > 200
