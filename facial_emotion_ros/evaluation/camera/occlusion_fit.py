"""Fits the mouth-occlusion rule of :mod:`facial_emotion_ros.perception.occlusion` on faces with drawn occluders."""

import base64
from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from facial_emotion_ros.evaluation.camera.end_to_end import which_face
from facial_emotion_ros.evaluation.camera.occluders import HELD_OUT_SHAPES, cover_mouth
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.occlusion import lower_face_features

#: Numbers of occluded and of relit versions of each face.
_COVERS, _VARIED = 5, 3
#: Standard deviations of CenterFace's boxes and landmarks from those of the same face without occluder, relative to the
#: box's side. Source: 1,092 FER+ faces in scenes and 1,986 in photographs, under masks, scarves and hands.
_BOX_SPREAD = np.array([0.036, 0.044, 0.036, 0.055])
_SPREAD = np.array([[0.03, 0.03], [0.03, 0.03], [0.041, 0.03], [0.047, 0.036], [0.05, 0.034]])
#: L2 penalty of the weights, chosen on other faces than those of the fit.
_DECAY = 1.0
#: Accepted false positive rate on clear faces.
FALSE_ALARMS = 0.003


def collect(detector: FaceDetector, faces: Iterable[LabelledFace], seed: int = 0) -> dict[str, np.ndarray]:
    """Compute the features of faces: unchanged, in other light, and occluded.

    Each face is detected once, unchanged. Boxes and landmarks of occluded faces get the detector's random errors.

    :param detector: FaceDetector.
    :param faces: faces in scenes.
    :param seed: seed of occluders and light.
    :returns: (M, FEATURES) float32 by name: 'clear', 'varied', 'covered', and HELD_OUT_SHAPES.
    """
    found: dict[str, list[np.ndarray]] = {name: [] for name in ('clear', 'varied', 'covered') + HELD_OUT_SHAPES}
    for number, face in enumerate(map(_close, faces)):
        place = _find(detector, face)
        if place is not None:
            _describe(face.image, place, np.random.default_rng([seed, number]), found)
    return {name: np.array(rows, np.float32) for name, rows in found.items()}


def _describe(image, place, generator, found):
    def add(name, picture, moved):
        features = lower_face_features(picture, *_moved(place, generator, moved))
        if features is not None:
            found[name].append(features)

    add('clear', image, 0.0)
    for _ in range(_VARIED):
        add('varied', _varied(image, generator), 0.6)
    for _ in range(_COVERS):
        add('covered', _varied(cover_mouth(image, place[1], generator), generator), 1.0)
    for shape in HELD_OUT_SHAPES:
        add(shape, cover_mouth(image, place[1], generator, shape), 1.0)


def _moved(place, generator, factor):
    """Displace a box and its landmarks by random detector errors."""
    box, landmarks = place
    side = factor * float(np.sqrt((box[2] - box[0]) * (box[3] - box[1])))
    return (
        box + side * _BOX_SPREAD * generator.normal(size=4),
        landmarks + side * _SPREAD * generator.normal(size=(5, 2)),
    )


def fit(found: dict[str, np.ndarray]) -> np.ndarray:
    """Fit a logistic regression, with a bias such that FALSE_ALARMS of held-out clear faces exceed 0.5.

    :param found: from :func:`collect`.
    :returns: (FEATURES + 1,) float32, the bias last.
    """
    parts = halves(found)
    unseen = [_scores(other['clear'], _regression(part)) for part, other in zip(parts, parts[::-1])]
    weights = _regression(found)
    weights[-1] -= np.quantile(np.concatenate(unseen), 1 - FALSE_ALARMS)
    return weights.astype(np.float32)


def _scores(rows, weights):
    return rows.dot(weights[:-1]) + weights[-1]


def _regression(found):
    """Fit by Newton's method; occluded faces weigh as much as all others together."""
    clear, covered = np.concatenate([found['clear'], found['varied']]), found['covered']
    rows = np.column_stack([np.concatenate([clear, covered]), np.ones(len(clear) + len(covered))]).astype(np.float64)
    target = np.repeat([0.0, 1.0], [len(clear), len(covered)])
    share = np.repeat([0.5 / len(clear), 0.5 / len(covered)], [len(clear), len(covered)]) * len(rows)
    penalty = np.full(rows.shape[1], _DECAY)
    penalty[-1] = 1e-6
    weights = np.zeros(rows.shape[1])
    for _ in range(25):
        guess = 1 / (1 + np.exp(-np.clip(rows.dot(weights), -30, 30)))
        slope = rows.T.dot(share * (guess - target)) + penalty * weights
        bend = (rows * (share * np.maximum(guess * (1 - guess), 1e-9))[:, None]).T.dot(rows) + np.diag(penalty)
        weights -= np.linalg.solve(bend, slope)
    return weights


def halves(found: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Split the features of :func:`collect` into the first half of the scenes and the others."""
    return (
        {name: rows[: len(rows) // 2] for name, rows in found.items()},
        {name: rows[len(rows) // 2 + _COVERS :] for name, rows in found.items()},
    )


def covered_shares(found: dict[str, np.ndarray], weights: np.ndarray) -> dict[str, float]:
    """Compute the fraction of faces classified as occluded, by name.

    :param found: from :func:`collect`.
    :param weights: from :func:`fit`.
    """
    return {name: float((_scores(rows, weights) > 0).mean()) for name, rows in found.items() if len(rows)}


def as_text(weights: np.ndarray) -> str:
    """Format weights as in the source of :mod:`facial_emotion_ros.perception.occlusion`.

    :param weights: (FEATURES + 1,) float.
    :returns: lines of base64 of little-endian half-precision numbers.
    """
    text = base64.b64encode(np.asarray(weights, '<f2').tobytes()).decode('ascii')
    return '\n'.join("    '%s'" % text[first : first + 112] for first in range(0, len(text), 112))


def _close(face):
    """Crop a scene to the surroundings of its face, to save time."""
    x, y = face.center
    left, top = (max(int(each - 1.2 * face.box_px), 0) for each in (x, y))
    right, bottom = (int(each + 1.2 * face.box_px) for each in (x, y))
    image = np.ascontiguousarray(face.image[top:bottom, left:right])
    return replace(face, image=image, middle=(x - left, y - top))


def _find(detector, face):
    """Detect a face: box and landmarks, or None."""
    seen = detector.detect(face.image)
    row = which_face(seen, face.center, face.box_px)
    return None if row is None else (np.float64(seen.boxes[row]), np.float64(seen.landmarks[row]))


def _varied(image, generator):
    """Vary light, noise and sharpness, of 60% of the images."""
    if generator.random() < 0.4:
        return image
    varied = image.astype(np.float32)
    if generator.random() < 0.3:
        varied = cv2.GaussianBlur(varied, (0, 0), generator.uniform(0.5, 3.0))
    varied = generator.uniform(-25, 25) + varied * generator.uniform(0.3, 1.4)
    return np.clip(varied + generator.normal(0, generator.uniform(0, 12), image.shape), 0, 255).astype(np.uint8)
