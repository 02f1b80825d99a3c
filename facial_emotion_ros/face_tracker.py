"""Give faces the same id from frame to frame, by where they are; the same frames give the same ids every time."""

import math
from typing import List, Sequence

import numpy as np

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.image_stamps import not_before

# Consonants alone spell no words. Consecutive numbers are multiplied apart so that no two ids look alike: the factor
# shares no divisor with the number of ids, and was searched for: of a thousand ids any two differ in three letters.
_LETTERS = 'bcdfghjklmnpqrstvwxz'
_ID_LENGTH = 5
#: So many ids there are.
ID_COUNT = len(_LETTERS) ** _ID_LENGTH
_ID_FACTOR = 1131263

#: Boxes that overlap this much are the same face, unless another share is given.
MIN_IOU = 0.3

#: Without enough overlap, a face is still the same one if its centre is off by less than this share of its side ...
MAX_SHIFT = 0.75
#: ... and this much more for each second that it was lost, for then its place is the less certain ...
MAX_SHIFT_PER_S = 1.0
#: ... and its area differs by less than this factor.
MAX_GROWTH = 2.0

#: A velocity is the mean of about so long a time: less follows the detector's jitter, more lags behind turns.
_VELOCITY_S = 0.1
#: A face that is not seen any more comes to rest in about so long a time: nobody goes on straight for ever.
_REST_S = 0.4
#: How much overlap being lost for a second costs when two faces claim one box: whoever is in sight goes first.
_LOST_COST = 0.3


def face_id(number: int) -> str:
    """Spell the id of the n-th face.

    :param number: from 0; after 3.2 million the ids begin anew.
    :returns: five lower-case letters.
    """
    rest = (number + 1) * _ID_FACTOR % ID_COUNT
    letters = []
    for _ in range(_ID_LENGTH):
        rest, letter = divmod(rest, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return ''.join(letters)


class _Track:
    """One face over time: where it was when last seen, and how it moves. A place is centre and logarithm of sides."""

    def __init__(self, identity, box, stamp_s):
        self.identity = identity
        self.place, self.velocity = _place_of(box), np.zeros(4)
        self.seen_s = stamp_s
        self.in_sight = True

    def predicted(self, stamp_s):
        """Return its box at a later time: first it goes on as it went, then it comes to rest."""
        way_s = -_REST_S * math.expm1(-max(stamp_s - self.seen_s, 0.0) / _REST_S)
        sides = np.exp(self.place[2:])
        furthest = np.concatenate([MAX_SHIFT * sides, [0.5 * math.log(MAX_GROWTH)] * 2])
        return _box_of(self.place + np.clip(way_s * self.velocity, -furthest, furthest))

    def see(self, box, stamp_s):
        """Take its box in the image of `stamp_s`."""
        place, elapsed_s = _place_of(box), stamp_s - self.seen_s
        if elapsed_s > 0:
            # The share of the new velocity falls with the time between, so two stamps close together do no harm.
            share = -math.expm1(-elapsed_s / _VELOCITY_S)
            self.velocity += share * ((place - self.place) / elapsed_s - self.velocity)
        self.place, self.seen_s, self.in_sight = place, stamp_s, True


class FaceTracker:
    """Associates the boxes of an image with the faces of the images before. Times are seconds of the images' stamps.

    A face moves on with its velocity (constant while it is seen, dying away while it is not). The boxes of an image
    are given away pair by pair, the greatest overlap with a predicted face first. Greedy in this order, and not the
    assignment with the greatest sum, because a sum would give away the nearest box of a face to gain for another one
    that is far from any; docs/faces_over_time.md compares both.

    Source: constant velocity and overlap: Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016. Boxes of low
    score continue a face and begin none: Zhang et al., "ByteTrack", ECCV 2022, algorithm 1.
    """

    def __init__(self, max_age_s: float = 1.0, min_iou: float = MIN_IOU, first_face: int = 0):
        """Begin without faces.

        :param max_age_s: a face that was not seen for longer than this loses its id for good.
        :param min_iou: boxes that overlap this much (intersection over union) are the same face; above 0, up to 1.
        :param first_face: number of the first face, from 0; ids go on from there. See :func:`face_id`.
        :raises BadParameter: for a value outside its range.
        """
        self._tracks = []  # type: List[_Track]
        self._stamp_s = -math.inf
        self._faces = first_face
        self.adjust(max_age_s, min_iou)

    def adjust(self, max_age_s: float, min_iou: float):
        """Go on with other settings; the faces stay. See __init__."""
        if not (math.isfinite(max_age_s) and max_age_s >= 0):
            raise BadParameter(f'expected a largest age of 0 s or more, got {max_age_s!r}')
        if not 0 < min_iou <= 1:
            raise BadParameter(f'expected a least overlap above 0 and up to 1, got {min_iou!r}')
        self._max_age_s, self._min_iou = max_age_s, min_iou

    @property
    def live_ids(self) -> List[str]:
        """Ids of the faces seen no longer than `max_age_s` before the latest image, the oldest face first."""
        return [track.identity for track in self._tracks]

    def update(self, boxes: np.ndarray, scores: np.ndarray, stamp_s: float, begin_score: float = 0.0) -> List[str]:
        """Name the faces that a detector found in the next image.

        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param scores: (N,); of two boxes that could get one id equally well, that of higher score gets it.
        :param stamp_s: when the image was taken, in seconds. One that is a little late counts as taken when the latest
            was; one that lies more than image_stamps.BACK_S before that forgets all faces.
        :param begin_score: a box of lower score is only given to a face that was in sight just before and that no other
            box fits, never to a new one.
        :returns: N ids, one per box, no two alike but ''; '' for boxes of low score that are of no known face. N = 0
            gives [].
        :raises BadParameter: for boxes, scores or a stamp that are no such numbers.
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
        """Say where faces are by now, without having looked; nothing is remembered of that.

        :param ids: of live faces.
        :param stamp_s: when the image was taken, not before the latest.
        :returns: (N, 4) float64 boxes, x0 y0 x1 y1 in pixels; they may reach beyond the image.
        """
        tracks = dict((track.identity, track) for track in self._tracks)
        return np.array([tracks[each].predicted(stamp_s) for each in ids], np.float64).reshape(-1, 4)

    def follow(self, ids: Sequence[str], boxes: np.ndarray, stamp_s: float):
        """Take the boxes of known faces in the next image, found without a detector; other faces stay as they are.

        :param ids: of live faces.
        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param stamp_s: when the image was taken, in seconds, not before the latest.
        :raises BadParameter: for boxes or a stamp that are no such numbers.
        """
        boxes, _ = self._checked(boxes, np.zeros(len(ids)), stamp_s)
        stamp_s = max(stamp_s, self._stamp_s)
        for track in self._tracks:
            if track.identity in ids:
                track.see(boxes[list(ids).index(track.identity)], stamp_s)
        self._advance(stamp_s)

    def keep(self, ids: Sequence[str]):
        """Forget all faces but these.

        :param ids: of live faces.
        """
        self._tracks = [track for track in self._tracks if track.identity in ids]

    def clear(self):
        """Forget all faces; ids go on where they were, none is given twice."""
        self._tracks = []
        self._stamp_s = -math.inf

    def _checked(self, boxes, scores, stamp_s):
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        scores = np.asarray(scores, np.float64).reshape(-1)
        if len(boxes) != len(scores) or not (np.isfinite(boxes).all() and math.isfinite(stamp_s)):
            raise BadParameter(f'expected finite boxes with a score each and a finite stamp, got {len(boxes)} boxes, '
                               f'{len(scores)} scores, stamp {stamp_s!r}')
        return boxes, scores

    def _advance(self, stamp_s):
        if stamp_s < self._stamp_s:
            self.clear()
        self._stamp_s = stamp_s
        self._tracks = [track for track in self._tracks if stamp_s - track.seen_s <= self._max_age_s]

    def _pairs(self, tracks, boxes, scores, stamp_s, near):
        """Match tracks and boxes one to one: first whatever overlaps enough, the most first, then whatever is near."""
        if not tracks or not len(boxes):
            return []
        predicted = np.stack([track.predicted(stamp_s) for track in tracks])
        lost_s = np.array([0.0 if track.in_sight else stamp_s - track.seen_s for track in tracks])[:, None]
        overlap = intersection_over_union(predicted, boxes)
        nearness = _nearness(predicted, boxes, MAX_SHIFT + MAX_SHIFT_PER_S * lost_s) if near else -np.inf
        # Overlap ranks above nearness: an overlap that counts is above 0, a nearness that counts is below -1.
        affinity = np.where(overlap >= self._min_iou, overlap, nearness) - _LOST_COST * lost_s.clip(0, 1)
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


def _place_of(box):
    sides = np.maximum(box[2:] - box[:2], 1e-3)
    return np.concatenate([0.5 * (box[:2] + box[2:]), np.log(sides)])


def _box_of(place):
    half = 0.5 * np.exp(place[2:])
    return np.concatenate([place[:2] - half, place[:2] + half])


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


def _nearness(first, second, max_shift):
    """Return -1 - distance of the centres in sides of the larger box; -inf where that or the growth is too much."""
    shift = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    areas = np.stack(np.broadcast_arrays(_areas(first)[:, None], _areas(second)[None]))
    small, large = np.maximum(areas.min(axis=0), 1e-9), areas.max(axis=0)
    distance = np.hypot(shift[:, :, 0], shift[:, :, 1]) / np.sqrt(np.maximum(large, 1e-9))
    return np.where((distance <= max_shift) & (large <= MAX_GROWTH * small), -1.0 - distance, -np.inf)


def _areas(boxes):
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
