"""Faces are found where they are, and nowhere else."""

import csv
import functools
import json
import os

import cv2
import numpy as np
import pytest
from places import PORTRAITS, SAMPLES

from facial_emotion_ros.core.errors import BadImage, BadModel, BadParameter
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.onnxruntime_backend import CPU
from facial_emotion_ros.perception.face_detector import (
    FaceDetector,
    Faces,
    nms,
)


@pytest.fixture(scope='module')
def detector_of(centerface):
    """Return a function that opens a detector for a long side once."""
    return functools.lru_cache(maxsize=None)(lambda side: FaceDetector(centerface, long_side_px=side))


@pytest.fixture(scope='module')
def astronaut():
    """Return the sample portrait, 512 x 512."""
    return read(os.path.join(SAMPLES, 'astronaut.jpg'))


# The sample portrait's face, told by eye: its box, and eyes, nose, corners of the mouth.
ASTRONAUT_BOX = (177, 55, 270, 178)
ASTRONAUT_LANDMARKS = ((202, 100), (248, 100), (226, 124), (207, 143), (246, 143))


def read(path):
    """Read a picture; absence is a fault."""
    image = cv2.imread(path)
    assert image is not None, path
    return image


def area(box):
    """Return the area of a box, 0 for one that is inside out."""
    return max(0, box[2] - box[0]) * max(0, box[3] - box[1])


def overlap(first, second):
    """Return the intersection over union of two boxes."""
    shared = area(np.concatenate([np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])]))
    return shared / (area(first) + area(second) - shared)


def labelled():
    """Return (file, number of faces) of the labelled photographs."""
    path = os.path.join(PORTRAITS, 'labels.csv')
    if not os.path.isfile(path):
        return [
            pytest.param(
                '',
                0,
                marks=pytest.mark.skip(
                    reason='the labelled photographs (shared/portraits beside the checkout) are absent'
                ),
            )
        ]
    with open(path, newline='') as stream:
        return [(row['file'], int(row['faces'])) for row in csv.DictReader(stream)]


@pytest.mark.parametrize('file, count', labelled())
@pytest.mark.parametrize('long_side_px', [320, 480, 640])
def test_every_face_is_found_and_nothing_else_when_photographed(detector_of, file, count, long_side_px):
    assert len(detector_of(long_side_px).detect(read(os.path.join(PORTRAITS, file)))) == count


@pytest.mark.parametrize('name, count', [('chelsea', 0), ('coffee', 0), ('rocket', 0), ('astronaut', 1)])
def test_number_of_faces_is_right_when_the_picture_is_from_scikit_image(detector, name, count):
    pictures = pytest.importorskip('skimage.data', reason='scikit-image (for its pictures) is not installed')
    image = getattr(pictures, name)()
    assert len(detector.detect(np.ascontiguousarray(image[:, :, ::-1]))) == count


@pytest.mark.parametrize('file', ['astronaut.jpg', 'president.jpg', 'vice_president.jpg'])
def test_one_face_is_found_when_the_picture_is_a_sample(detector, file):
    faces = detector.detect(read(os.path.join(SAMPLES, file)))
    assert len(faces) >= 1 and faces.scores[0] > 0.8 and (faces.scores[1:] < 0.8).all()


def test_box_and_landmarks_are_where_the_face_is_when_found(detector, astronaut):
    faces = detector.detect(astronaut)
    assert faces.boxes.shape == (1, 4) and faces.boxes.dtype == np.float32
    assert faces.scores.shape == (1,) and faces.scores.dtype == np.float32
    assert faces.landmarks.shape == (1, 5, 2) and faces.landmarks.dtype == np.float32
    assert overlap(faces.boxes[0], ASTRONAUT_BOX) > 0.7
    assert np.abs(faces.landmarks[0] - ASTRONAUT_LANDMARKS).max() < 8


def test_box_moves_with_the_face_when_the_picture_moves(detector, astronaut):
    expected = detector.detect(astronaut)
    for dx, dy in ((7, 0), (64, 40), (-60, 13)):
        shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
        moved = detector.detect(cv2.warpAffine(astronaut, shift, (512, 512), borderValue=(90, 90, 90)))
        assert len(moved) == 1
        assert overlap(moved.boxes[0], expected.boxes[0] + [dx, dy, dx, dy]) > 0.85
        assert np.abs(moved.landmarks[0] - expected.landmarks[0] - [dx, dy]).max() < 5


@pytest.mark.parametrize('size', [(1080, 1920), (480, 640), (240, 320), (700, 260), (200, 1000), (150, 150)])
def test_box_scales_with_the_face_when_the_picture_is_scaled(detector, astronaut, size):
    expected = detector.detect(astronaut)
    height, width = size
    factor = min(height, width) / 512.0
    small = cv2.resize(astronaut, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    scene = np.full((height, width, 3), 90, np.uint8)
    y, x = (height - small.shape[0]) // 2, (width - small.shape[1]) // 2
    scene[y : y + small.shape[0], x : x + small.shape[1]] = small
    faces = detector.detect(scene)
    assert len(faces) == 1
    assert overlap(faces.boxes[0], expected.boxes[0] * factor + [x, y, x, y]) > 0.75
    assert np.abs((faces.landmarks[0] - [x, y]) / factor - expected.landmarks[0]).max() < 16


def test_left_and_right_change_places_when_the_picture_is_mirrored(detector, astronaut):
    faces = detector.detect(astronaut)
    mirrored = detector.detect(np.ascontiguousarray(astronaut[:, ::-1]))
    swapped = mirrored.landmarks[0][[1, 0, 2, 4, 3]]
    assert np.abs(512 - swapped[:, 0] - faces.landmarks[0][:, 0]).max() < 8
    assert faces.landmarks[0, 0, 0] < faces.landmarks[0, 1, 0] and faces.landmarks[0, 3, 0] < faces.landmarks[0, 4, 0]


def test_face_is_found_when_the_picture_is_gray(detector, astronaut):
    gray = cv2.cvtColor(cv2.cvtColor(astronaut, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    faces = detector.detect(gray)
    assert len(faces) == 1 and overlap(faces.boxes[0], ASTRONAUT_BOX) > 0.7


def test_network_sees_rgb(detector):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :, 0], image[:, :, 2] = 10, 200
    assert tuple(detector.prepare(image)[0, :, 5, 5]) == (200, 0, 10)


def test_two_faces_are_found_when_two_are_there(detector, astronaut):
    faces = detector.detect(np.hstack([astronaut, astronaut]))
    assert len(faces) == 2
    left, right = sorted(faces.boxes.tolist())
    assert overlap(np.array(left) + [512, 0, 512, 0], np.array(right)) > 0.8


def test_box_is_clipped_when_the_face_is_cut_by_the_border(detector, astronaut):
    cut = np.ascontiguousarray(astronaut[:, 210:])
    faces = detector.detect(cut)
    assert len(faces) == 1
    assert faces.boxes[0, 0] == pytest.approx(0, abs=12) and (faces.boxes >= 0).all()
    assert (faces.boxes[:, 2] <= cut.shape[1]).all() and (faces.boxes[:, 3] <= cut.shape[0]).all()


@pytest.mark.parametrize(
    'size',
    [(1, 1), (1, 2), (2, 1), (31, 33), (32, 32), (33, 31), (1, 3000), (3000, 1), (127, 129), (480, 640), (1080, 1920)],
)
def test_no_face_is_found_when_there_is_nothing_in_an_image_of_any_size(detector, size):
    faces = detector.detect(np.full(size + (3,), 128, np.uint8))
    assert (faces.boxes.shape, faces.scores.shape, faces.landmarks.shape) == ((0, 4), (0,), (0, 5, 2))
    assert faces.boxes.dtype == faces.scores.dtype == faces.landmarks.dtype == np.float32


def test_no_face_is_found_when_there_is_only_noise(detector):
    noise = np.random.RandomState(3).randint(0, 256, (480, 640, 3)).astype(np.uint8)
    assert len(detector.detect(noise)) == 0


@pytest.mark.parametrize(
    'height, width, long_side_px, expected',
    [
        (480, 640, 480, (384, 480)),
        (480, 640, 320, (256, 320)),
        (1080, 1920, 480, (288, 480)),
        (1920, 1080, 480, (480, 288)),
        (240, 320, 480, (256, 320)),
        (128, 128, 480, (128, 128)),
        (48, 48, 480, (96, 96)),
        (96, 72, 480, (128, 96)),
        (20, 20, 480, (64, 64)),
        (1, 1, 480, (32, 32)),
        (64, 64, 32, (32, 32)),
        (10, 6000, 480, (32, 480)),
    ],
)
def test_network_sees_this_size_when_the_image_has_that(detector_of, height, width, long_side_px, expected):
    tensor, factors = detector_of(long_side_px)._fit(np.full((height, width, 3), 9, np.uint8))
    assert tensor.shape == (1, 3) + expected
    # What is not padding is the whole image.
    rows, columns = np.nonzero(tensor[0, 0])
    assert ((columns.max() + 1) * factors[0], (rows.max() + 1) * factors[1]) == pytest.approx((width, height))


@pytest.mark.parametrize(
    'image', [None, np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), np.zeros((4, 4, 3), np.float32), 'a.jpg']
)
def test_refused_when_the_image_is_none(detector, image):
    with pytest.raises(BadImage):
        detector.detect(image)


@pytest.mark.parametrize(
    'options, expected',
    [
        ({'min_score': 0}, BadParameter),
        ({'min_score': 1.01}, BadParameter),
        ({'min_score': float('nan')}, BadParameter),
        ({'min_score': '0.5'}, BadParameter),
        ({'min_score': True}, BadParameter),
        ({'long_side_px': 31}, BadParameter),
        ({'long_side_px': 480.0}, BadParameter),
        ({'long_side_px': 10**9}, BadParameter),
        ({'threads': 0}, BadParameter),
        ({'providers': []}, BadParameter),
    ],
)
def test_refused_when_an_option_is_out_of_range(centerface, options, expected):
    with pytest.raises(expected):
        FaceDetector(centerface, **options)


def test_fewer_faces_are_found_when_the_least_score_is_higher(centerface):
    image = read(os.path.join(SAMPLES, 'president.jpg'))
    counts = [len(FaceDetector(centerface, min_score=score).detect(image)) for score in (0.05, 1.0)]
    assert counts[0] > 1 and counts[1] == 0


def test_provider_is_reported_when_another_was_requested(centerface, astronaut):
    detector = FaceDetector(centerface, providers=['NoSuchExecutionProvider'])
    assert detector.provider == CPU and 'NoSuchExecutionProvider' in detector.degraded
    assert len(detector.detect(astronaut)) == 1


def test_refused_when_the_bundle_is_no_detector(centerface):
    manifest = json.loads(json.dumps(centerface.manifest))
    manifest['architecture'] = 'esr'
    with pytest.raises(BadModel, match='expected a face detector'):
        FaceDetector(ModelBundle(centerface.folder, manifest, centerface.model_bytes))


def test_refused_when_the_manifest_names_outputs_that_the_model_lacks(centerface):
    manifest = json.loads(json.dumps(centerface.manifest))
    manifest['outputs']['heatmap'] = 'hm'
    with pytest.raises(BadModel, match="'hm'"):
        FaceDetector(ModelBundle(centerface.folder, manifest, centerface.model_bytes))


class Spoiled:
    """A model whose outputs are spoiled on the way, as a faulty provider does."""

    provider, degraded, face_batch = CPU, '', 0

    def __init__(self, model, spoil):
        self._model, self._spoil, self.bundle = model, spoil, model.bundle

    def run(self, outputs, feed):
        """Run the model and spoil one output."""
        arrays = [np.array(array) for array in self._model.run(outputs, feed)]
        return self._spoil(arrays)


def _write(index, value):
    def spoil(arrays):
        arrays[index].flat[arrays[index].size // 2] = value
        return arrays

    return spoil


def _fill(index, value):
    def spoil(arrays):
        arrays[index][:] = value
        return arrays

    return spoil


@pytest.mark.parametrize(
    'spoil, words',
    [
        (_write(0, np.nan), 'finite numbers in'),
        (_write(1, np.inf), 'finite numbers in'),
        (_write(2, -np.inf), 'finite numbers in'),
        (_write(3, np.nan), 'finite numbers in'),
        (lambda arrays: [array[:, :, :-1] for array in arrays], 'of shape'),
    ],
)
def test_refused_when_the_outputs_are_spoiled(detector, astronaut, monkeypatch, spoil, words):
    monkeypatch.setattr(detector, '_model', Spoiled(detector._model, spoil))
    with pytest.raises(BadModel, match=words):
        detector.detect(astronaut)


def test_refused_when_a_finite_size_becomes_an_infinite_box(detector, astronaut, monkeypatch):
    monkeypatch.setattr(detector, '_model', Spoiled(detector._model, _fill(1, 1000.0)))
    with pytest.raises(BadModel, match='finite face boxes'):
        detector.detect(astronaut)


def test_decoding_follows_the_maps_when_they_are_made_by_hand(centerface):
    detector = FaceDetector(centerface, min_score=0.5)
    maps = {
        'heatmap': np.zeros((1, 1, 8, 16), np.float32),
        'scale': np.zeros((1, 2, 8, 16), np.float32),
        'offset': np.zeros((1, 2, 8, 16), np.float32),
        'landmarks': np.zeros((1, 10, 8, 16), np.float32),
    }
    maps['heatmap'][0, 0, 3, 10] = 0.75
    maps['scale'][0, :, 3, 10] = np.log(5), np.log(4)  # height 20 px, width 16 px
    maps['offset'][0, :, 3, 10] = 0.25, -0.5  # centre (40, 15)
    maps['landmarks'][0, :, 3, 10] = np.arange(10) / 10.0  # y, x as shares of the box, five times
    found = detector._decode(maps, (32, 64), 0.5)
    assert np.allclose(found.boxes, [[32, 5, 48, 25]], atol=1e-4) and found.scores.tolist() == [0.75]
    assert np.allclose(found.landmarks[0, 0], [32 + 1.6, 5]) and np.allclose(found.landmarks[0, 4], [32 + 14.4, 5 + 16])


def test_more_boxes_are_returned_at_a_lower_score(detector, astronaut):
    assert len(detector.detect(astronaut)) == 1 and len(detector.detect(astronaut, 0.99)) == 0
    # A face that the image's edge cuts in half is there, but not for sure.
    half = np.ascontiguousarray(astronaut[:, :218])
    low, usual = detector.detect(half, 0.02), detector.detect(half)
    assert len(low) > len(usual) and (low.scores[len(usual) :] < detector.min_score).all()


def test_best_of_each_heap_stays_when_boxes_overlap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [30, 0, 40, 10], [0, 0, 10, 4], [31, 1, 39, 9]], np.float32)
    scores = np.array([0.8, 0.9, 0.5, 0.95, 0.5], np.float32)
    landmarks = np.arange(50, dtype=np.float32).reshape(5, 5, 2)
    kept = nms(Faces(boxes, scores, landmarks))
    assert kept.scores.tolist() == pytest.approx([0.95, 0.5])  # 0.9 overlaps 0.95 by 0.36; of equals the earlier stays
    assert np.array_equal(kept.landmarks, landmarks[[3, 2]])


def test_order_stays_when_scores_are_equal():
    corners = np.arange(300, dtype=np.float32)[:, None] * 20
    boxes = np.concatenate([corners, corners, corners + 10, corners + 10], 1)
    scores = np.random.RandomState(0).choice(np.array([0.5, 0.7, 0.9], np.float32), 300)
    kept = nms(Faces(boxes, scores, np.zeros((300, 5, 2), np.float32)))
    assert np.array_equal(kept.boxes, np.concatenate([boxes[scores == each] for each in sorted(set(scores))[::-1]]))


def test_suppression_ends_when_everything_is_a_candidate(centerface):
    detector = FaceDetector(centerface, min_score=1e-9)
    image = np.random.RandomState(0).randint(0, 256, (480, 640, 3)).astype(np.uint8)
    faces = detector.detect(image)
    assert 0 < len(faces) <= 1000 and (np.diff(faces.scores) <= 0).all()
    assert (faces.boxes[:, 2:] > faces.boxes[:, :2]).all()


def test_answers_are_equal_when_the_image_is(detector, astronaut):
    before = astronaut.copy()
    first, second = detector.detect(astronaut), detector.detect(astronaut)
    assert np.array_equal(first.boxes, second.boxes) and np.array_equal(first.landmarks, second.landmarks)
    assert np.array_equal(astronaut, before)
