"""Track faces from frame to frame by their boxes; deterministic."""

import math
from typing import List, Sequence, Set, Tuple, Union

import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.image_times import not_before

# Consonants spell no words. Consecutive numbers are multiplied by a factor coprime to the number of ids: any two of a
# thousand ids differ in three letters.
_LETTERS = 'bcdfghjklmnpqrstvwxz'
_ID_LENGTH = 5
#: Number of ids.
ID_COUNT = len(_LETTERS) ** _ID_LENGTH
_ID_FACTOR = 1131263

#: Boxes with this intersection over union are the same face, by default.
MIN_IOU = 0.3

#: With less overlap, a face is still the same if its centre moved by less than this share of its side ...
MAX_SHIFT = 0.75
#: ... and this much more for each second since it was seen ...
MAX_SHIFT_PER_S = 1.0
#: ... and its area changed by less than this factor.
MAX_GROWTH = 2.0

#: Time constant of the velocity: a shorter one follows the detector's jitter, a longer one lags behind turns.
_VELOCITY_S = 0.1
#: Time constant with which a lost face comes to rest.
_REST_S = 0.4
#: Overlap that a face loses for each second since it was seen, when two faces claim one box.
_LOST_COST = 0.3


def face_id(number: int) -> str:
    """Return the id of the n-th face: five lower-case letters.

    :param number: from 0; ids repeat after 3.2 million.
    """
    rest = (number + 1) * _ID_FACTOR % ID_COUNT
    letters = []
    for _ in range(_ID_LENGTH):
        rest, letter = divmod(rest, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return ''.join(letters)


class _Track:
    """One face: its place when last seen, and its velocity. A place is centre and logarithm of sides."""

    def __init__(self, identity: str, box: np.ndarray, stamp_s: float) -> None:
        self.identity = identity
        self.place, self.velocity = _place_of(box), np.zeros(4)
        self.seen_s = stamp_s
        self.in_sight = True

    def predicted(self, stamp_s: float) -> np.ndarray:
        """Return its box at a later time: it moves on and comes to rest."""
        way_s = -_REST_S * math.expm1(-max(stamp_s - self.seen_s, 0.0) / _REST_S)
        sides = np.exp(self.place[2:])
        furthest = np.concatenate([MAX_SHIFT * sides, [0.5 * math.log(MAX_GROWTH)] * 2])
        return _box_of(self.place + np.clip(way_s * self.velocity, -furthest, furthest))

    def see(self, box: np.ndarray, stamp_s: float) -> None:
        """Update it with its box in the image of `stamp_s`."""
        place, elapsed_s = _place_of(box), stamp_s - self.seen_s
        if elapsed_s > 0:
            # The new velocity's weight falls with the elapsed time, so that close stamps do no harm.
            share = -math.expm1(-elapsed_s / _VELOCITY_S)
            self.velocity += share * ((place - self.place) / elapsed_s - self.velocity)
        self.place, self.seen_s, self.in_sight = place, stamp_s, True


class FaceTracker:
    """Associates the boxes of an image with known faces. Times are seconds of the images' stamps.

    A face moves with its velocity (constant while it is seen, decaying while it is not). Boxes are assigned greedily,
    the largest overlap with a predicted face first. The assignment with the largest sum would take a face's nearest box
    away for a face that is far from any; docs/faces_over_time.md compares both.

    Source: constant velocity and overlap: Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016. Boxes of low
    score continue a face and begin none: Zhang et al., "ByteTrack", ECCV 2022, algorithm 1.
    """

    def __init__(self, max_age_s: float = 1.0, min_iou: float = MIN_IOU, first_face: int = 0):
        """Start without faces.

        :param max_age_s: a face that was not seen for longer loses its id.
        :param min_iou: boxes with this intersection over union are the same face; above 0, up to 1.
        :param first_face: number of the first face, from 0; see :func:`face_id`.
        :raises BadParameter: for a value outside its range.
        """
        self._tracks: List[_Track] = []
        self._stamp_s = -math.inf
        self._faces = first_face
        self.adjust(max_age_s, min_iou)

    def adjust(self, max_age_s: float, min_iou: float) -> None:
        """Change the settings; the faces stay. See __init__."""
        if not (math.isfinite(max_age_s) and max_age_s >= 0):
            raise BadParameter(f'expected a largest age of 0 s or more, got {max_age_s!r}')
        if not 0 < min_iou <= 1:
            raise BadParameter(f'expected a least overlap above 0 and up to 1, got {min_iou!r}')
        self._max_age_s, self._min_iou = max_age_s, min_iou

    @property
    def live_ids(self) -> List[str]:
        """Ids of the faces that were seen within `max_age_s` of the latest image, oldest first."""
        return [track.identity for track in self._tracks]

    def update(self, boxes: np.ndarray, scores: np.ndarray, stamp_s: float, begin_score: float = 0.0) -> List[str]:
        """Give ids to the faces that a detector found in the next image.

        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param scores: (N,); of two boxes with equal overlap, that of the higher score gets the id.
        :param stamp_s: when the image was taken, in seconds. One up to image_times.BACK_S before the latest counts as
            the latest; an older one forgets all faces.
        :param begin_score: boxes of a lower score only continue a face that was in the image before and that no other
            box fits.
        :returns: N different ids; '' for boxes of a low score without a known face.
        :raises BadParameter: for boxes or a stamp that are not finite, or another number of scores.
        """
        boxes, scores = self._checked(boxes, scores, stamp_s)
        stamp_s = not_before(stamp_s, self._stamp_s)
        self._advance(stamp_s)
        ids = [''] * len(boxes)
        sure = scores >= begin_score
        waiting = list(self._tracks)
        for rows, may_be_lost in ((np.flatnonzero(sure), True), (np.flatnonzero(~sure), False)):
            candidates = [track for track in waiting if may_be_lost or track.in_sight]
            for index, row in self._pairs(candidates, boxes[rows], scores[rows], stamp_s, near=may_be_lost):
                waiting.remove(candidates[index])
                candidates[index].see(boxes[rows[row]], stamp_s)
                ids[rows[row]] = candidates[index].identity
        for track in waiting:
            track.in_sight = False
        for row in np.argsort(-scores, kind='stable'):
            if sure[row] and not ids[row]:
                ids[row] = face_id(self._faces)
                self._faces += 1
                self._tracks.append(_Track(ids[row], boxes[row], stamp_s))
        return ids

    def predicted(self, ids: Sequence[str], stamp_s: float) -> np.ndarray:
        """Predict the places of faces.

        :param ids: of live faces.
        :param stamp_s: when the image was taken, not before the latest.
        :returns: (N, 4) float64 boxes, x0 y0 x1 y1 in pixels; they may reach beyond the image.
        """
        tracks = {track.identity: track for track in self._tracks}
        return np.array([tracks[each].predicted(stamp_s) for each in ids], np.float64).reshape(-1, 4)

    def follow(self, ids: Sequence[str], boxes: np.ndarray, stamp_s: float) -> None:
        """Update known faces with their boxes in the next image, found without a detector; other faces stay.

        :param ids: of live faces.
        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param stamp_s: when the image was taken, in seconds, not before the latest.
        :raises BadParameter: for boxes or a stamp that are not finite.
        """
        boxes, _ = self._checked(boxes, np.zeros(len(ids)), stamp_s)
        stamp_s = max(stamp_s, self._stamp_s)
        for track in self._tracks:
            if track.identity in ids:
                track.see(boxes[list(ids).index(track.identity)], stamp_s)
        self._advance(stamp_s)

    def keep(self, ids: Sequence[str]) -> None:
        """Forget all other faces."""
        self._tracks = [track for track in self._tracks if track.identity in ids]

    def clear(self) -> None:
        """Forget all faces; ids are not used again."""
        self._tracks = []
        self._stamp_s = -math.inf

    @staticmethod
    def _checked(boxes: np.ndarray, scores: np.ndarray, stamp_s: float) -> Tuple[np.ndarray, np.ndarray]:
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64).reshape(-1)
        if len(boxes) != len(scores) or not (np.isfinite(boxes).all() and math.isfinite(stamp_s)):
            raise BadParameter(
                f'expected finite boxes with a score each and a finite stamp, got {len(boxes)} boxes, '
                f'{len(scores)} scores, stamp {stamp_s!r}'
            )
        return boxes, scores

    def _advance(self, stamp_s: float) -> None:
        if stamp_s < self._stamp_s:
            self.clear()
        self._stamp_s = stamp_s
        self._tracks = [track for track in self._tracks if stamp_s - track.seen_s <= self._max_age_s]

    def _pairs(
        self, tracks: Sequence[_Track], boxes: np.ndarray, scores: np.ndarray, stamp_s: float, near: bool
    ) -> List[Tuple[int, int]]:
        """Match tracks and boxes one to one: first by overlap, then by distance."""
        if not tracks or not len(boxes):
            return []
        predicted = np.stack([track.predicted(stamp_s) for track in tracks])
        lost_s = np.array([0.0 if track.in_sight else stamp_s - track.seen_s for track in tracks])[:, None]
        overlap = intersection_over_union(predicted, boxes)
        nearness: Union[float, np.ndarray] = -np.inf
        if near:
            nearness = _nearness(predicted, boxes, MAX_SHIFT + MAX_SHIFT_PER_S * lost_s)
        # Overlap ranks above nearness: it is above 0, nearness below -1.
        affinity = np.where(overlap >= self._min_iou, overlap, nearness) - _LOST_COST * lost_s.clip(0, 1)
        # Of equal affinities, the higher score comes first, then the older face.
        track_of, row_of = np.nonzero(np.isfinite(affinity))
        order = np.lexsort((track_of, -scores[row_of], -affinity[track_of, row_of]))
        pairs: List[Tuple[int, int]] = []
        tracks_taken: Set[int] = set()
        rows_taken: Set[int] = set()
        for index, row in zip(track_of[order], row_of[order]):
            if index not in tracks_taken and row not in rows_taken:
                pairs.append((index, row))
                tracks_taken.add(index)
                rows_taken.add(row)
        return pairs


def _place_of(box: np.ndarray) -> np.ndarray:
    sides = np.maximum(box[2:] - box[:2], 1e-3)
    return np.concatenate([0.5 * (box[:2] + box[2:]), np.log(sides)])


def _box_of(place: np.ndarray) -> np.ndarray:
    half = 0.5 * np.exp(place[2:])
    return np.concatenate([place[:2] - half, place[:2] + half])


def intersection_over_union(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each pair of boxes.

    :param first: (M, 4) x0 y0 x1 y1.
    :param second: (N, 4).
    :returns: (M, N) in [0, 1]; 0 for boxes without area.
    """
    corners = np.minimum(first[:, None, 2:], second[None, :, 2:]) - np.maximum(first[:, None, :2], second[None, :, :2])
    shared = corners.clip(0).prod(axis=2)
    union = _areas(first)[:, None] + _areas(second)[None] - shared
    return shared / np.maximum(union, 1e-9)


def _nearness(first: np.ndarray, second: np.ndarray, max_shift: np.ndarray) -> np.ndarray:
    """Return -1 - distance of the centres in sides of the larger box; -inf where distance or growth is too large."""
    shift = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    areas = np.stack(np.broadcast_arrays(_areas(first)[:, None], _areas(second)[None]))
    small, large = np.maximum(areas.min(axis=0), 1e-9), areas.max(axis=0)
    distance = np.hypot(shift[:, :, 0], shift[:, :, 1]) / np.sqrt(np.maximum(large, 1e-9))
    return np.where((distance <= max_shift) & (large <= MAX_GROWTH * small), -1.0 - distance, -np.inf)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
