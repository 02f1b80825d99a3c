"""Accuracy of a network when faces have to be found and cut out of images first."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace, Portraits
from facial_emotion_ros.evaluation.intervals import bootstrap_interval, wilson_interval
from facial_emotion_ros.perception.face_crops import CropGeometry, cut_faces, to_input
from facial_emotion_ros.perception.face_detector import FaceDetector, Faces

#: Targets: loss of accuracy through the camera, and share of right faces in labelled photographs.
MAX_LOSS, MIN_PORTRAITS_RIGHT = 0.02, 0.9

#: A box this many times larger or smaller than the face is not of that face.
_OTHER_SIZE = 2.0
_BATCH = 32
RESAMPLES = 2000


@dataclass(frozen=True)
class Cut:
    """One way to cut faces out.

    :param geometry: CropGeometry; its size_px is the network's.
    :param blur_px: deviation of a Gaussian that the crop is blurred with, in its own pixels; 0 for none.
    """

    geometry: CropGeometry
    blur_px: float = 0.0


@dataclass(frozen=True, eq=False)
class CameraReading:
    """Detections and scores of N faces with K ways to cut them out.

    :param names: (N,) str.
    :param labels: (N,) int64, places in EMOTIONS.
    :param is_found: (N,) bool, by the detector.
    :param scores: (K, N, 8) float32; NaN where not found.
    :param direct: (N, 8) float32, of the data set's own picture as it is; NaN where there is none.
    :param besides: number of boxes of no labelled face.
    """

    names: np.ndarray
    labels: np.ndarray
    is_found: np.ndarray
    scores: np.ndarray
    direct: np.ndarray
    besides: int

    def is_right(self, cut: int = 0) -> np.ndarray:
        """Give (N,) bool: found, and the highest score is the label's."""
        return self.is_found & (_first(self.scores[cut]) == self.labels)


def _first(scores):
    return np.where(np.isnan(scores[:, 0]), -1, np.nan_to_num(scores).argmax(1))


def read_scores(engine: EsrEngine, crops: np.ndarray) -> np.ndarray:
    """Compute scores at the engine's operating point, in batches.

    :param crops: (N, 3, S, S) float32.
    :returns: (N, 8) float32; N = 0 gives (0, 8).
    """
    parts = [np.zeros((0, len(EMOTIONS)), np.float32)]
    for first in range(0, len(crops), _BATCH):
        parts.append(engine.estimate(crops[first : first + _BATCH]).scores)
    return np.concatenate(parts)


def read_through_camera(
    engine: EsrEngine,
    detector: FaceDetector,
    faces: Iterable[LabelledFace],
    cuts: Sequence[Cut] | None = None,
    direct: bool = False,
    report: Callable[[int], object] | None = None,
) -> CameraReading:
    """Find each face as the robot would, cut it out and estimate it. Each image is searched once, whatever the cuts.

    :param engine: network.
    :param detector: of faces.
    :param faces: in their images; a few at a time are in memory.
    :param cuts: ways to cut faces out; None for the engine's own geometry.
    :param direct: also estimate each face's own picture, without detector.
    :param report: called with the number of faces done.
    """
    cuts = [Cut(engine.geometry)] if cuts is None else list(cuts)
    faces, parts, done = iter(faces), [], 0
    while True:
        some = list(islice(faces, _BATCH))
        parts.append(_read_some(engine, detector, some, cuts, direct))
        done += len(some)
        if report and some:
            report(done)
        if len(some) < _BATCH:
            break
    names, labels, is_found, scores, own, besides = zip(*parts)
    return CameraReading(
        names=np.concatenate(names),
        labels=np.concatenate(labels),
        is_found=np.concatenate(is_found),
        scores=np.concatenate(scores, axis=1),
        direct=np.concatenate(own),
        besides=sum(besides),
    )


def _read_some(engine, detector, faces, cuts, direct):
    found, besides = [], 0
    for face in faces:
        seen = detector.detect(face.image)
        row = None if face.middle is None else which_face(seen, face.middle, face.box_px)
        besides += len(seen) - (row is not None)
        found.append(None if row is None else (seen.boxes[row : row + 1], seen.landmarks[row : row + 1]))
    is_found = np.array([each is not None for each in found], bool)
    scores = np.full((len(cuts), len(faces), len(EMOTIONS)), np.nan, np.float32)
    for cut, into in zip(cuts, scores):
        crops = [
            _blurred(cut_faces(face.image, each[0], cut.geometry, each[1]), cut.blur_px)
            for face, each in zip(faces, found)
            if each is not None
        ]
        if crops:
            into[is_found] = read_scores(engine, np.concatenate(crops))
    own = np.full((len(faces), len(EMOTIONS)), np.nan, np.float32)
    if direct and faces:
        own[:] = read_scores(engine, np.stack([to_input(face.picture, engine.geometry) for face in faces]))
    names = np.array([face.name for face in faces], str)
    labels = np.array([face.label for face in faces], np.int64)
    return names, labels, is_found, scores, own, besides


def which_face(seen: Faces, middle: Sequence[float], box_px: float) -> int | None:
    """Find the box of a face whose place is known.

    :param seen: boxes.
    :param middle: x, y of the face's middle in pixels.
    :param box_px: about the side of its box in pixels.
    :returns: row of the box with the highest score; None if there is none.
    """
    x, y = middle
    for row, (x0, y0, x1, y1) in enumerate(np.asarray(seen.boxes, np.float64)):  # by falling score
        size = np.sqrt(max((x1 - x0) * (y1 - y0), 1e-6)) / box_px
        if x0 <= x <= x1 and y0 <= y <= y1 and 1 / _OTHER_SIZE <= size <= _OTHER_SIZE:
            return row
    return None


def _blurred(crops, blur_px):
    if not blur_px:
        return crops
    return np.stack([[cv2.GaussianBlur(plane, (0, 0), blur_px) for plane in crop] for crop in crops])


def mean(values: Sequence[Any] | np.ndarray) -> float:
    """Return the mean of (N,) numbers as a float; NaN for N = 0."""
    return float(np.mean(values)) if len(values) else float('nan')


def scene_figures(reading: CameraReading) -> dict[str, Any]:
    """Compute the loss of accuracy through detector and crop on FER+ faces in scenes.

    :param reading: of pasted scenes, with `direct`.
    :returns: dict that JSON can hold; the accuracies are of the same faces: those that were found.
    """
    found = reading.is_found
    through = reading.is_right()[found]
    direct = (_first(reading.direct) == reading.labels)[found]
    lost = direct.astype(np.float64) - through
    per_class = {}
    for label, emotion in enumerate(EMOTIONS):
        of_class = reading.labels == label
        per_class[emotion] = {
            'n': int(of_class.sum()),
            'found': int((of_class & found).sum()),
            'right': int((of_class & reading.is_right()).sum()),
        }
    same = (_first(reading.scores[0]) == _first(reading.direct))[found]
    return {
        'n': len(found),
        'found': int(found.sum()),
        'detection_rate': mean(found),
        'detection_rate_interval': list(wilson_interval(found.sum(), len(found))),
        'boxes_besides': int(reading.besides),
        'accuracy_through_camera': mean(through),
        'accuracy_through_camera_interval': list(wilson_interval(through.sum(), len(through))),
        'accuracy_direct': mean(direct),
        'points_lost': 100 * mean(lost),
        'points_lost_interval': [100 * end for end in bootstrap_interval(lost, RESAMPLES)],
        'same_category_as_direct': mean(same),
        'points_lost_at_most': 100 * MAX_LOSS,
        'holds': bool(mean(lost) <= MAX_LOSS),
        'per_class': per_class,
    }


def portrait_figures(reading: CameraReading, portraits: Portraits) -> dict[str, Any]:
    """Compute which faces of the labelled photographs are right: dict that JSON can hold."""
    is_right = reading.is_right()
    faces = []
    for row, (name, label) in enumerate(zip(reading.names, reading.labels)):
        scores = reading.scores[0, row]
        found = bool(reading.is_found[row])
        faces.append(
            {
                'name': str(name),
                'label': EMOTIONS[label],
                'emotion': EMOTIONS[int(scores.argmax())] if found else None,
                'confidence': float(scores.max()) if found else None,
                'score_of_label': float(scores[label]) if found else None,
                'right': bool(is_right[row]),
            }
        )
    return {
        'pictures': portraits.pictures,
        'n': len(faces),
        'found': int(reading.is_found.sum()),
        'invented': int(portraits.invented),
        'right': int(is_right.sum()),
        'share_at_least': MIN_PORTRAITS_RIGHT,
        'holds': bool(len(faces) and is_right.sum() >= MIN_PORTRAITS_RIGHT * len(faces)),
        'faces': faces,
    }
