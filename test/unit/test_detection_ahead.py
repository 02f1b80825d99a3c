"""What is detected ahead is what the finder will ask for."""

import numpy as np
import pytest

from facial_emotion_ros.recordings.evaluation.detection_ahead import DetectionAhead
from facial_emotion_ros.recordings.io.frames import Frame


def frame_of(number, rate_hz=30.0, camera='eye'):
    return Frame(camera, number, round(1e9 * number / rate_hz), 0, '', np.zeros(1), '', 0, 0)


def detected(ahead, numbers, rate_hz=30.0, camera='eye'):
    """List the images in which faces are detected ahead."""
    return [number for number in numbers if ahead(frame_of(number, rate_hz, camera)) is not None]


def busy(every_n, **options):
    """Return one for whose finder images of another camera wait."""
    ahead = DetectionAhead(lambda image: image, every_n, **options)
    detected(ahead, range(3), camera='third')
    return ahead


@pytest.mark.parametrize(
    'every_n, rate_hz, step', [(1, 30.0, 1), (2, 30.0, 2), (4, 30.0, 4), (5, 10.0, 3), (5, 1.0, 1)]
)
def test_the_turns_are_the_finder_s(every_n, rate_hz, step):
    # `step`: after 0.25 s the finder detects anyhow.
    assert detected(busy(every_n), range(1, 13), rate_hz)[1:] == list(range(1, 13))[step::step]


def test_turns_follow_the_finder_when_it_detected_out_of_turn_and_cameras_have_their_own():
    ahead = busy(2)
    assert detected(ahead, range(4)) == [0, 2] and detected(ahead, range(1, 4), camera='other') == [1, 3]
    ahead.follow(frame_of(2), False)
    ahead.follow(frame_of(3), True)
    assert detected(ahead, range(4, 9)) == [5, 7] and detected(ahead, range(4, 7), camera='other') == [5]


def test_detection_is_left_to_the_finder_when_few_images_wait_for_it_and_it_is_alone():
    ahead = DetectionAhead(lambda image: image, 2)
    assert detected(ahead, range(6)) == [4]
    for number in range(6):
        ahead.follow(frame_of(number), number % 2 == 0)
    assert detected(ahead, range(6, 12)) == [10]
    assert detected(busy(2, finders=2), range(4)) == [0, 2]
