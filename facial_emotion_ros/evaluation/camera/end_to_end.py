"""End-to-end accuracy: faces are detected and cropped before the network estimates them."""

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

#: Targets: maximum loss of accuracy by detection and crop, and minimum accuracy on labelled photographs.
MAX_LOSS, MIN_PORTRAITS_RIGHT = 0.02, 0.9

#: A box this many times larger or smaller than a face does not match it.
_OTHER_SIZE = 2.0
_BATCH = 32
RESAMPLES = 2000


@dataclass(frozen=True)
class Cut:
    """Crop settings.

    :param geometry: CropGeometry with the network's size_px.
    :param blur_px: standard deviation of a Gaussian blur of the crop, in its pixels; 0 for none.
    """

    geometry: CropGeometry
    blur_px: float = 0.0


@dataclass(frozen=True, eq=False)
class CameraReading:
    """Detections and scores of N faces with K crop settings.

    :param names: (N,) str.
    :param labels: (N,) int64, indices in EMOTIONS.
    :param is_found: (N,) bool, whether the detector found the face.
    :param scores: (K, N, 8) float32; NaN if not found.
    :param direct: (N, 8) float32 scores of the data set's own crop; NaN if not computed.
    :param besides: number of false detections.
    """

    names: np.ndarray
    labels: np.ndarray
    is_found: np.ndarray
    scores: np.ndarray
    direct: np.ndarray
    besides: int

    def is_right(self, cut: int = 0) -> np.ndarray:
        """Return (N,) bool: found, and the label has the highest score."""
        return self.is_found & (_best_class(self.scores[cut]) == self.labels)


def _best_class(scores):
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
    """Detect, crop and estimate each face as the node does; detection runs once per image for all cuts.

    :param engine: EsrEngine.
    :param detector: FaceDetector.
    :param faces: faces in their images; few are in memory at a time.
    :param cuts: crop settings; None for the engine's geometry.
    :param direct: also estimate the data set's own crop of each face.
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
    """Match detections to a face at a known position.

    :param seen: detections.
    :param middle: x, y of the face's centre in pixels.
    :param box_px: approximate side of its box in pixels.
    :returns: row of the matching box with the highest score; None without a match.
    """
    x, y = middle
    for row, (x0, y0, x1, y1) in enumerate(np.asarray(seen.boxes, np.float64)):  # by descending score
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
    """Compute the loss of accuracy by detection and crop on FER+ faces in scenes.

    :param reading: CameraReading of pasted scenes, with `direct`.
    :returns: JSON-compatible dict; both accuracies are over the faces that were found.
    """
    found = reading.is_found
    through = reading.is_right()[found]
    direct = (_best_class(reading.direct) == reading.labels)[found]
    lost = direct.astype(np.float64) - through
    per_class = {}
    for label, emotion in enumerate(EMOTIONS):
        of_class = reading.labels == label
        per_class[emotion] = {
            'n': int(of_class.sum()),
            'found': int((of_class & found).sum()),
            'right': int((of_class & reading.is_right()).sum()),
        }
    same = (_best_class(reading.scores[0]) == _best_class(reading.direct))[found]
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
    """Compute the results for labelled photographs, as a JSON-compatible dict."""
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
