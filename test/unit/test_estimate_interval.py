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
    assert interval.repeated(found('a'), 0.0) is None
    interval.remember(['a'], [estimate_of(0.5)], 0.0)
    for number in (1, 2):
        (face,) = interval.repeated(found('a', x=10.0 * number), number / 30)
        assert face.box == (10 * number, 0, 10 * number + 9, 9) and face.box_score == number / 10
        assert face.landmarks[0, 0] == 10 * number
        assert (face.raw.valence, face.rejection_reasons) == (0.5, ('cut',))
    assert interval.repeated(found('a'), 0.1) is None  # the third image's turn


@pytest.mark.parametrize(
    'faces, stamp_s', [(found('a', 'b'), 0.01), (found('b'), 0.01), (found('a'), 0.3), (found('a'), -0.1)]
)
def test_faces_are_estimated_when_one_is_new_or_time_has_passed_or_gone_back(faces, stamp_s):
    interval = EstimateInterval(100)
    interval.remember(['a'], [estimate_of(0.5)], 0.0)
    assert interval.repeated(found('a'), 0.01) and interval.repeated(faces, stamp_s) is None
    interval.forget()
    assert interval.repeated(found('a'), 0.01) is None


@pytest.mark.parametrize('every_n', [0, 1.5, True])
def test_a_number_of_images_that_is_none_is_refused(every_n):
    with pytest.raises(BadParameter, match='every n-th image'):
        EstimateInterval(every_n)
