"""What is detected ahead is what the finder will ask for."""

import numpy as np
import pytest

from facial_emotion_ros.recordings.evaluation.detection_ahead import DetectionAhead
from facial_emotion_ros.recordings.io.frames import Frame


def detected(ahead, numbers, rate_hz=30.0, camera='eye'):
    """List the images in which faces are detected ahead."""
    frames = [Frame(camera, number, round(1e9 * number / rate_hz), 0, '', np.zeros(1), '', 0, 0) for number in numbers]
    return [frame.number for frame in frames if ahead(frame) is not None]


@pytest.mark.parametrize(
    'every_n, rate_hz, step', [(1, 30.0, 1), (2, 30.0, 2), (4, 30.0, 4), (5, 10.0, 3), (5, 1.0, 1)]
)
def test_the_turns_are_the_finder_s(every_n, rate_hz, step):
    # `step`: after 0.25 s the finder detects anyhow.
    assert (
        detected(DetectionAhead(lambda image: image, every_n), range(1, 13), rate_hz)[1:]
        == list(range(1, 13))[step::step]
    )


def test_turns_follow_the_finder_when_it_detected_out_of_turn_and_cameras_have_their_own():
    ahead = DetectionAhead(lambda image: image, 2)
    assert detected(ahead, range(4)) == [0, 2] and detected(ahead, range(1, 4), camera='other') == [1, 3]
    ahead.follow(Frame('eye', 3, 0, 0, '', None, '', 0, 0))
    assert detected(ahead, range(4, 9)) == [5, 7] and detected(ahead, range(4, 7), camera='other') == [5]
