"""Evaluates appearance descriptors for re-identification, and computes the mean that is subtracted from them."""

import base64
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np

from facial_emotion_ros.core.metrics import auroc
from facial_emotion_ros.evaluation.camera.end_to_end import which_face
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace
from facial_emotion_ros.perception.face_appearance import GEOMETRY, MEAN, gradient_histogram, unit
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.face_tracker import DIFFERENT, LIKE, SAME

#: Maximum displacement of a box, and standard deviation of that of landmarks, relative to the box's side.
_SHIFT, _LANDMARKS = 0.1, 0.02
_TURN_DEG = 10.0


def collect(detector: FaceDetector, faces: Iterable[LabelledFace], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Compute gradient histograms of faces, unchanged and with other size, rotation, position and light.

    :param detector: FaceDetector.
    :param faces: faces in scenes, one per person.
    :param seed: seed of the changes.
    :returns: (M, SIZE) and (M, SIZE) float32 for the faces that were found: unchanged, and changed.
    """
    as_they_are, others = [], []
    for number, face in enumerate(faces):
        found = detector.detect(face.image)
        place = which_face(found, face.center, face.box_px)
        if place is not None:
            box, landmarks = found.boxes[place], found.landmarks[place]
            as_they_are.append(gradient_histogram(face.image, box, landmarks))
            other = changed(face.image, box, landmarks, np.random.default_rng([seed, number]))
            others.append(gradient_histogram(*other))
    return np.array(as_they_are), np.array(others)


def changed(
    image: np.ndarray, box: np.ndarray, landmarks: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rotate, scale, relight and blur an image, and displace box and landmarks as a detector does.

    :param image, box, landmarks: see :func:`.face_appearance.describe`.
    :param generator: generator of the changes.
    :returns: image, box and landmarks after the changes.
    """
    side = float(np.sqrt(np.prod(box[2:] - box[:2])))
    scale = generator.uniform(40, 120) / side
    center = 0.5 * (box[:2] + box[2:])
    matrix: np.ndarray = cv2.getRotationMatrix2D(
        tuple(map(float, center)), generator.uniform(-_TURN_DEG, _TURN_DEG), scale
    )
    matrix[:, 2] += scale * side - center  # the face's centre moves to one side length from the corner
    width = int(2 * scale * side)
    image = cv2.warpAffine(image, matrix, (width, width), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    if generator.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), generator.uniform(0.5, 1.5))
    light = 255 * (image / np.float32(255)) ** np.float32(generator.uniform(0.8, 1.25))
    slope = 1 + generator.uniform(-0.3, 0.3) * np.linspace(-1, 1, width)
    light = light * generator.uniform(0.5, 1.3) * slope[None, :, None] + generator.normal(0, 4, light.shape)
    half = 0.5 * scale * (box[2:] - box[:2]) * np.exp(generator.uniform(-0.08, 0.08))
    center = scale * side * (1 + generator.uniform(-_SHIFT, _SHIFT, 2))
    points = landmarks @ matrix[:, :2].T + matrix[:, 2] + generator.normal(0, _LANDMARKS * scale * side, (5, 2))
    return light.clip(0, 255).astype(np.uint8), np.concatenate([center - half, center + half]), points


def lines(as_they_are: np.ndarray, others: np.ndarray) -> Iterator[str]:
    """Yield the lines of a table of similarities within and between persons, and the mean as text.

    :param as_they_are, others: from :func:`collect`.
    """
    first, second = ([unit(row - MEAN) for row in rows] for rows in (as_they_are, others))
    likeness = np.array(first) @ np.array(second).T
    is_same = np.eye(len(likeness), dtype=bool)
    strangers = likeness[~is_same]
    yield f'{len(first)} faces, AUROC {auroc(likeness.ravel(), is_same.ravel()):.4f}'
    for name, bound in (('DIFFERENT', DIFFERENT), ('LIKE', LIKE), ('SAME', SAME)):
        same = 100 * np.mean(likeness[is_same] >= bound)
        wrong = 100 * np.mean(strangers >= bound)
        yield f'{name:9} {bound:.2f}: same person {same:5.1f}%, other person {wrong:.4f}%'
    yield 'Mean of these faces:'
    yield from as_text(mirrored_mean(as_they_are))


def mirrored_mean(histograms: np.ndarray) -> np.ndarray:
    """Return the mean histogram of the faces and their mirror images, (SIZE,)."""
    cells = int(GEOMETRY.size_px // 8)
    mean = histograms.mean(axis=0).reshape(cells, cells, -1)
    directions = np.arange(mean.shape[2])
    opposite = (len(directions) // 2 - directions) % len(directions)
    return 0.5 * (mean + mean[:, ::-1][:, :, opposite]).ravel()


def as_text(mean: np.ndarray) -> Sequence[str]:
    """Format a mean as in the source of :mod:`facial_emotion_ros.perception.face_appearance`."""
    text = base64.b64encode(np.rint(2048 * mean).astype(np.uint8).tobytes()).decode('ascii')
    return ["            '%s'" % text[first : first + 96] for first in range(0, len(text), 96)]
