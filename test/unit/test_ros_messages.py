"""Estimates as messages: what is known, what is unknown, and how often that is said."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip('hri_msgs.msg', reason='hri_msgs is not installed: scripts/setup does that')

from hri_msgs.msg import Expression  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from facial_emotion_ros.answer_parts import check_finite  # noqa: E402
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN  # noqa: E402
from facial_emotion_ros.expression_words import UnknownRhythm  # noqa: E402
from facial_emotion_ros.face_estimate import FaceEstimate, Reading  # noqa: E402
from facial_emotion_ros.ros import messages  # noqa: E402


def reading(emotion='happy', **scores):
    """Return a reading whose other scores share what is left."""
    scores = scores or {'happy': 0.6, 'sad': 0.2}
    rest = (1 - sum(scores.values())) / (len(EMOTIONS) - len(scores))
    return Reading(emotion=emotion, scores={each: scores.get(each, rest) for each in EMOTIONS}, valence=0.5,
                   arousal=-0.25, confidence=max(scores.values()), agreement=0.75)


def face(smooth, raw=None, doubts=()):
    """Return an estimate."""
    return FaceEstimate(face_id='abcde', box=(10.0, 20.0, 50.0, 80.0), box_score=0.9, landmarks=np.zeros((5, 2)),
                        doubts=doubts, raw=raw or smooth, **vars(smooth))


def hypotheses(message):
    """Return the hypotheses of the only face."""
    [detection] = message.detections
    return [(row.hypothesis.class_id, row.hypothesis.score) for row in detection.results]


def test_unknown_goes_first_and_all_scores_follow_when_the_emotion_is_unknown():
    estimate = face(reading(UNKNOWN), doubts=('small',))
    found = hypotheses(messages.detections_message(Header(), [estimate]))
    assert found[0] == (UNKNOWN, 0.0) and [name for name, _ in found[1:3]] == ['happy', 'sad'] and len(found) == 9
    word = messages.expression_message(Header(), estimate, 'drop')
    assert (word.expression, word.confidence, word.valence) == ('', 0.0, 0.5)


def test_raw_and_smooth_are_told_apart_when_they_differ():
    estimate = face(reading('happy'), reading(UNKNOWN, anger=0.4, fear=0.3))
    assert hypotheses(messages.detections_message(Header(), [estimate]))[0] == ('happy', pytest.approx(0.6))
    raw = hypotheses(messages.raw_detections_message(Header(), [estimate]))
    assert [name for name, _ in raw[:3]] == [UNKNOWN, 'anger', 'fear']


def test_the_emotion_that_is_told_goes_first_when_another_scores_more_for_a_moment():
    found = hypotheses(messages.detections_message(Header(), [face(reading('sad', happy=0.45, sad=0.4))]))
    assert [name for name, _ in found[:2]] == ['sad', 'happy']


@pytest.mark.parametrize('box, inside', [
    ((10.2, 20.7, 29.1, 40.5), (10, 20, 30, 41)), ((10.0, 20.0, 30.0, 40.0), (10, 20, 30, 40)),
    ((-3.5, -0.1, 9.9, 1000.0), (0, 0, 10, 48)), ((63.9, 47.5, 64.0, 48.0), (63, 47, 64, 48)),
    ((70.0, 60.0, 90.0, 80.0), (63, 47, 64, 48)), ((5.0, 5.0, 5.0, 5.0), (5, 5, 6, 6))])
def test_every_pixel_that_the_box_touches_is_there_when_a_face_is_cropped(box, inside):
    image = np.arange(48 * 64 * 3, dtype=np.uint32).astype(np.uint8).reshape(48, 64, 3)
    x0, y0, x1, y1 = inside
    message = messages.cropped_message(Header(), image, box)
    assert (message.height, message.width, message.step) == (y1 - y0, x1 - x0, 3 * (x1 - x0))
    assert bytes(message.data) == image[y0:y1, x0:x1].tobytes()


@pytest.mark.parametrize('emotion, contempt_as, word', [
    ('sad', 'drop', 'sad'), ('happy', 'drop', 'happy'), ('contempt', 'annoyed', 'annoyed'),
    ('contempt', 'drop', 'happy')])
def test_ros4hris_word_is_that_of_the_emotion_that_is_told_when_another_scores_more(emotion, contempt_as, word):
    estimate = face(reading(emotion, happy=0.4, sad=0.3, contempt=0.2))
    assert messages.expression_message(Header(), estimate, contempt_as).expression == word


@pytest.mark.parametrize('field, value', [('valence', float('nan')), ('arousal', float('inf')),
                                          ('confidence', float('nan')), ('agreement', float('-inf'))])
def test_an_estimate_is_refused_when_a_number_of_either_reading_is_not_finite(field, value):
    bad = dataclasses.replace(reading(), **{field: value})
    for estimate in (face(bad, reading()), face(reading(), bad)):
        with pytest.raises(ValueError, match='abcde'):
            check_finite([face(reading()), estimate])
    check_finite([face(reading())])


def test_the_unknown_is_told_at_once_and_then_once_a_second_when_it_lasts():
    rhythm, unknown, happy = UnknownRhythm(), Expression(), Expression(expression='happy')  # all with one stamp
    told = [step / 10 for step in range(35) if rhythm.lets_through('abcde', unknown, 100 + step / 10)]
    assert told == [0.0, 1.0, 2.0, 3.0]
    assert rhythm.lets_through('other', unknown, 103.4)
    assert all(rhythm.lets_through('abcde', happy, 104 + step / 10) for step in range(5))
    assert rhythm.lets_through('abcde', unknown, 104.5)
    assert not rhythm.lets_through('abcde', unknown, 104.6)
    rhythm.forget('abcde')
    assert rhythm.lets_through('abcde', unknown, 104.7)
