"""Conversion of estimates to messages, with numbers that no model would give."""

import array

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.pipeline import FaceEstimate
from facial_emotion_ros.ros import messages

HEADER = Header(stamp=Time(sec=7, nanosec=8), frame_id='camera')


def estimate(box=(10.0, 20.0, 50.0, 80.0), emotion='happy', **numbers):
    """Return an estimate of one face; `numbers` in place of some."""
    scores = dict.fromkeys(EMOTIONS, 0.05)
    scores[emotion] = 0.65
    fields = {'face_id': 'abcde', 'box': box, 'box_score': 0.9, 'landmarks': np.zeros((5, 2), np.float32),
              'emotion': emotion, 'scores': scores, 'valence': 0.5, 'arousal': -0.25, 'confidence': 0.65,
              'agreement': 1.0}
    fields.update(numbers)
    return FaceEstimate(**fields)


def scores(**given):
    """Return scores in the order of EMOTIONS, 0 where none is given."""
    return {emotion: given.get(emotion, 0.0) for emotion in EMOTIONS}


@pytest.mark.parametrize('given, contempt_as, word, confidence', [
    (scores(happy=0.7, sad=0.3), 'drop', 'happy', 0.7),
    (scores(surprise=1.0), 'drop', 'surprised', 1.0),
    (scores(fear=0.6, anger=0.4), 'drop', 'scared', 0.6),
    (scores(contempt=0.6, sad=0.3, happy=0.1), 'drop', 'sad', 0.75),
    (scores(contempt=0.6, sad=0.3, happy=0.1), 'skeptical', 'skeptical', 0.6),
    (scores(contempt=0.3, disgust=0.3, happy=0.4), 'disgusted', 'disgusted', 0.6),
    (scores(contempt=1.0), 'drop', '', 0.0),
])
def test_the_word_is_a_listed_one_when_contempt_is_or_is_not_the_first(given, contempt_as, word, confidence):
    told = messages.expression_word(given, contempt_as)
    assert told[0] == word and told[1] == pytest.approx(confidence)


@pytest.mark.parametrize('field', ['valence', 'arousal'])
@pytest.mark.parametrize('value, told', [(1.5, 1.0), (-7.0, -1.0), (0.25, 0.25)])
def test_affect_stays_in_its_range_when_a_number_leaves_it(field, value, told):
    face = estimate(**{field: value})
    assert getattr(messages.expression_message(HEADER, face, 'drop'), field) == told
    rows = messages.affect_message(HEADER, [face]).detections[0].results
    assert {row.hypothesis.class_id: row.hypothesis.score for row in rows}[field] == told


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
@pytest.mark.parametrize('spoilt', [
    lambda value: {'valence': value}, lambda value: {'arousal': value}, lambda value: {'agreement': value},
    lambda value: {'box_score': value}, lambda value: {'box': (0.0, 0.0, value, 9.0)},
    lambda value: {'scores': scores(happy=value, sad=0.5)},
])
def test_estimates_are_refused_when_a_number_is_not_finite(value, spoilt):
    messages.check_finite([estimate()])
    with pytest.raises(ValueError, match='expected finite numbers for face abcde'):
        messages.check_finite([estimate(), estimate(**spoilt(value))])


def test_nothing_is_said_of_the_emotion_when_it_is_unknown():
    face = FaceEstimate(**dict(estimate().__dict__, emotion='unknown', confidence=0.0))
    word = messages.expression_message(HEADER, face, 'drop')
    assert (word.expression, word.confidence, word.valence) == ('', 0.0, 0.5)
    first = messages.detections_message(HEADER, [face]).detections[0].results[0].hypothesis
    assert first.class_id == 'unknown'


def test_box_and_region_tell_the_same_place_when_converted():
    face = estimate()
    box = messages.detections_message(HEADER, [face]).detections[0].bbox
    assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y) == (30.0, 50.0, 40.0, 60.0)
    region = messages.roi_message(HEADER, face, height=100, width=200)
    assert [region.xmin, region.ymin, region.xmax, region.ymax] == pytest.approx([0.05, 0.2, 0.25, 0.8])


@pytest.mark.parametrize('box, height, width', [
    ((10.0, 20.0, 50.0, 80.0), 60, 40), ((-5.0, -5.0, 5.0, 5.0), 5, 5), ((90.0, 90.0, 130.0, 130.0), 10, 10),
    ((200.0, 200.0, 300.0, 300.0), 1, 1), ((10.2, 10.2, 10.3, 10.3), 1, 1),
])
def test_the_crop_is_what_the_image_holds_of_the_box_when_cut(box, height, width):
    image = np.arange(100 * 100 * 3, dtype=np.uint32).astype(np.uint8).reshape(100, 100, 3)
    crop = messages.cropped_message(HEADER, image, box)
    assert (crop.height, crop.width, crop.step, crop.encoding) == (height, width, 3 * width, 'bgr8')
    assert isinstance(crop.data, array.array) and len(crop.data) == height * width * 3
    if box[0] == 10.0:
        assert bytes(crop.data) == image[20:80, 10:50].tobytes()
