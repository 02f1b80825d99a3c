"""Image in, estimates out, with the embedded bundles."""

import csv
import os

import cv2
import numpy as np
import pytest
from places import PORTRAITS, SAMPLES

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadImage, BadModel, BadParameter
from facial_emotion_ros.emotion.quality_gate import QualityGate
from facial_emotion_ros.perception.face_stream import FaceFinder
from facial_emotion_ros.perception.face_tracker import FaceTracker, face_id
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

#: Opens in a fifth of the time.
INT8 = 'esr_9_ferplus_int8'


@pytest.fixture(scope='module')
def pipeline():
    """Return a pipeline of the embedded bundles."""
    return EmotionPipeline()


@pytest.fixture(autouse=True)
def forget(pipeline):
    """Let no test see the faces of another."""
    yield
    pipeline.reset()


def sample(name):
    """Return one of the committed portraits, BGR."""
    image = cv2.imread(os.path.join(SAMPLES, name))
    assert image is not None, name
    return image


def portraits():
    """Return (file, expressions) of the labelled photographs beside the checkout; [] where they are absent."""
    labels = os.path.join(PORTRAITS, 'labels.csv')
    if not os.path.exists(labels):
        return []
    with open(labels, newline='') as file:
        return [
            (row['file'], [word for word in row['expressions_left_to_right'].split(';') if word])
            for row in csv.DictReader(file)
        ]


needs_portraits = pytest.mark.skipif(
    not portraits(), reason='the labelled photographs (shared/portraits beside the checkout) are absent'
)


def test_the_astronaut_is_one_happy_face(pipeline):
    image = sample('astronaut.jpg')
    faces = pipeline.estimate(image)
    assert [face.emotion for face in faces] == ['happy']
    face = faces[0]
    assert list(face.scores) == list(EMOTIONS)
    assert sum(face.scores.values()) == pytest.approx(1, abs=1e-5)
    assert face.confidence == face.scores['happy'] == max(face.scores.values())
    assert face.valence > 0.2
    assert -1 <= face.arousal <= 1 and 0 < face.agreement <= 1 and 0 < face.box_score <= 1
    x0, y0, x1, y1 = face.box
    assert 0 <= x0 < x1 <= image.shape[1] and 0 <= y0 < y1 <= image.shape[0]
    eyes = face.landmarks[:2]
    assert (eyes[:, 0] > x0).all() and (eyes[:, 0] < x1).all() and (eyes[:, 1] < (y0 + y1) / 2 + 10).all()
    assert face.face_id == ''
    assert face in faces and face not in pipeline.estimate(image), 'estimates are compared by identity'


def test_a_single_picture_is_not_smoothed(pipeline):
    (face,) = pipeline.estimate(sample('vice_president.jpg'))
    assert face.rejection_reasons == ()
    assert {name: getattr(face, name) for name in vars(face.raw)} == vars(face.raw)
    assert set(vars(face.raw)) == {'emotion', 'scores', 'valence', 'arousal', 'confidence', 'agreement'}


def test_every_face_is_estimated_when_there_are_several(pipeline):
    small = [cv2.resize(sample(name), (320, 400)) for name in ('astronaut.jpg', 'president.jpg', 'vice_president.jpg')]
    faces = pipeline.estimate(np.hstack(small))
    assert len(faces) == 3
    areas = [(face.box[2] - face.box[0]) * (face.box[3] - face.box[1]) for face in faces]
    assert areas == sorted(areas, reverse=True)
    assert sorted(int((face.box[0] + face.box[2]) / 2 // 320) for face in faces) == [0, 1, 2]


def test_only_the_largest_faces_are_estimated_when_their_number_is_bounded():
    image = np.hstack([sample('astronaut.jpg'), cv2.resize(sample('astronaut.jpg'), None, fx=0.5, fy=0.5).repeat(2, 0)])
    assert len(EmotionPipeline(INT8, max_faces=1).estimate(image)) == 1


def test_only_faces_that_are_read_are_tracked_when_their_number_is_bounded(pipeline):
    small = cv2.resize(sample('president.jpg'), (320, 400))
    # The largest face stands last, where the detector's order does not help.
    image = np.hstack([small, np.zeros((400, 40, 3), np.uint8), cv2.resize(sample('astronaut.jpg'), (400, 400))])
    assert len(pipeline.estimate(image)) == 2
    bounded = EmotionPipeline(INT8, max_faces=1)
    ids = [face.face_id for stamp_s in (0.0, 0.1) for face in bounded.estimate(image, stamp_s)]
    assert len(ids) == 2 and set(ids) == set(bounded.tracker.live_ids) and len(bounded.tracker.live_ids) == 1


@pytest.mark.parametrize(
    'image',
    [
        np.zeros((480, 640, 3), np.uint8),
        np.full((1, 1, 3), 255, np.uint8),
        np.full((33, 700, 3), 128, np.uint8),
    ],
)
def test_a_picture_without_a_face_gives_an_empty_list(pipeline, image):
    assert pipeline.estimate(image) == []


def test_a_face_keeps_its_id_when_it_moves_from_frame_to_frame(pipeline):
    image = sample('astronaut.jpg')
    seen = [pipeline.estimate(np.roll(image, 6 * step, axis=1), stamp_s=step / 15) for step in range(4)]
    assert {len(faces) for faces in seen} == {1}
    face_ids = {faces[0].face_id for faces in seen}
    assert len(face_ids) == 1
    face_id = face_ids.pop()
    assert len(face_id) == 5 and face_id.isalpha() and face_id.islower()


def test_a_stream_is_smoothed_and_its_raw_readings_are_those_of_pictures(pipeline):
    astronaut, president = (cv2.resize(sample(name), (400, 400)) for name in ('astronaut.jpg', 'president.jpg'))
    mixed = cv2.addWeighted(astronaut, 0.75, president, 0.25, 0)
    seen = [pipeline.estimate(image, step / 15)[0] for step, image in enumerate([astronaut] * 4 + [mixed])]
    assert len({face.face_id for face in seen}) == 1
    alone = pipeline.estimate(mixed)[0]
    assert seen[-1].raw == alone.raw and alone.scores == alone.raw.scores
    for emotion in EMOTIONS:
        low, high = sorted([seen[0].scores[emotion], alone.scores[emotion]])
        assert low - 1e-6 <= seen[-1].scores[emotion] <= high + 1e-6
    assert seen[-1].scores != seen[-1].raw.scores and sum(seen[-1].scores.values()) == pytest.approx(1)


def test_a_face_is_unknown_with_the_reason_when_it_is_cut(pipeline):
    half = np.ascontiguousarray(sample('astronaut.jpg')[:, 215:])
    for stamp_s in (None, 0.0, 0.1):
        (face,) = pipeline.estimate(half, stamp_s)
        assert (face.emotion, face.raw.emotion, face.rejection_reasons) == ('unknown', 'unknown', ('cut',))
        assert face.confidence == pytest.approx(max(face.scores.values())) and sum(face.scores.values()) > 0.99


def test_quality_gate_and_smoothing_can_be_replaced_and_turned_off_between_images(pipeline):
    half = np.ascontiguousarray(sample('astronaut.jpg')[:, 215:])
    try:
        pipeline.quality_gate = QualityGate(enabled=False)
        assert pipeline.estimate(half)[0].emotion in EMOTIONS
        pipeline.smoothing.adjust(False, 0.25, 0.3, 0.2)
        face = [pipeline.estimate(image, step / 15)[0] for step, image in enumerate([sample('astronaut.jpg'), half])][1]
        assert vars(face.raw) == {name: getattr(face, name) for name in vars(face.raw)}
    finally:
        pipeline.quality_gate = None
        pipeline.smoothing.adjust(True, 0.25, 0.3, 0.2)


def test_scores_and_bounds_are_another_operating_point_s_from_the_next_image_on(pipeline):
    image = sample('vice_president.jpg')
    try:
        (balanced,) = pipeline.estimate(image, 1.0)
        bound = pipeline.engine.point.min_confidence
        pipeline.reuse_below = 64.0
        pipeline.estimate(image, 1.1)
        pipeline.use_operating_point('ferplus')
        (trained,) = pipeline.estimate(image, 1.2)
        assert trained.raw.scores != balanced.raw.scores and trained.raw.valence == balanced.raw.valence
        assert pipeline.quality_gate.min_confidence == 0.45 and pipeline.engine.point.name == 'ferplus'
        with pytest.raises(BadParameter, match='balanced, ferplus'):
            pipeline.use_operating_point('nobody')
        assert pipeline.engine.point.name == 'ferplus'
        pipeline.use_operating_point('', '0 0 1 0 0 0 0 0')
        (sad,) = pipeline.estimate(image, 1.3)
        assert sad.raw.scores['sad'] == 1 and sad.raw.agreement == 1
    finally:
        pipeline.reuse_below = 0.0
        pipeline.use_operating_point()
    (again,) = pipeline.estimate(image, 1.4)
    assert again.raw.scores == balanced.raw.scores and pipeline.quality_gate.min_confidence == bound != 0.45


@pytest.mark.parametrize(
    'arguments, words',
    [
        ({'operating_point': 'nobody'}, 'nobody'),
        ({'prior': '1 2'}, 'eight'),
        ({'reuse_below': float('nan')}, 'got nan'),
        ({'reuse_below': -1}, 'got -1'),
    ],
)
def test_a_pipeline_is_refused_when_an_argument_is_out_of_range(arguments, words):
    with pytest.raises(BadParameter, match=words):
        EmotionPipeline(INT8, **arguments)


@pytest.mark.parametrize('part', ['tracker', 'finder'])
def test_estimates_are_smoothed_when_a_part_was_replaced(part):
    pipeline = EmotionPipeline(INT8)
    new = {'tracker': FaceTracker(first_face=5), 'finder': FaceFinder(pipeline.detector, FaceTracker(first_face=5))}
    setattr(pipeline, part, new[part])
    astronaut, president = (cv2.resize(sample(name), (400, 400)) for name in ('astronaut.jpg', 'president.jpg'))
    pipeline.estimate(astronaut, 0.0)
    [face] = pipeline.estimate(cv2.addWeighted(astronaut, 0.75, president, 0.25, 0), 0.05)
    assert face.valence != face.raw.valence and [face.face_id] == pipeline.tracker.live_ids == [face_id(5)]


def settings(pipeline):
    """Return the settings of a pipeline's parts that are numbers."""
    parts = pipeline.tracker, pipeline.finder, pipeline.smoothing, pipeline.quality_gate, pipeline._interval
    return [(name, value) for part in parts for name, value in vars(part).items() if isinstance(value, (int, float))]


def test_another_stream_has_the_same_settings_and_no_faces():
    pipeline = EmotionPipeline(INT8, max_faces=3, tracker=FaceTracker(first_face=7), estimate_every_n=2)
    pipeline.tracker.adjust(2.0, 0.4, 5.0)
    pipeline.smoothing.adjust(False, 1.0, 2.0, 0.3, 60.0)
    pipeline.finder.adjust(4, 0.6)
    fresh = settings(pipeline)
    (face,) = pipeline.estimate(sample('astronaut.jpg'), 1.0)
    other = pipeline.for_another_stream()
    assert settings(other) == fresh and other.tracker.live_ids == [] and len(other.smoothing) == 0
    pipeline.use_operating_point('ferplus')
    assert vars(other.quality_gate) == vars(pipeline.quality_gate), 'the operating point is common'
    assert other.estimate(sample('astronaut.jpg'), 1.0)[0].face_id == face.face_id
    gate = pipeline.quality_gate = QualityGate(enabled=False)
    pipeline.use_operating_point()
    assert pipeline.quality_gate is gate is pipeline.for_another_stream().quality_gate, 'what was set stays'


def test_nothing_is_remembered_of_a_face_when_its_track_ends(pipeline):
    for stamp_s in (0.0, 0.1):
        pipeline.estimate(sample('astronaut.jpg'), stamp_s)
    assert len(pipeline.smoothing) == 1
    pipeline.estimate(np.zeros((512, 512, 3), np.uint8), 5.0)
    assert len(pipeline.smoothing) == 0


def test_a_new_face_gets_a_new_id_when_the_pipeline_was_reset(pipeline):
    image = sample('astronaut.jpg')
    first = pipeline.estimate(image, stamp_s=0.0)[0].face_id
    pipeline.reset()
    assert pipeline.estimate(image, stamp_s=0.1)[0].face_id != first


def test_the_same_image_gives_the_same_answer(pipeline):
    image = sample('vice_president.jpg')
    first, second = pipeline.estimate(image), pipeline.estimate(image)
    assert [face.scores for face in first] == [face.scores for face in second]


@pytest.mark.parametrize(
    'image, expected',
    [
        (None, BadImage),
        ('picture.jpg', BadImage),
        (np.zeros((480, 640), np.uint8), BadImage),
        (np.zeros((480, 640, 4), np.uint8), BadImage),
        (np.zeros((480, 640, 3), np.float32), BadImage),
        (np.zeros((0, 640, 3), np.uint8), BadImage),
        (np.zeros((3, 480, 640), np.uint8), BadImage),
    ],
)
def test_anything_but_a_bgr_image_is_refused(pipeline, image, expected):
    with pytest.raises(expected, match='expected'):
        pipeline.estimate(image)


@pytest.mark.parametrize(
    'arguments, expected',
    [
        ({'esr': 'no_such_bundle'}, BadModel),
        ({'esr': 'centerface'}, BadModel),
        ({'esr': INT8, 'detector': 'no_such_bundle'}, BadModel),
        ({'esr': INT8, 'detector': INT8}, BadModel),
    ],
)
def test_a_pipeline_is_refused_when_a_bundle_does_not_fit(arguments, expected):
    with pytest.raises(expected):
        EmotionPipeline(**arguments)


@needs_portraits
@pytest.mark.parametrize('name, expressions', portraits())
def test_a_photograph_gives_its_number_of_faces(pipeline, name, expressions):
    assert len(pipeline.estimate(cv2.imread(os.path.join(PORTRAITS, name)))) == len(expressions)


@needs_portraits
def test_a_surprised_face_is_surprised_and_an_angry_one_is_not_happy(pipeline):
    surprised = pipeline.estimate(cv2.imread(os.path.join(PORTRAITS, 'robot_view_surprised.jpg')))
    angry = pipeline.estimate(cv2.imread(os.path.join(PORTRAITS, 'robot_view_angry.jpg')))
    assert [face.emotion for face in surprised] == ['surprise']
    assert len(angry) == 1 and angry[0].emotion != 'happy'
