"""Where the faces of a stream are: detected in every n-th image, followed by their pixels in between, named always."""

import math
from typing import List, NamedTuple

import numpy as np

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.face_detector import FaceDetector
from facial_emotion_ros.face_follower import LEAST_LIKENESS, FaceFollower
from facial_emotion_ros.scene_cut import SceneCut

#: Where the scene seems to have changed, a face that looks at least so much like before (correlation) is the same one.
#: Measured (docs/faces_over_time.md): the same face one image later 0.94 and more in 95% of cases; of 7,140 pairs of
#: persons 99% less than 0.64, none more than 0.77.
SAME_FACE = 0.75

#: Faces are detected at least this often, however few images come: who enters is seen soon.
MAX_GAP_S = 0.25


class FoundFaces(NamedTuple):
    """Faces of one image, by falling area: N ids, (N, 4) boxes inside it, (N,) scores and (N, 5, 2) landmarks."""

    ids: List[str]
    boxes: np.ndarray
    scores: np.ndarray
    landmarks: np.ndarray

    def rows(self, chosen) -> 'FoundFaces':
        """Return some of the faces."""
        chosen = np.asarray(chosen, np.int64)
        return FoundFaces([self.ids[row] for row in chosen], self.boxes[chosen], self.scores[chosen],
                          self.landmarks[chosen])


class FaceFinder:
    """Detector, tracker, follower and the watch for scene cuts."""

    def __init__(self, detector, tracker, max_faces=0, every_n=1, continue_score=0.25):
        """Begin without faces.

        :param detector: anything with `detect(image) -> Faces`; only a FaceDetector gives boxes of low score too.
        :param tracker: FaceTracker.
        :param max_faces: only that many largest faces are found; 0 for all.
        :param every_n: see `adjust`.
        :param continue_score: see `adjust`.
        :raises BadParameter: for a value outside its range.
        """
        self._detector, self._tracker, self._max_faces = detector, tracker, max_faces
        self._follower, self._scene = FaceFollower(), SceneCut()
        self.adjust(every_n, continue_score)
        self.reset()

    def adjust(self, every_n, continue_score):
        """Go on with other settings.

        :param every_n: detect in every n-th image of a stream, at least 1, and at least every 0.25 s.
        :param continue_score: boxes of a score from here up to the detector's own least one continue a face that was in
            sight, and begin none; above 0, up to 1.
        :raises BadParameter: for a value outside its range.
        """
        if isinstance(every_n, bool) or not isinstance(every_n, int) or every_n < 1:
            raise BadParameter('expected to detect in every n-th image with n of 1 or more, got %r' % (every_n,))
        if not 0 < continue_score <= 1:
            raise BadParameter('expected a least score above 0 and up to 1 to go on with, got %r' % (continue_score,))
        self._every_n, self._continue_score = every_n, continue_score

    def reset(self):
        """Forget the images before, and all faces; ids are not used again."""
        self._tracker.clear()
        self._scene.forget()
        self._detected, self._detected_s, self._since = None, -math.inf, 0

    def find_alone(self, image):
        """Find the faces of a picture on its own; nothing is remembered.

        :param image: (H, W, 3) uint8 BGR.
        :returns: FoundFaces without ids.
        """
        faces = self._detector.detect(image)
        return self._largest(_found([''] * len(faces), faces))

    def detect(self, image):
        """Let the detector look at an image of a stream, and remember nothing: another thread may do that ahead.

        :param image: (H, W, 3) uint8 BGR.
        :returns: Faces, also those that can only continue a face; for :meth:`find`.
        """
        if isinstance(self._detector, FaceDetector):
            return self._detector.detect(image, min(self._detector.min_score, self._continue_score))
        return self._detector.detect(image)

    def find(self, image, stamp_s, detected=None):
        """Find the faces of the next image of the stream.

        :param image: (H, W, 3) uint8 BGR.
        :param stamp_s: when it was taken, in seconds; if before the latest, all faces are forgotten.
        :param detected: what :meth:`detect` gave for this image; None lets the detector look where it has to.
        :returns: FoundFaces, each with an id.
        """
        if self._scene.is_cut(image):
            self._tracker.keep(self._alike(image, stamp_s))
            self._detected = None
        followed = self._followed(image, stamp_s) if self._may_follow(stamp_s) else None
        if followed is not None:
            self._since += 1
            return self._largest(followed)
        found = self._identify(self.detect(image) if detected is None else detected, stamp_s)
        self._detected, self._detected_s, self._since = found, stamp_s, 1
        self._follower.remember(image, found.ids, found.boxes)
        return found

    def _may_follow(self, stamp_s):
        return (self._detected is not None and self._since < self._every_n
                and 0 <= stamp_s - self._detected_s < MAX_GAP_S
                and set(self._detected.ids) <= set(self._tracker.live_ids))

    def _alike(self, image, stamp_s):
        """Return the ids of the faces that still look as they did, about where they were."""
        ids = [each for each in (self._detected.ids if self._detected else []) if each in self._tracker.live_ids]
        located = [self._follower.locate(image, each, box)
                   for each, box in zip(ids, self._tracker.predicted(ids, stamp_s))]
        return [each for each, place in zip(ids, located) if place is not None and place[1] >= SAME_FACE]

    def _identify(self, faces, stamp_s):
        """Give the detector's faces their ids."""
        own = getattr(self._detector, 'min_score', 0.0)
        # A face that is not read gets no id either: nobody would publish anything under it.
        found = _found([''] * len(faces), faces)
        sure = found.scores >= own
        found = found.rows(np.concatenate([np.flatnonzero(sure)[:self._max_faces or None], np.flatnonzero(~sure)]))
        ids = self._tracker.update(found.boxes, found.scores, stamp_s, own)
        found = found._replace(ids=ids).rows([row for row, each in enumerate(ids) if each])
        return self._largest(found)

    def _followed(self, image, stamp_s):
        """Return the faces of the latest detection where they are by now; None where one of them cannot be found."""
        before = self._detected
        boxes = np.zeros((len(before.ids), 4))
        for row, (face_id, expected) in enumerate(zip(before.ids, self._tracker.predicted(before.ids, stamp_s))):
            located = self._follower.locate(image, face_id, expected)
            if located is None or located[1] < LEAST_LIKENESS:
                return None
            boxes[row] = located[0]
        old = np.asarray(before.boxes, np.float64)
        growth = (boxes[:, 2:] - boxes[:, :2]) / np.maximum(old[:, 2:] - old[:, :2], 1e-6)
        landmarks = (before.landmarks - old[:, None, :2]) * growth[:, None] + boxes[:, None, :2]
        sides = np.array([image.shape[1], image.shape[0]] * 2, np.float64)
        clipped = boxes.clip(0, sides).astype(np.float32)
        if len(clipped) and (clipped[:, 2:] - clipped[:, :2]).min() < 1:
            return None
        self._tracker.follow(before.ids, boxes, stamp_s)
        return before._replace(boxes=clipped, landmarks=landmarks.astype(np.float32))

    def _largest(self, found):
        areas = (found.boxes[:, 2] - found.boxes[:, 0]) * (found.boxes[:, 3] - found.boxes[:, 1])
        return found.rows(np.argsort(-areas, kind='stable')[:self._max_faces or None])


def _found(ids, faces):
    """Take a detector's faces, by falling area."""
    boxes = np.asarray(faces.boxes, np.float32).reshape(-1, 4)
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    landmarks = np.asarray(faces.landmarks, np.float32).reshape(-1, 5, 2)
    return FoundFaces(ids, boxes, np.asarray(faces.scores), landmarks).rows(np.argsort(-areas, kind='stable'))
