"""A face keeps its id by what it looks like, and nobody else gets it: few images, shaking, absence, crowds."""

import functools
import os

import cv2
import numpy as np
import pytest
from places import SAMPLES

from facial_emotion_ros.demo.frame_sources import Sample
from facial_emotion_ros.perception.face_appearance import SIZE, describe
from facial_emotion_ros.perception.face_detector import Faces
from facial_emotion_ros.perception.face_stream import FaceFinder
from facial_emotion_ros.perception.face_tracker import LIKE, SAME, FaceTracker
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline

INT8 = 'esr_9_ferplus_int8'

#: The face's box and landmarks in each picture, as the detector has them.
CAST = {
    'astronaut': ((178, 55, 271, 180), (203, 103, 247, 100, 228, 127, 210, 150, 244, 148)),
    'president': ((343, 130, 505, 356), (398, 212, 472, 216, 441, 253, 393, 291, 457, 296)),
    'vice_president': ((395, 154, 890, 848), (526, 425, 765, 417, 652, 549, 540, 652, 744, 646)),
}


@functools.lru_cache(None)
def portrait(name, side):
    """Return a picture in which the face's box is `side` px high, and box and landmarks in it."""
    box, landmarks = CAST[name]
    scale = side / (box[3] - box[1])
    picture = cv2.imread(os.path.join(SAMPLES, name + '.jpg'))
    picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return picture, np.array(box) * scale, np.array(landmarks).reshape(5, 2) * scale


class Stage:
    """Draws people at places, and is the detector that finds them there."""

    min_score = 0.5

    def __init__(self, max_faces=0, **tracker):
        self.tracker = FaceTracker(**tracker)
        self.finder = FaceFinder(self, self.tracker, max_faces)
        self.faces = None

    def detect(self, _image):
        """Return the faces that were drawn."""
        return self.faces

    def show(self, people, stamp_s, light=1.0):
        """Draw (name, x, y[, side]), later ones in front; return the id of each, '' for none."""
        image = cv2.resize(
            np.random.RandomState(0).randint(60, 160, (6, 8, 3)).astype(np.uint8),
            (640, 480),
            interpolation=cv2.INTER_CUBIC,
        )
        boxes, landmarks = [], []
        for name, x, y, *side in people:
            picture, box, points = portrait(name, *(side or (110,)))
            shift = np.round(np.array([x, y]) - (box[:2] + box[2:]) / 2)
            x0, y0, x1, y1 = (int(edge) for edge in np.concatenate([box[:2] - 5, box[2:] + 5]))
            left, top = (int(edge) for edge in shift)
            image[top + y0 : top + y1, left + x0 : left + x1] = picture[y0:y1, x0:x1]
            boxes.append(box + np.tile(shift, 2))
            landmarks.append(points + shift)
        self.faces = Faces(
            np.array(boxes, np.float32).reshape(-1, 4),
            np.full(len(boxes), 0.9, np.float32),
            np.array(landmarks, np.float32).reshape(-1, 5, 2),
        )
        found = self.finder.find((image * light).astype(np.uint8), stamp_s)
        ids = dict(zip(found.boxes[:, 0].tolist(), found.ids))
        return [ids.get(float(box[0]), '') for box in self.faces.boxes]


def test_the_demo_at_four_images_a_second_has_as_many_ids_as_faces():
    pipeline, film, ids, most = (
        EmotionPipeline(INT8, 'centerface_int8', long_side_px=320, every_n=2),
        Sample(4.0),
        [],
        0,
    )
    for number, frame in enumerate(iter(film.read, None)):
        faces = [face.face_id for face in pipeline.estimate(frame.image, number / 4.0)]
        ids, most = ids + faces, max(most, len(faces))
    assert most == 3 == len(set(ids)) and len(ids) > 180


@pytest.mark.parametrize('shake_px', [30, 100])
def test_ids_stay_when_the_camera_shakes(shake_px):
    stage = Stage()
    first = stage.show([('astronaut', 200, 240), ('president', 300, 240)], 0.0)
    for step in range(1, 12):
        x = 200 + shake_px * (step % 2)
        assert stage.show([('astronaut', x, 240), ('president', x + 100, 240)], step / 15) == first


@pytest.mark.parametrize('rate_hz', [2, 4, 5])
def test_ids_stay_when_two_people_cross_at_few_images_a_second(rate_hz):
    stage, seen = Stage(), {'astronaut': set(), 'president': set()}
    for step in range(int(4 * rate_hz)):
        way = 400 * step / (4 * rate_hz)
        people = [('president', 520 - way, 245), ('astronaut', 120 + way, 240)]
        if abs(400 - 2 * way) < 80:  # the detector sees the one in front
            people = people[1:]
        for (name, *_), face_id in zip(people, stage.show(people, step / rate_hz)):
            seen[name].add(face_id)
    assert [len(ids) for ids in seen.values()] == [1, 1] and seen['astronaut'] != seen['president']


def test_two_people_keep_their_ids_when_they_change_places_between_two_images():
    stage = Stage()
    left, right = stage.show([('astronaut', 200, 240), ('president', 420, 240)], 0.0)
    assert stage.show([('astronaut', 420, 240), ('president', 200, 240)], 0.25) == [left, right]


@pytest.mark.parametrize('away_s, remember_s, returns', [(25, 30, True), (35, 30, False), (3, 0, False)])
def test_a_face_gets_its_id_back_within_the_time_that_it_is_remembered(away_s, remember_s, returns):
    stage = Stage(remember_s=remember_s)
    first = stage.show([('astronaut', 150, 240)], 0.0)
    for second in range(1, away_s):
        assert stage.show([], float(second)) == []
    assert (first[0] in stage.tracker.live_ids) is False
    assert bool(stage.tracker._gone) is returns, 'a description is left, or is not'
    assert (stage.show([('astronaut', 480, 200, 90)], float(away_s), light=0.6) == first) is returns


def test_another_person_gets_a_new_id_in_the_place_of_one_who_left():
    stage = Stage()
    first = stage.show([('astronaut', 300, 240)], 0.0)
    stage.show([], 0.5)
    second = stage.show([('president', 300, 240)], 0.9)
    assert second != first and second[0] and stage.show([('astronaut', 300, 240)], 1.5) == first
    # Nobody who is in sight is somebody who returns.
    assert len(set(stage.show([('astronaut', 150, 240), ('astronaut', 450, 240)], 2.0)) & set(first)) == 1


def test_what_faces_looked_like_is_forgotten_when_the_stream_is_reset():
    stage = Stage()
    first = stage.show([('astronaut', 300, 240)], 0.0)
    stage.finder.reset()
    assert stage.show([('astronaut', 300, 240)], 0.1) != first


def directions(*likeness):
    """Return unit vectors, whose product with the first axis is as given."""
    vectors = np.zeros((len(likeness), SIZE), np.float32)
    vectors[:, 0] = likeness
    vectors[np.arange(len(likeness)), 1 + np.arange(len(likeness))] = np.sqrt(1 - np.square(likeness))
    return vectors


@pytest.mark.parametrize('likeness, returns, waits', [(0.7, True, False), (0.6, False, True), (0.3, False, False)])
def test_a_doubtful_face_is_a_new_one_after_a_second_look(likeness, returns, waits):
    tracker, (known, seen) = FaceTracker(), directions(1.0, likeness)
    look = lambda looks, stamp_s: tracker.update(np.array([[9, 9, 99, 99]]), np.ones(1), stamp_s, 0.5, lambda _: looks)  # noqa: E731
    [first] = look(known, 0.0)
    tracker.update(np.zeros((0, 4)), np.zeros(0), 2.0)
    ids = [look(seen, 5.0 + 0.25 * step)[0] for step in range(5)]
    assert (ids[0] == first) is returns and (ids[0] == '') is waits
    assert ids[3] == ids[4] != '' and (ids[4] == first) is returns


def test_a_doubtful_face_is_published_when_it_moves_and_is_missed_now_and_then():
    tracker, (known, seen) = FaceTracker(), directions(1.0, 0.6)
    tracker.update(np.array([[9, 9, 99, 99]]), np.ones(1), 0.0, 0.5, lambda _: known)
    tracker.update(np.zeros((0, 4)), np.zeros(0), 2.0)
    ids = []
    for step in range(12):
        boxes = np.array([[9, 9, 99, 99]])[: step % 4 != 3] + [30 * step, 0, 30 * step, 0]
        ids += tracker.update(boxes, np.ones(len(boxes)), 5.0 + 0.2 * step, 0.5, lambda _: seen)
    assert ids[0] == '' and ids[-1]


def test_a_crowd_that_hesitates_is_kept_once_however_many_images_show_it():
    tracker, crowd = FaceTracker(), np.array([[90 * (n % 20), 90 * (n // 20)] * 2 for n in range(100)]) + [0, 0, 60, 60]
    tracker.update(np.zeros((0, 4)), np.zeros(0), 0.0)
    enter = lambda stamp_s: tracker.update(crowd, np.ones(100), stamp_s, entering=np.ones(100, bool))  # noqa: E731
    for _ in range(20):
        assert enter(0.1) == [''] * 100 and len(tracker._doubtful) == 100
    assert len(set(enter(0.8))) == 100 and not len(tracker._doubtful)


def test_a_tracked_face_that_is_recognised_elsewhere_needs_no_further_room():
    tracker, (known,) = FaceTracker(), directions(1.0)
    look = lambda x: tracker.update(np.array([[x, 9, x + 90, 99]]), np.ones(1), x / 1000, 0.5, lambda _: known, most=1)  # noqa: E731
    assert look(10) == look(900) != ['']
    # In two boxes, one of them a mirror, it is one face still.
    tracker.update(np.zeros((0, 4)), np.zeros(0), 1.0)
    twice = np.array([[9, 9, 99, 99], [1500, 9, 1590, 99]])
    assert tracker.update(twice, np.array([0.9, 0.8]), 1.5, 0.5, lambda _: known, most=1) == tracker.live_ids + ['']
    # Nor does one that is much larger take its turn then: both would be tracked.
    tracker.update(np.zeros((0, 4)), np.zeros(0), 2.0)
    looks, boxes = [known, -known], np.array([[900, 9, 990, 99], [9, 9, 309, 309]])
    assert tracker.update(boxes, np.ones(2), 2.5, 0.5, looks.__getitem__, most=1) == tracker.live_ids + ['']


def test_nobody_is_taken_for_one_of_two_who_look_alike():
    tracker, (one, other) = FaceTracker(), directions(0.8, 0.8)
    between = (one + other) / np.linalg.norm(one + other)
    boxes = np.array([[0, 0, 90, 90], [300, 0, 390, 90]])
    twins = tracker.update(boxes, np.array([0.9, 0.8]), 0.0, 0.5, [one, other].__getitem__)
    tracker.update(np.zeros((0, 4)), np.zeros(0), 2.0)
    later = [tracker.update(boxes[:1], np.ones(1), stamp_s, 0.5, lambda _: between)[0] for stamp_s in (5.0, 5.7)]
    assert later[0] == '' and later[1] not in twins


def test_ids_stay_and_the_largest_are_tracked_in_a_crowd():
    random, stage_boxes = np.random.RandomState(2), []
    for row in range(10):
        for column in range(20):
            side = random.uniform(40, 50)
            stage_boxes.append([90 * column, 90 * row, 90 * column + side, 90 * row + 1.2 * side])
    tracker, ids = FaceTracker(), set()
    looks = directions(*np.zeros(201))
    describe_rows = lambda rows: lambda row: looks[rows[row]]  # noqa: E731
    for step in range(20):
        boxes = np.array(stage_boxes) + random.normal(0, 2, (200, 4))
        scores = np.where(random.uniform(size=200) < 0.05, 0.0, 0.9)
        rows = np.flatnonzero(scores)
        named = tracker.update(boxes[rows], scores[rows], 0.5 * step, 0.5, describe_rows(rows), most=8)
        assert sum(each != '' for each in named) <= 8 == len(tracker.live_ids)
        ids |= set(named) - {''}
    assert len(ids) == 8
    near = np.concatenate([boxes, [[600, 300, 900, 660]]])
    asked = []
    tracker.update(boxes, np.full(200, 0.9), 9.9, 0.5, lambda row: asked.append(row) or looks[row], most=8)
    assert len(asked) == 8, 'those without a turn need no look while all who have one are in sight'
    named = tracker.update(near, np.full(201, 0.9), 10.0, 0.5, looks.__getitem__, most=8)
    assert named[-1] not in ids | {''} and len(tracker.live_ids) == 8 and len(set(named) & ids) == 7


def test_a_face_looks_the_same_in_other_light_and_a_little_off_and_others_do_not():
    views = {}
    for name in CAST:
        picture, box, landmarks = portrait(name, 110)
        views[name] = describe(picture, box, landmarks)
        dark = (picture * np.linspace(0.3, 0.9, picture.shape[1])[None, :, None]).astype(np.uint8)
        small = cv2.resize(dark, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        shift = 0.1 * (box[2] - box[0])
        for image, scale in ((dark, 1.0), (small, 0.5)):
            assert views[name].dot(describe(image, scale * (box + shift), scale * landmarks)) > SAME
    for name in CAST:
        assert all(views[name].dot(views[other]) < LIKE for other in CAST if other != name)


def test_a_face_without_contrast_is_like_no_other_and_finite():
    box, landmarks = np.array([10.0, 10.0, 60.0, 70.0]), np.full((5, 2), np.nan)
    flat = describe(np.full((80, 80, 3), 7, np.uint8), box, landmarks)
    astronaut = describe(*portrait('astronaut', 110))
    assert flat.shape == (SIZE,) and flat.dot(astronaut) == flat.dot(flat) == 0
