"""Images of cameras that are mounted sideways or upside down: read upright, answered in their own pixels."""

import os

import cv2
import numpy as np
import pytest
from places import SAMPLES

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.image_rotation import rotated, rotated_boxes, rotated_points
from facial_emotion_ros.pipeline.crop_estimation import estimate_crop
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

TURNS = [90, 180, 270]


@pytest.fixture(scope='module')
def upright():
    """Return a picture that is not square, with a face in its middle: upside down it lies at the same place."""
    return cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg'))[:240, 74:374]


@pytest.fixture(scope='module')
def loaded():
    return EmotionPipeline('esr_9_ferplus_int8', 'centerface_int8')


@pytest.fixture
def pipeline(loaded):
    """Return one for images as they come, which has seen nothing."""
    return loaded.for_another_stream()


def mounted(picture, degrees):
    """Return what a camera sees whose images have to be rotated by so much."""
    return np.ascontiguousarray(rotated(picture, -degrees % 360))


@pytest.mark.parametrize('degrees', TURNS)
def test_places_keep_to_their_pixels_when_an_image_is_rotated(degrees):
    image = np.zeros((40, 60, 3), np.uint8)
    image[5:12, 20:50] = 255
    image[6, 21] = 7
    turned = rotated(image, degrees)
    x, y, width, height = cv2.boundingRect(turned.max(axis=2))
    [box] = rotated_boxes(np.array([[20, 5, 50, 12]]), degrees, (40, 60))
    assert list(box) == [x, y, x + width, y + height]
    column, row = rotated_points(np.array([21.5, 6.5]), degrees, (40, 60))
    assert turned[int(row), int(column), 0] == 7
    assert (rotated(turned, -degrees % 360) == image).all()


@pytest.mark.parametrize('degrees', TURNS)
@pytest.mark.parametrize('stamp_s, ahead', [(None, False), (1.0, False), (1.0, True)])
def test_the_face_is_read_as_upright_and_lies_in_the_image_s_own_pixels(pipeline, upright, degrees, stamp_s, ahead):
    [expected] = pipeline.estimate(upright)
    image = mounted(upright, degrees)
    pipeline.rotate(degrees)
    detected = pipeline.detect(image) if ahead else None
    [found] = pipeline.estimate(image, stamp_s, detected=detected)
    assert found.scores == pytest.approx(expected.scores, abs=1e-4)
    size = upright.shape[:2]
    assert found.box == pytest.approx(rotated_boxes(np.array([expected.box]), -degrees % 360, size)[0], abs=0.01)
    landmarks = rotated_points(expected.landmarks, -degrees % 360, size)
    assert found.landmarks == pytest.approx(landmarks, abs=0.01)
    if ahead:  # to the last bit, for nobody knows whether it is
        [other] = pipeline.for_another_stream().estimate(image, stamp_s)
        assert other.box == found.box and (other.landmarks == found.landmarks).all()


@pytest.mark.parametrize('degrees', TURNS)
def test_the_angle_is_found_when_a_camera_is_mounted_in_another_way(pipeline, upright, degrees):
    [expected] = pipeline.estimate(upright)
    pipeline.rotate(-1)
    [alone] = pipeline.estimate(mounted(upright, degrees))
    assert alone.scores == pytest.approx(expected.scores, abs=1e-4)
    assert pipeline.orientation.degrees == 0, 'a single picture says nothing about others'
    image, angles = mounted(upright, degrees), []
    for stamp_s in (10.0, 11.9, 12.1, 12.2, 12.6, 13.1, 13.2):
        found = pipeline.estimate(image, stamp_s)
        angles.append(pipeline.orientation.degrees)
    when = {180: 2, 90: 4, 270: 5}[degrees]
    assert angles == [0] * when + [degrees] * (7 - when), 'one other angle every half second, after two seconds'
    assert found[0].scores == pytest.approx(expected.scores, abs=0.01)
    assert found[0].box == pytest.approx(alone.box, abs=1.0)
    for stamp_s in (14.0, 16.1, 16.7, 17.3):
        [again] = pipeline.estimate(upright, stamp_s)
    assert pipeline.orientation.degrees == 0 and again.emotion == expected.emotion, 'a hand-held camera turns back'


def test_faces_of_a_picture_are_detected_once_for_each_angle(pipeline, upright, monkeypatch):
    find, angles = pipeline.finder.find_alone, []
    monkeypatch.setattr(pipeline.finder, 'find_alone', lambda image: angles.append(image.shape) or find(image))
    pipeline.rotate(-1)
    assert pipeline.estimate(upright) and len(angles) == 1
    assert pipeline.estimate(mounted(upright, 90)) and len(angles) == 4
    assert not pipeline.estimate(np.zeros_like(upright)) and len(angles) == 8


def test_faces_begin_anew_when_the_angle_has_changed(pipeline, upright, monkeypatch):
    ids = [face.face_id for face in pipeline.estimate(upright, 1.0)]
    pipeline.rotate(180)
    ids += [face.face_id for face in pipeline.estimate(mounted(upright, 180), 1.05)]
    monkeypatch.setattr(pipeline.orientation, 'search', lambda *given: True)
    ids += [face.face_id for face in pipeline.estimate(mounted(upright, 180), 1.1)]
    assert len(set(ids)) == len(ids) == 3


def test_no_other_angle_is_tried_while_a_face_is_upright_or_the_angle_was_given(pipeline, upright, monkeypatch):
    tried = []
    monkeypatch.setattr('facial_emotion_ros.perception.image_rotation.rotated', lambda *given: tried.append(given))
    pipeline.rotate(-1)
    for stamp_s in (1.0, 2.0, 3.5, 5.0):
        assert pipeline.estimate(upright, stamp_s)
    pipeline.rotate(0)
    for stamp_s in (6.0, 9.0, 12.0):
        assert not pipeline.estimate(np.zeros_like(upright), stamp_s)
    assert not tried


@pytest.mark.parametrize('degrees', TURNS)
def test_another_s_crop_is_rotated_too_when_no_face_is_detected_in_it(pipeline, upright, degrees, monkeypatch):
    [whole] = pipeline.estimate(upright)
    x0, y0, x1, y1 = [int(edge) for edge in whole.box]
    monkeypatch.setattr(pipeline, 'estimate', lambda image, until_s: [])
    expected = estimate_crop(pipeline, upright[y0:y1, x0:x1], 'plain', 1.0)
    pipeline.rotate(degrees)
    crop = mounted(upright[y0:y1, x0:x1], degrees)
    found = estimate_crop(pipeline, crop, 'abcde', 1.0)
    assert found.raw.scores == pytest.approx(expected.raw.scores, abs=1e-4)
    assert found.box == (0.0, 0.0, crop.shape[1], crop.shape[0])


def test_streams_of_one_pipeline_search_for_themselves(pipeline):
    pipeline.rotate(-1)
    pipeline.orientation.degrees = 180
    other = pipeline.for_another_stream()
    assert (other.orientation.setting, other.orientation.degrees) == (-1, 0)


@pytest.mark.parametrize('degrees', [45, 360, -90, True, '90', None])
def test_another_angle_is_refused_with_those_that_there_are(pipeline, degrees):
    with pytest.raises(BadParameter, match='0, 90, 180 or 270 degrees, or -1'):
        pipeline.rotate(degrees)
    assert pipeline.orientation.degrees == 0
