"""Estimates as messages: what is known, what is unknown, and how often that is said."""

import dataclasses

import numpy as np
import pytest
from std_msgs.msg import Header

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.estimates import EmotionPrediction, FaceEstimate
from facial_emotion_ros.emotion.message_fields import check_finite, emotion_hypotheses
from facial_emotion_ros.ros import messages


def reading(emotion='happy', **scores):
    """Return a reading whose other scores share what is left."""
    scores = scores or {'happy': 0.6, 'sad': 0.2}
    rest = (1 - sum(scores.values())) / (len(EMOTIONS) - len(scores))
    return EmotionPrediction(
        emotion=emotion,
        scores={each: scores.get(each, rest) for each in EMOTIONS},
        valence=0.5,
        arousal=-0.25,
        confidence=max(scores.values()),
        agreement=0.75,
    )


def face(smooth, raw=None, rejection_reasons=()):
    """Return an estimate."""
    return FaceEstimate(
        face_id='abcde',
        box=(10.0, 20.0, 50.0, 80.0),
        box_score=0.9,
        landmarks=np.zeros((5, 2)),
        rejection_reasons=rejection_reasons,
        raw=raw or smooth,
        **vars(smooth),
    )


def hypotheses(message):
    """Return the hypotheses of the only face."""
    [detection] = message.detections
    return [(row.hypothesis.class_id, row.hypothesis.score) for row in detection.results]


def test_unknown_goes_first_and_all_scores_follow_when_the_emotion_is_unknown():
    estimate = face(reading(UNKNOWN), rejection_reasons=('small',))
    found = hypotheses(messages.faces_message(Header(), [estimate], emotion_hypotheses))
    assert found[0] == (UNKNOWN, 0.0) and [name for name, _ in found[1:3]] == ['happy', 'sad'] and len(found) == 9
    word = messages.expression_message(Header(), estimate, 'drop')
    assert (word.expression, word.confidence, word.valence) == ('', 0.0, 0.5)


def test_raw_and_smooth_are_told_apart_when_they_differ():
    estimate = face(reading('happy'), reading(UNKNOWN, anger=0.4, fear=0.3))
    assert hypotheses(messages.faces_message(Header(), [estimate], emotion_hypotheses))[0] == (
        'happy',
        pytest.approx(0.6),
    )
    raw = hypotheses(messages.faces_message(Header(), [estimate], lambda each: emotion_hypotheses(each.raw)))
    assert [name for name, _ in raw[:3]] == [UNKNOWN, 'anger', 'fear']


def test_the_emotion_that_is_told_goes_first_when_another_scores_more_for_a_moment():
    found = hypotheses(
        messages.faces_message(Header(), [face(reading('sad', happy=0.45, sad=0.4))], emotion_hypotheses)
    )
    assert [name for name, _ in found[:2]] == ['sad', 'happy']


@pytest.mark.parametrize(
    'box, inside',
    [
        ((10.2, 20.7, 29.1, 40.5), (10, 20, 30, 41)),
        ((10.0, 20.0, 30.0, 40.0), (10, 20, 30, 40)),
        ((-3.5, -0.1, 9.9, 1000.0), (0, 0, 10, 48)),
        ((63.9, 47.5, 64.0, 48.0), (63, 47, 64, 48)),
        ((70.0, 60.0, 90.0, 80.0), (63, 47, 64, 48)),
        ((5.0, 5.0, 5.0, 5.0), (5, 5, 6, 6)),
    ],
)
def test_every_pixel_that_the_box_touches_is_there_when_a_face_is_cropped(box, inside):
    image = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    x0, y0, x1, y1 = inside
    message = messages.cropped_message(Header(), image, box, (x1 - x0, y1 - y0))
    assert (message.height, message.width, message.step) == (y1 - y0, x1 - x0, 3 * (x1 - x0))
    assert bytes(message.data) == image[y0:y1, x0:x1].tobytes()


@pytest.mark.parametrize(
    'box, size, inside',
    [
        ((10, 8, 30, 48), (128, 128), (32, 0, 96, 128)),
        ((0, 10, 64, 26), (128, 128), (0, 48, 128, 80)),
        ((10, 8, 30, 48), (20, 100), (0, 30, 20, 70)),
        ((0, 0, 64, 48), (32, 16), (5, 0, 26, 16)),
        ((0, 0, 64, 1), (16, 16), (0, 7, 16, 8)),
    ],
)
def test_a_crop_is_scaled_centred_and_padded_with_zeros_when_it_has_other_sides(box, size, inside):
    message = messages.cropped_message(Header(), np.full((48, 64, 3), 200, np.uint8), box, size)
    assert (message.width, message.height, message.step) == size + (3 * size[0],)
    crop, (x0, y0, x1, y1) = np.array(message.data).reshape(size[1], size[0], 3), inside
    assert (crop[y0:y1, x0:x1] == 200).all()
    assert crop.sum() == 3 * 200 * (x1 - x0) * (y1 - y0), 'more than the padding is black, or less'


@pytest.mark.parametrize(
    'emotion, contempt_as, word',
    [
        ('sad', 'drop', 'sad'),
        ('happy', 'drop', 'happy'),
        ('contempt', 'annoyed', 'annoyed'),
        ('contempt', 'drop', 'happy'),
    ],
)
def test_ros4hris_word_is_that_of_the_emotion_that_is_told_when_another_scores_more(emotion, contempt_as, word):
    estimate = face(reading(emotion, happy=0.4, sad=0.3, contempt=0.2))
    assert messages.expression_message(Header(), estimate, contempt_as).expression == word


@pytest.mark.parametrize(
    'field, value',
    [('valence', float('nan')), ('arousal', float('inf')), ('confidence', float('nan')), ('agreement', float('-inf'))],
)
def test_an_estimate_is_refused_when_a_number_of_either_reading_is_not_finite(field, value):
    bad = dataclasses.replace(reading(), **{field: value})
    for estimate in (face(bad, reading()), face(reading(), bad)):
        with pytest.raises(ValueError, match='abcde, got NaN or infinity in (raw.)?%s; ' % field) as refused:
            check_finite([face(reading()), estimate])
        assert 'happy' not in str(refused.value) and 'landmarks' not in str(refused.value), 'what a log must not keep'
    check_finite([face(reading())])
