"""Estimates are repeated between two of them, for the faces that are known and for a moment only."""

import numpy as np
import pytest

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.estimates import EmotionPrediction, FaceEstimate
from facial_emotion_ros.perception.face_stream import FoundFaces
from facial_emotion_ros.pipeline.estimate_interval import EstimateInterval


def found(*ids, x=0.0):
    """Return faces at a place."""
    boxes = np.full((len(ids), 4), (x, 0, x + 9, 9), np.float32)
    return FoundFaces(list(ids), boxes, np.full(len(ids), x / 100), np.full((len(ids), 5, 2), x, np.float32))


def estimate_of(valence):
    raw = EmotionPrediction('happy', dict.fromkeys(EMOTIONS, 0.125), valence, 0.0, 0.125, 1.0)
    return FaceEstimate('', (0, 0, 9, 9), 0.5, np.zeros((5, 2)), rejection_reasons=('cut',), raw=raw, **vars(raw))


def test_the_last_estimate_is_repeated_at_the_new_place():
    interval = EstimateInterval(3)
    assert [interval.is_due(['a'], number / 30) for number in range(4)] == [True, False, False, True]
    interval.remember(['a'], [estimate_of(0.5)])
    for number in (1, 2):
        (face,) = interval.repeated(found('a', x=10.0 * number))
        assert face.box == (10 * number, 0, 10 * number + 9, 9) and face.box_score == number / 10
        assert face.landmarks[0, 0] == 10 * number
        assert (face.raw.valence, face.rejection_reasons) == (0.5, ('cut',))


@pytest.mark.parametrize(
    'ids, stamp_s, is_due',
    [('a', 0.02, False), ('', 0.02, False), ('ab', 0.02, True), ('b', 0.02, True), ('a', 0.3, True), ('a', -0.1, True)],
)
def test_faces_are_estimated_when_one_is_new_or_time_has_passed_or_gone_back(ids, stamp_s, is_due):
    interval = EstimateInterval(100)
    assert interval.is_due(['a'], 0.0) and not interval.is_due(['a'], 0.01)
    assert interval.is_due(list(ids), stamp_s) == is_due
    interval.begin_anew()
    assert interval.is_due(['a'], 0.03)


@pytest.mark.parametrize('every_n', [0, 1.5, True])
def test_a_number_of_images_that_is_none_is_refused(every_n):
    with pytest.raises(BadParameter, match='every n-th image'):
        EstimateInterval(every_n)
