"""What is detected ahead is what the finder will ask for."""

import numpy as np
import pytest

from facial_emotion_ros.recordings.evaluation.image_flow import DetectionTurns
from facial_emotion_ros.recordings.io.frames import Frame


def frame_of(number, rate_hz=30.0, camera='eye'):
    return Frame(camera, number, round(1e9 * number / rate_hz), 0, '', np.zeros(1), '', 0, 0)


def due(turns, numbers, rate_hz=30.0, camera='eye'):
    """List the images in which faces are detected ahead."""
    frames = [frame_of(number, rate_hz, camera) for number in numbers]
    return [frame.number for frame in frames if turns.is_due(frame, turns.interval(frame))]


@pytest.mark.parametrize(
    'every_n, rate_hz, step', [(1, 30.0, 1), (2, 30.0, 2), (4, 30.0, 4), (5, 10.0, 3), (5, 1.0, 1)]
)
def test_the_turns_are_the_finder_s(every_n, rate_hz, step):
    # `step`: after 0.25 s the finder detects anyhow.
    assert due(DetectionTurns(every_n), range(1, 13), rate_hz)[1:] == list(range(1, 13))[step::step]


def test_turns_follow_the_finder_when_it_detected_out_of_turn_and_cameras_have_their_own():
    turns = DetectionTurns(2)
    assert due(turns, range(4)) == [0, 2] and due(turns, range(1, 4), camera='other') == [1, 3]
    turns.follow(frame_of(2), False)
    turns.follow(frame_of(3), True)
    assert due(turns, range(4, 9)) == [5, 7] and due(turns, range(4, 7), camera='other') == [5]
