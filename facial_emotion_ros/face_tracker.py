"""Give faces the same id from frame to frame, by where they are; the same frames give the same ids every time."""

import math
from typing import List

import numpy as np

from facial_emotion_ros.errors import BadParameter

# Consonants alone spell no words. Consecutive numbers are multiplied apart so that no two ids look alike: the factor
# shares no divisor with the number of ids, and was searched for: of a thousand ids any two differ in three letters.
_LETTERS = 'bcdfghjklmnpqrstvwxz'
_ID_LENGTH = 5
_ID_COUNT = len(_LETTERS) ** _ID_LENGTH
_ID_FACTOR = 1131263

#: Without enough overlap, a face is still the same one if its centre moved less than this share of its side ...
MAX_SHIFT = 0.75
#: ... and its area changed by less than this factor.
MAX_GROWTH = 2.0


def face_id(number: int) -> str:
    """Spell the id of the n-th face.

    :param number: from 0; after 3.2 million the ids begin anew.
    :returns: five lower-case letters.
    """
    rest = (number + 1) * _ID_FACTOR % _ID_COUNT
    letters = []
    for _ in range(_ID_LENGTH):
        rest, letter = divmod(rest, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return ''.join(letters)


class _Track:
    """One face over time."""

    def __init__(self, identity, box, stamp_s):
        self.identity = identity
        self.box = box
        self.seen_s = stamp_s


class FaceTracker:
    """Associates the boxes of a frame with the faces of the frames before."""

    def __init__(self, max_age_s: float = 1.0, min_iou: float = 0.3):
        """Begin without faces.

        :param max_age_s: a face that was not seen for longer than this loses its id for good.
        :param min_iou: boxes that overlap this much (intersection over union) are the same face; above 0, up to 1.
        :raises BadParameter: for a value outside its range.
        """
        if not (math.isfinite(max_age_s) and max_age_s >= 0):
            raise BadParameter(f'expected a largest age of 0 s or more, got {max_age_s!r}')
        if not 0 < min_iou <= 1:
            raise BadParameter(f'expected a least overlap above 0 and up to 1, got {min_iou!r}')
        self._max_age_s = max_age_s
        self._min_iou = min_iou
        self._tracks = []  # type: List[_Track]
        self._stamp_s = -math.inf
        self._faces = 0

    @property
    def live_ids(self) -> List[str]:
        """Ids of the faces seen no longer than `max_age_s` before the latest frame, the oldest face first."""
        return [track.identity for track in self._tracks]

    def update(self, boxes: np.ndarray, scores: np.ndarray, stamp_s: float) -> List[str]:
        """Name the faces of the next frame.

        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param scores: (N,); of two boxes that could get one id equally well, that of higher score gets it.
        :param stamp_s: when the image was taken, in seconds. One that lies before the latest forgets all faces.
        :returns: N ids, one per box, no two alike; N = 0 gives [].
        :raises BadParameter: for boxes, scores or a stamp that are no such numbers.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64).reshape(-1)
        if len(boxes) != len(scores) or not (np.isfinite(boxes).all() and math.isfinite(stamp_s)):
            raise BadParameter(f'expected finite boxes with a score each and a finite stamp, got {len(boxes)} boxes, '
                               f'{len(scores)} scores, stamp {stamp_s!r}')
        if stamp_s < self._stamp_s:
            self.clear()
        self._stamp_s = stamp_s
        self._tracks = [track for track in self._tracks if stamp_s - track.seen_s <= self._max_age_s]
        ids = [''] * len(boxes)
        for index, row in self._pairs(boxes, scores):
            track = self._tracks[index]
            track.box, track.seen_s = boxes[row], stamp_s
            ids[row] = track.identity
        for row in np.argsort(-scores, kind='stable'):
            if not ids[row]:
                ids[row] = face_id(self._faces)
                self._faces += 1
                self._tracks.append(_Track(ids[row], boxes[row], stamp_s))
        return ids

    def clear(self):
        """Forget all faces; ids go on where they were, none is given twice."""
        self._tracks = []
        self._stamp_s = -math.inf

    def _pairs(self, boxes, scores):
        """Match tracks and boxes one to one: first whatever overlaps enough, the most first, then whatever is near."""
        if not self._tracks or not len(boxes):
            return []
        tracked = np.stack([track.box for track in self._tracks])
        overlap = intersection_over_union(tracked, boxes)
        nearness = _nearness(tracked, boxes)
        # Overlap ranks above nearness: an overlap that counts is above 0, a nearness that counts is below.
        affinity = np.where(overlap >= self._min_iou, overlap, nearness)
        # Of equal affinities the higher score comes first, then the older face.
        track_of, row_of = np.nonzero(np.isfinite(affinity))
        order = np.lexsort((track_of, -scores[row_of], -affinity[track_of, row_of]))
        pairs, tracks_taken, rows_taken = [], set(), set()
        for index, row in zip(track_of[order], row_of[order]):
            if index not in tracks_taken and row not in rows_taken:
                pairs.append((index, row))
                tracks_taken.add(index)
                rows_taken.add(row)
        return pairs


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compare every box with every other.

    :param first: (M, 4) x0 y0 x1 y1.
    :param second: (N, 4).
    :returns: (M, N) in [0, 1]; boxes without area overlap nothing.
    """
    corners = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = corners.clip(0).prod(axis=2)
    union = _areas(first)[:, None] + _areas(second)[None] - shared
    return shared / np.maximum(union, 1e-9)


def _nearness(first, second):
    """Return -distance of the centres in sides of the larger box; -inf where that or the growth is too much."""
    shift = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    areas = np.stack(np.broadcast_arrays(_areas(first)[:, None], _areas(second)[None]))
    small, large = np.maximum(areas.min(axis=0), 1e-9), areas.max(axis=0)
    distance = np.hypot(shift[:, :, 0], shift[:, :, 1]) / np.sqrt(np.maximum(large, 1e-9))
    return np.where((distance <= MAX_SHIFT) & (large <= MAX_GROWTH * small), -distance, -np.inf)


def _areas(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
