"""Find faces in a stream of images: detection in every n-th image, template tracking in between."""

import math
from typing import Any, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.face_appearance import describe
from facial_emotion_ros.perception.face_detector import FaceDetector, Faces
from facial_emotion_ros.perception.face_tracker import FaceTracker
from facial_emotion_ros.perception.scene_change import SceneChangeDetector
from facial_emotion_ros.perception.template_tracker import MIN_CORRELATION, TemplateTracker

#: Maximum time between two detections, so that new faces are found soon at low frame rates, too.
MAX_GAP_S = 0.25

#: A face closer to the image's edge than this share of its sides may be cut by it.
_EDGE = 0.1


class FoundFaces(NamedTuple):
    """Faces of one image, by descending area.

    :param ids: N ids.
    :param boxes: (N, 4) float32 inside the image.
    :param scores: (N,).
    :param landmarks: (N, 5, 2) float32.
    """

    ids: List[str]
    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def rows(self, chosen: Union[np.ndarray, Sequence[int]]) -> 'FoundFaces':
        """Return some of the faces."""
        rows = np.asarray(chosen, np.int64)
        return FoundFaces([self.ids[row] for row in rows], self.boxes[rows], self.scores[rows], self.landmarks[rows])

    def largest(self, count: int = 0) -> 'FoundFaces':
        """Return the `count` largest faces, by descending area; 0 for all."""
        areas = (self.boxes[:, 2] - self.boxes[:, 0]) * (self.boxes[:, 3] - self.boxes[:, 1])
        return self.rows(np.argsort(-areas, kind='stable')[: count or None])


class FaceFinder:
    """Combine detector, trackers and scene change detection."""

    def __init__(
        self, detector: Any, tracker: FaceTracker, max_faces: int = 0, every_n: int = 1, continue_score: float = 0.25
    ) -> None:
        """Start without faces.

        :param detector: object with `detect(image) -> Faces`; only a FaceDetector is asked for boxes of low score too.
        :param tracker: assigns the ids.
        :param max_faces: maximum number of faces: those already tracked come first, then the largest; 0 for all.
        :param every_n, continue_score: see :meth:`adjust`.
        :raises BadParameter: for a value outside its range.
        """
        if isinstance(max_faces, bool) or not isinstance(max_faces, int) or max_faces < 0:
            raise BadParameter('expected a maximum number of faces of 1 or more, or 0 for all, got %r' % (max_faces,))
        self._detector, self._max_faces = detector, max_faces
        #: Assigns the ids; may be replaced between two images.
        self.tracker = tracker
        self._scene = SceneChangeDetector()
        self.adjust(every_n, continue_score)
        self.reset()

    def adjust(self, every_n: int, continue_score: float) -> None:
        """Change the settings; the faces stay.

        :param every_n: detect in every n-th image of a stream, at least 1, and at least every 0.25 s.
        :param continue_score: boxes with a score from this up to the detector's minimum continue a visible face, and
            start no new one; above 0, up to 1.
        :raises BadParameter: for a value outside its range.
        """
        if isinstance(every_n, bool) or not isinstance(every_n, int) or every_n < 1:
            raise BadParameter('expected to detect in every n-th image with n of 1 or more, got %r' % (every_n,))
        if not 0 < continue_score <= 1:
            raise BadParameter('expected a score above 0 and up to 1 to continue a face, got %r' % continue_score)
        self._every_n, self._continue_score = every_n, continue_score

    def for_another_stream(self) -> 'FaceFinder':
        """Return a FaceFinder with the same detector and settings, no faces, and its own tracker."""
        tracker = self.tracker.for_another_stream()
        return FaceFinder(self._detector, tracker, self._max_faces, self._every_n, self._continue_score)

    def reset(self) -> None:
        """Forget all images and faces; ids are not reused."""
        self.tracker.clear()
        self._scene.forget()
        self._forget_templates()
        self._detected_s, self._since = -math.inf, 0
        #: Number of faces beyond `max_faces` in the latest detection.
        self.left_out = 0

    def forget_looks(self) -> None:
        """Forget the appearance of all faces; visible ones keep their ids by position."""
        self.tracker.forget_looks()
        self._forget_templates()

    def _forget_templates(self) -> None:
        self._templates = TemplateTracker()
        self._detected: Optional[FoundFaces] = None

    @property
    def has_detected(self) -> bool:
        """Whether the faces of the last image were detected, not tracked."""
        return self._since == 1

    def find_alone(self, image: np.ndarray) -> FoundFaces:
        """Detect the faces in a single picture, without ids and tracking.

        :param image: (H, W, 3) uint8 BGR.
        """
        return _by_area(self._detector.detect(image)).largest(self._max_faces)

    def detect(self, image: np.ndarray) -> Faces:
        """Detect the faces in a stream's image for :meth:`find`, without tracking; another thread may call this ahead.

        :param image: (H, W, 3) uint8 BGR.
        :returns: Faces, including those of low score, which can only continue a face.
        """
        if isinstance(self._detector, FaceDetector):
            return self._detector.detect(image, min(self._detector.min_score, self._continue_score))
        return self._detector.detect(image)

    def find(self, image: np.ndarray, stamp_s: float, detected: Optional[Faces] = None) -> FoundFaces:
        """Find the faces in the stream's next image.

        :param image: (H, W, 3) uint8 BGR.
        :param stamp_s: acquisition time in seconds; if before the latest, all faces are forgotten.
        :param detected: result of :meth:`detect` for this image; None to detect where that is due.
        """
        if self._scene.is_cut(image):
            self.tracker.cut()
            self._detected = None
        tracked = self._track(image, stamp_s)
        if tracked is not None:
            self._since += 1
            return tracked.largest()
        found = self._identify(image, self.detect(image) if detected is None else detected, stamp_s)
        self._detected, self._detected_s, self._since = found, stamp_s, 1
        self._templates.remember(image, found.ids, found.boxes)
        return found

    def _identify(self, image: np.ndarray, faces: Faces, stamp_s: float) -> FoundFaces:
        """Assign ids to detected faces."""
        min_score = getattr(self._detector, 'min_score', 0.0)
        found = _by_area(faces)
        if self._max_faces:
            self.left_out = max(0, int((found.scores >= min_score).sum()) - self._max_faces)
        ids = self.tracker.update(
            found.boxes,
            found.scores,
            stamp_s,
            min_score,
            lambda row: describe(image, found.boxes[row], found.landmarks[row]),
            self._max_faces,
            _at_edge(found.boxes, image),
        )
        # A face without an id is not published.
        return found._replace(ids=ids).rows([row for row, each in enumerate(ids) if each]).largest()

    def _track(self, image: np.ndarray, stamp_s: float) -> Optional[FoundFaces]:
        """Locate the faces of the last detection; None if detection is due or one of them is not found."""
        before = self._detected
        if (
            before is None
            or self._since >= self._every_n
            or not 0 <= stamp_s - self._detected_s < MAX_GAP_S
            or not set(before.ids) <= set(self.tracker.live_ids)
        ):
            return None
        boxes = np.zeros((len(before.ids), 4))
        for row, (face_id, expected) in enumerate(zip(before.ids, self.tracker.predicted(before.ids, stamp_s))):
            located = self._templates.locate(image, face_id, expected)
            if located is None or located[1] < MIN_CORRELATION:
                return None
            boxes[row] = located[0]
        old = np.asarray(before.boxes, np.float64)
        growth = (boxes[:, 2:] - boxes[:, :2]) / np.maximum(old[:, 2:] - old[:, :2], 1e-6)
        landmarks = (before.landmarks - old[:, None, :2]) * growth[:, None] + boxes[:, None, :2]
        sides = np.array([image.shape[1], image.shape[0]] * 2, np.float64)
        clipped = boxes.clip(0, sides).astype(np.float32)
        if len(clipped) and (clipped[:, 2:] - clipped[:, :2]).min() < 1:
            return None
        self.tracker.follow(before.ids, boxes, stamp_s)
        return before._replace(boxes=clipped, landmarks=landmarks.astype(np.float32))


def _by_area(faces: Faces) -> FoundFaces:
    """Return a detector's faces without ids, by descending area."""
    boxes = np.asarray(faces.boxes, np.float32).reshape(-1, 4)
    landmarks = np.asarray(faces.landmarks, np.float32).reshape(-1, 5, 2)
    return FoundFaces([''] * len(boxes), boxes, np.asarray(faces.scores), landmarks).largest()


def _at_edge(boxes: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return which boxes (N, 4) are so close to the image's edge that it may cut the face, (N,) bool."""
    near = _EDGE * (boxes[:, 2:] - boxes[:, :2])
    return ((boxes[:, :2] < near) | (boxes[:, 2:] > np.array(image.shape[1::-1]) - near)).any(axis=1)
