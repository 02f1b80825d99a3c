"""Faces of a stream: detected every n-th image, followed in between, never handed over to another person by a cut."""

import os

import cv2
import numpy as np
import pytest
from places import SAMPLES

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.perception.face_detector import FaceDetector, Faces
from facial_emotion_ros.perception.face_stream import FaceFinder
from facial_emotion_ros.perception.face_tracker import FaceTracker, intersection_over_union

#: File, and the face's box in it as the detector has it.
CAST = {
    'astronaut.jpg': (178, 55, 271, 180),
    'president.jpg': (343, 130, 505, 356),
    'vice_president.jpg': (395, 154, 890, 848),
}


class CountingDetector:
    """Returns the faces that were set, and counts its calls."""

    def __init__(self, min_score=0.5):
        self.calls, self.min_score = 0, min_score
        self.boxes, self.scores = [], []

    def detect(self, image):
        """Return the faces of the moment."""
        self.calls += 1
        boxes = np.array(self.boxes, np.float32).reshape(-1, 4)
        scores = np.array(self.scores or [0.9] * len(boxes), np.float32)
        corners = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
        return Faces(boxes, scores, boxes[:, None, :2] + corners * (boxes[:, None, 2:] - boxes[:, None, :2]))


def portrait(name):
    """Return a face of 100 x 134 px, and a little around it."""
    x0, y0, x1, y1 = CAST[name]
    image = cv2.imread(os.path.join(SAMPLES, name))[max(y0 - 10, 0) : y1 + 10, x0 - 8 : x1 + 8]
    return cv2.resize(image, (116, 150), interpolation=cv2.INTER_AREA)


def background(seed):
    """Draw soft clutter."""
    noise = np.random.RandomState(seed).randint(20, 230, (5, 6, 3)).astype(np.uint8)
    return cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)


def scene(x, y, name='astronaut.jpg', ground=0):
    """Return an image with one face, and its box."""
    image = background(ground)
    image[y - 75 : y + 75, x - 58 : x + 58] = portrait(name)
    return image, [x - 50.0, y - 67.0, x + 50.0, y + 67.0]


def finder_of(every_n=1, max_faces=0):
    """Return a finder and its detector."""
    detector = CountingDetector()
    return FaceFinder(detector, FaceTracker(), max_faces, every_n), detector


@pytest.mark.parametrize('every_n, calls', [(1, 12), (2, 6), (3, 4), (4, 3)])
def test_faces_are_detected_in_every_nth_image_and_followed_by_pixels_in_between(every_n, calls):
    finder, detector = finder_of(every_n)
    ids, overlaps = set(), []
    for frame in range(12):
        # Not straight on: a prediction alone would miss it.
        image, box = scene(200 + 9 * frame, 240 + (14 if frame % 4 > 1 else 0))
        detector.boxes = [box]
        found = finder.find(image, frame / 30.0)
        ids |= set(found.ids)
        overlaps.append(intersection_over_union(np.array([box]), np.asarray(found.boxes, float))[0, 0])
        assert np.allclose(found.landmarks[0, 2], found.boxes[0, :2] + [50, 80.4], atol=6)
    assert detector.calls == calls and len(ids) == 1
    assert min(overlaps) > 0.85 and np.mean(overlaps) > 0.93


def test_faces_are_detected_at_least_4_times_a_second_when_images_are_rare():
    finder, detector = finder_of(every_n=10)
    image, box = scene(200, 240)
    detector.boxes = [box]
    for frame in range(8):
        finder.find(image, frame * 0.3)
    assert detector.calls == 8


def test_a_face_is_detected_anew_when_it_cannot_be_followed():
    finder, detector = finder_of(every_n=4)
    image, box = scene(200, 240)
    detector.boxes = [box]
    finder.find(image, 0.0)
    image = background(0)
    detector.boxes = []
    assert finder.find(image, 0.03).ids == [] and detector.calls == 2


@pytest.mark.parametrize('every_n', [1, 3])
def test_id_does_not_pass_to_another_person_when_the_scene_is_cut(every_n):
    finder, detector = finder_of(every_n)
    seen = []
    for frame, (name, ground) in enumerate(
        [('astronaut.jpg', 0)] * 4 + [('president.jpg', 1)] * 4 + [('vice_president.jpg', 2)] * 4
    ):
        image, box = scene(220, 240, name, ground)
        detector.boxes = [box]
        seen.append(finder.find(image, frame / 30.0).ids)
    assert [each for each in seen if len(each) != 1] == []
    first, second, third = (set(sum(seen[start : start + 4], [])) for start in (0, 4, 8))
    assert len(first) == len(second) == len(third) == 1 and len(first | second | third) == 3


def test_id_stays_when_only_the_surroundings_change():
    finder, detector = finder_of()
    seen = set()
    for frame in range(6):
        image, box = scene(220, 240, ground=frame)
        detector.boxes = [box]
        seen |= set(finder.find(image, frame / 30.0).ids)
    assert len(seen) == 1


def test_id_stays_when_the_camera_turns_or_the_light_changes():
    finder, detector = finder_of()
    seen = set()
    for frame in range(6):
        image, box = scene(320, 240)
        image = np.roll((image * (1.0, 0.55)[frame % 2]).astype(np.uint8), 30 * frame, axis=1)
        detector.boxes = [[box[0] + 30 * frame, box[1], box[2] + 30 * frame, box[3]]]
        seen |= set(finder.find(image, frame / 15.0).ids)
    assert len(seen) == 1


def test_only_the_largest_faces_are_tracked_when_their_number_is_bounded():
    finder, detector = finder_of(max_faces=1)
    image, _ = scene(200, 240)
    detector.boxes = [[0, 0, 50, 50], [100, 100, 250, 250]]
    found = finder.find(image, 0.0)
    assert found.boxes.tolist() == [[100, 100, 250, 250]] and finder.left_out == 1
    assert finder.find_alone(image).boxes.tolist() == [[100, 100, 250, 250]]


def test_boxes_of_low_score_continue_a_face_and_begin_none():
    bundle = ModelBundle.open(embedded_bundle('centerface'))
    image, box = scene(220, 240)
    detector = FaceDetector(bundle)
    sure = float(detector.detect(image).scores[0])
    hidden = image.copy()
    hidden[180:245, 165:275] = 90  # eyes and forehead
    less = [float(score) for score in detector.detect(hidden, 0.05).scores]
    assert less and less[0] < sure
    strict = FaceDetector(bundle, min_score=0.5 * (less[0] + sure))
    finder = FaceFinder(strict, FaceTracker(), continue_score=0.9 * less[0])
    assert finder.find(hidden, 0.0).ids == [] and finder.find_alone(hidden).ids == []
    first = finder.find(image, 0.1).ids
    assert len(first) == 1 and finder.find(hidden, 0.2).ids == first
    assert FaceFinder(strict, FaceTracker(), continue_score=1.0).find(image, 0.0).ids


def test_faces_are_forgotten_when_the_stamps_go_back_or_it_is_reset():
    finder, detector = finder_of(every_n=3)
    image, box = scene(220, 240)
    detector.boxes = [box]
    ids = [finder.find(image, stamp_s).ids[0] for stamp_s in (10.0, 10.03, 5.0, 5.03)]
    finder.reset()
    ids.append(finder.find(image, 5.06).ids[0])
    assert ids[0] == ids[1] != ids[2] == ids[3] != ids[4]


def test_it_goes_on_when_faces_may_not_be_lost_for_any_time():
    detector = CountingDetector()
    finder = FaceFinder(detector, FaceTracker(max_age_s=0.0), every_n=3)
    for frame in range(7):
        image, box = scene(200 + 5 * frame, 240)
        detector.boxes = [box]
        assert len(finder.find(image, frame / 30.0).ids) == 1


@pytest.mark.parametrize(
    'arguments',
    [
        {'every_n': 0},
        {'every_n': 1.5},
        {'every_n': True},
        {'max_faces': -1},
        {'max_faces': 1.5},
        {'continue_score': 0.0},
        {'continue_score': 1.1},
        {'continue_score': float('nan')},
    ],
)
def test_refused_when_an_option_is_out_of_range(arguments):
    with pytest.raises(BadParameter, match='expected'):
        FaceFinder(CountingDetector(), FaceTracker(), **arguments)
