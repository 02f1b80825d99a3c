"""Track faces from frame to frame by position and appearance; deterministic."""

import functools
import math
from typing import Callable, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.image_times import not_before

# Ids have only consonants, so they spell no words. Numbers are multiplied by a factor coprime to the number of ids: any
# two of a thousand consecutive ids differ in three letters.
_LETTERS = 'bcdfghjklmnpqrstvwxz'
_ID_LENGTH = 5
#: Number of ids.
ID_COUNT = len(_LETTERS) ** _ID_LENGTH
_ID_FACTOR = 1131263

#: Default: boxes with at least this intersection over union are the same face.
MIN_IOU = 0.3

#: With less overlap, a face is still the same if its centre moved by less than this share of its side, ...
MAX_SHIFT = 0.75
#: ... and this much more for each second since it was seen ...
MAX_SHIFT_PER_S = 1.0
#: ... and its area changed by less than this factor.
MAX_GROWTH = 2.0

#: Default time for which the appearance of a lost face is remembered.
REMEMBER_S = 30.0
#: Maximum number of remembered lost faces; the one lost first is forgotten first.
MAX_REMEMBERED = 100

# Likeness is the dot product of two appearance descriptors. Measured (docs/faces_over_time.md): of pairs of one person,
# in other light and moved, 99.8% are above 0.2 and 96% above 0.65; of pairs of two persons 24%, and 2 in 100,000.
#: A visible face does not match a box with less likeness, unless they overlap within _BRIEFLY_S: it may have turned, or
#: a hand may cover it.
_BRIEFLY_S = 0.3
DIFFERENT = 0.2
#: A lost face matches a box near its last position with at least this likeness, ...
LIKE = 0.35
#: ... or a box anywhere with at least this likeness, and CLEARLY more than that of any other known face.
SAME = 0.65
CLEARLY = 0.1
#: Delay before a new track starts for a face that enters the image, or whose likeness to a lost one is between LIKE and
#: SAME: the view at that time decides its identity.
_HESITATE_S = 0.6
#: Weight of likeness relative to overlap: it decides when two faces exchange their positions between two images; for
#: two similar faces, overlap does.
_LIKENESS_WEIGHT = 5.0
#: Maximum number of remembered views of a face; a new view has less likeness than _NEW_VIEW to the others.
_MAX_VIEWS, _NEW_VIEW = 5, 0.75

#: If the number of faces is limited, a new face with so many times the area replaces a tracked one.
_LARGER = 4.0

#: Time constant of the velocity: a shorter one follows the detector's jitter, a longer one lags behind turns.
_VELOCITY_S = 0.1
#: Time constant with which the predicted motion of a lost face stops.
_REST_S = 0.4
#: Reduction of a lost face's overlap per second, when two faces compete for a box.
_LOST_COST = 0.3

#: Row of a box -> its appearance descriptor, a unit vector.
_Look = Callable[[int], np.ndarray]


def face_id(number: int) -> str:
    """Return the id of the n-th face: five lower-case letters.

    :param number: from 0; ids repeat after 3.2 million.
    """
    rest = (number + 1) * _ID_FACTOR % ID_COUNT
    return ''.join(_LETTERS[rest // len(_LETTERS) ** place % len(_LETTERS)] for place in range(_ID_LENGTH))


class _Track:
    """Track of one face: last position (`place`: centre and logarithm of the sides) and velocity."""

    def __init__(self, identity: str, box: np.ndarray, stamp_s: float) -> None:
        self.identity = identity
        self.place, self.velocity = _place_of(box), np.zeros(4)
        self.seen_s, self.in_sight = stamp_s, True
        #: (V, D) appearance descriptors of its views, the oldest first.
        self.views: Optional[np.ndarray] = None

    def predicted(self, stamp_s: float) -> np.ndarray:
        """Predict its box at a later time, with decaying velocity."""
        way_s = -_REST_S * math.expm1(-max(stamp_s - self.seen_s, 0.0) / _REST_S)
        sides = np.exp(self.place[2:])
        furthest = np.concatenate([MAX_SHIFT * sides, [0.5 * math.log(MAX_GROWTH)] * 2])
        return _box_of(self.place + np.clip(way_s * self.velocity, -furthest, furthest))

    def see(self, box: np.ndarray, stamp_s: float) -> None:
        """Update with its box in the image of `stamp_s`."""
        place, elapsed_s = _place_of(box), stamp_s - self.seen_s
        if elapsed_s > 0:
            # With little elapsed time, the new velocity gets little weight: it is inaccurate.
            share = -math.expm1(-elapsed_s / _VELOCITY_S)
            self.velocity += share * ((place - self.place) / elapsed_s - self.velocity)
        self.place, self.seen_s, self.in_sight = place, stamp_s, True

    @property
    def area(self) -> float:
        """Area of its box, in square pixels."""
        return float(np.exp(self.place[2] + self.place[3]))

    def likeness(self, description: np.ndarray) -> float:
        """Return the likeness of a descriptor to the most similar view; 0 without views."""
        return 0.0 if self.views is None else float(self.views.dot(description).max())

    def learn(self, description: np.ndarray) -> None:
        """Remember another view."""
        views = [] if self.views is None else [self.views]
        self.views = np.concatenate([*views, description[None]])[-_MAX_VIEWS:]

    def return_to(self, box: np.ndarray, stamp_s: float) -> None:
        """Set it to another position, where it was recognised."""
        self.place, self.velocity = _place_of(box), np.zeros(4)
        self.seen_s, self.in_sight = stamp_s, True


class FaceTracker:
    """Associate the boxes of each image with known faces. Times are the images' stamps, in seconds.

    Positions are predicted with constant velocity, which decays while a face is lost. Boxes are assigned greedily, the
    largest overlap with a prediction first: an optimal assignment would give a face's nearest box to a face that is far
    from any; docs/faces_over_time.md compares both. With appearance descriptors, likeness decides between close faces,
    and lost faces are re-identified; in doubt, a face is a new one. Descriptors are kept in memory only.

    Source: constant velocity and overlap: Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016. Boxes of low
    score continue a track but do not start one: Zhang et al., "ByteTrack", ECCV 2022, algorithm 1.
    """

    def __init__(
        self, max_age_s: float = 1.0, min_iou: float = MIN_IOU, first_face: int = 0, remember_s: float = REMEMBER_S
    ):
        """Start without faces.

        :param max_age_s: the track of a face that was not seen for longer ends.
        :param min_iou: boxes with at least this intersection over union are the same face; above 0, up to 1.
        :param first_face: number of the first face, from 0; see :func:`face_id`.
        :param remember_s: a face that was not seen for up to this time gets its id back if its appearance is
            recognised; 0 for never. Up to `max_age_s`, the appearance is remembered in any case.
        :raises BadParameter: for a value outside its range.
        """
        self._tracks: List[_Track] = []
        self._gone: List[_Track] = []
        #: (M, 5) faces whose tracks have not started yet: box, and time when first seen.
        self._doubtful = np.zeros((0, 5))
        self._stamp_s, self._is_cut = -math.inf, False
        self._first_face = self._faces = first_face
        self.adjust(max_age_s, min_iou, remember_s)

    def adjust(self, max_age_s: float, min_iou: float, remember_s: float = REMEMBER_S) -> None:
        """Change the settings; the faces stay. See __init__."""
        if not (math.isfinite(max_age_s) and max_age_s >= 0):
            raise BadParameter(f'expected a maximum age of 0 s or more, got {max_age_s!r}')
        if not 0 < min_iou <= 1:
            raise BadParameter(f'expected a minimum overlap above 0 and up to 1, got {min_iou!r}')
        if not (math.isfinite(remember_s) and remember_s >= 0):
            raise BadParameter('expected to remember faces for 0 s or more, got %r' % (remember_s,))
        self._max_age_s, self._min_iou, self._remember_s = max_age_s, min_iou, remember_s

    def for_another_stream(self) -> 'FaceTracker':
        """Return a FaceTracker with the same settings, and no faces; its ids start with the first again."""
        return FaceTracker(self._max_age_s, self._min_iou, self._first_face, self._remember_s)

    @property
    def live_ids(self) -> List[str]:
        """Ids of the faces that were seen within `max_age_s` of the latest image, oldest first."""
        return [track.identity for track in self._tracks]

    def update(
        self,
        boxes: np.ndarray,
        scores: np.ndarray,
        stamp_s: float,
        begin_score: float = 0.0,
        describe: Optional[_Look] = None,
        most: int = 0,
        entering: Optional[np.ndarray] = None,
    ) -> List[str]:
        """Assign ids to the faces that a detector found in the next image.

        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param scores: (N,); of two boxes with equal overlap, that of the higher score gets the id.
        :param stamp_s: acquisition time in seconds. One up to image_times.BACK_S before the latest counts as the
            latest; an older one forgets all faces.
        :param begin_score: boxes of a lower score only continue a face of the previous image that matches no other box.
        :param describe: row of a box -> appearance descriptor, (D,) float32 of length 1. None: only positions count.
        :param most: maximum number of faces: those already tracked come first, then the largest; 0 for all. A new one
            of four times the area replaces the smallest.
        :param entering: (N,) bool: faces that the image's edge may cut; unknown ones start after a short delay.
        :returns: N different ids; '' for boxes of low score without a known face, beyond `most`, and during the delay
            for a face that enters or is similar to a lost one.
        :raises BadParameter: for boxes or a stamp that are not finite, or another number of scores.
        """
        boxes, scores = self._checked(boxes, scores, stamp_s)
        stamp_s = not_before(stamp_s, self._stamp_s)
        is_first = not -math.inf < self._stamp_s <= stamp_s
        self._advance(stamp_s)
        look = functools.lru_cache(None)(describe) if describe is not None else None
        if self._is_cut:
            is_first = self._check_cut(boxes, look, stamp_s)
        if entering is None or is_first:  # in a scene's first image, no face enters
            entering = np.zeros(len(boxes), bool)
        sure = scores >= begin_score
        ids = self._continued(boxes, scores, sure, stamp_s, look)
        new = [row for row in np.argsort(-scores, kind='stable') if sure[row] and not ids[row]]
        new, replaced = self._admitted(new, boxes, most, look)
        ids = ['' if each in replaced else each for each in ids]
        descriptions = [None if look is None else look(row) for row in new]
        for row, identity in zip(new, self._begin(boxes[new], stamp_s, descriptions, entering[new])):
            ids[row] = identity
        return ids

    def _continued(
        self, boxes: np.ndarray, scores: np.ndarray, sure: np.ndarray, stamp_s: float, look: Optional[_Look]
    ) -> List[str]:
        """Match the tracked faces near their positions; return ids, '' for other boxes."""
        ids = [''] * len(boxes)
        waiting = list(self._tracks)
        for rows, may_be_lost in ((np.flatnonzero(sure), True), (np.flatnonzero(~sure), False)):
            candidates = [track for track in waiting if may_be_lost or track.in_sight]
            for track, row in self._pairs(candidates, boxes, scores, rows, stamp_s, may_be_lost, look):
                waiting.remove(track)
                track.see(boxes[row], stamp_s)
                ids[row] = track.identity
                if may_be_lost and look is not None:
                    self._learn(track, look(row))
        for track in waiting:
            track.in_sight = False
        return ids

    def _begin(
        self, boxes: np.ndarray, stamp_s: float, descriptions: Sequence[Optional[np.ndarray]], entering: np.ndarray
    ) -> List[str]:
        """Return ids for unmatched boxes, of known or new faces; '' while a face is delayed."""
        if not len(boxes) and not len(self._doubtful):  # the usual case
            return []
        before, seen_s = self._doubtful[:, :4], self._doubtful[:, 4]
        same = intersection_over_union(before, boxes) >= self._min_iou
        same |= np.isfinite(_nearness(before, boxes, np.array(MAX_SHIFT)))
        first_s = np.where(same, seen_s[:, None], stamp_s).min(axis=0, initial=stamp_s)
        ids = [
            self._begun(box, stamp_s, description, is_entering, stamp_s - since_s < _HESITATE_S)
            for box, description, is_entering, since_s in zip(boxes, descriptions, entering, first_s)
        ]
        waits = np.array([not each for each in ids], bool)
        # A delayed face may be missed in an image, too.
        missed = (stamp_s - seen_s < 2 * _HESITATE_S) & ~same.any(axis=1)
        self._doubtful = np.concatenate([self._doubtful[missed], np.column_stack([boxes, first_s])[waits]])
        return ids

    def _begun(
        self,
        box: np.ndarray,
        stamp_s: float,
        description: Optional[np.ndarray],
        is_entering: bool,
        may_wait: bool,
    ) -> str:
        """Return the id of one unmatched box."""
        track, is_doubtful = (None, False) if description is None else self._recognised(description)
        if may_wait and (is_doubtful or (is_entering and track is None)):
            return ''
        if track is None:
            track = _Track(face_id(self._faces), box, stamp_s)
            self._faces += 1
        else:
            track.return_to(box, stamp_s)
        if track in self._gone:
            self._gone.remove(track)
        if track not in self._tracks:
            self._tracks.append(track)
        if description is not None:
            self._learn(track, description)
        return track.identity

    def _check_cut(self, boxes: np.ndarray, look: Optional[_Look], stamp_s: float) -> bool:
        """End all tracks after a scene change, unless a face is still at its position; return whether it was one."""
        self._is_cut = False
        for track in self._tracks:
            overlap = intersection_over_union(track.predicted(stamp_s)[None], boxes)[0]
            for row in np.flatnonzero(overlap >= self._min_iou):
                if look is not None and track.likeness(look(row)) >= SAME:
                    return False
        for track in list(self._tracks):
            self._leave(track)
        return True

    def _admitted(
        self, rows: Sequence[int], boxes: np.ndarray, most: int, look: Optional[_Look]
    ) -> Tuple[List[int], List[str]]:
        """Choose new faces if their number is limited; much larger ones replace tracked ones.

        A tracked face that is recognised at another position does not count as new.

        :returns: rows of the new faces, and ids of the replaced ones.
        """
        if not most:
            return list(rows), []
        known: Dict[_Track, int] = {}  # track -> row, one box per face
        if look is not None and not all(track.in_sight for track in self._tracks):
            for row in rows:
                track = self._recognised(look(row))[0]
                if track in self._tracks:
                    known.setdefault(track, row)
        rows = [row for row in rows if row not in known.values()]
        areas, room = _areas(boxes), max(most - len(self._tracks), 0)
        by_area = sorted(rows, key=lambda row: -areas[row])
        smallest_first = sorted((track for track in self._tracks if track not in known), key=lambda track: track.area)
        pairs = [
            (row, track) for row, track in zip(by_area[room:], smallest_first) if areas[row] >= _LARGER * track.area
        ]
        for _, track in pairs:
            self._leave(track)
        admitted = by_area[:room] + [row for row, _ in pairs]
        return list(known.values()) + [row for row in rows if row in admitted], [track.identity for _, track in pairs]

    def _learn(self, track: _Track, description: np.ndarray) -> None:
        """Remember another view of a face, unless it is more like another face: they may have been confused."""
        likeness = track.likeness(description)
        if likeness >= _NEW_VIEW:
            return  # nothing new
        others = [each.likeness(description) for each in self._tracks + self._gone if each is not track]
        if track.views is None or likeness >= max(others + [LIKE]):
            track.learn(description)

    def _recognised(self, description: np.ndarray) -> Tuple[Optional[_Track], bool]:
        """Compare a new face with the lost ones.

        :returns: the recognised face (see SAME and CLEARLY) or None; and whether it is None although one is similar.
        """
        known = self._tracks + self._gone
        out_of_sight = np.array([not track.in_sight for track in known], bool)
        if not out_of_sight.any():
            return None, False
        likeness = np.array([track.likeness(description) for track in known])
        best = int(np.where(out_of_sight, likeness, -np.inf).argmax())
        others = np.delete(likeness, best)
        if likeness[best] >= SAME and (not len(others) or likeness[best] - others.max() >= CLEARLY):
            return known[best], False
        return None, bool(likeness[best] >= LIKE)

    def predicted(self, ids: Sequence[str], stamp_s: float) -> np.ndarray:
        """Predict the boxes of faces.

        :param ids: of live faces.
        :param stamp_s: acquisition time of the image in seconds, not before the latest.
        :returns: (N, 4) float64 boxes, x0 y0 x1 y1 in pixels; they may extend beyond the image.
        """
        tracks = {track.identity: track for track in self._tracks}
        return np.array([tracks[each].predicted(stamp_s) for each in ids], np.float64).reshape(-1, 4)

    def follow(self, ids: Sequence[str], boxes: np.ndarray, stamp_s: float) -> None:
        """Update faces with their boxes in the next image, located without a detector; other faces stay.

        :param ids: of live faces.
        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, finite.
        :param stamp_s: acquisition time in seconds, not before the latest.
        :raises BadParameter: for boxes or a stamp that are not finite.
        """
        boxes, _ = self._checked(boxes, np.zeros(len(ids)), stamp_s)
        stamp_s, box_of = max(stamp_s, self._stamp_s), dict(zip(ids, boxes))
        for track in self._tracks:
            if track.identity in box_of:
                track.see(box_of[track.identity], stamp_s)
        self._advance(stamp_s)

    def cut(self) -> None:
        """Report that the next image seems to show another scene.

        Unless a face is still at its position, faces are then only recognised by appearance.
        """
        self._is_cut = True

    def forget_looks(self) -> None:
        """Forget lost faces, and the appearance of live ones."""
        self._gone = []
        for track in self._tracks:
            track.views = None

    def clear(self) -> None:
        """Forget all faces and their appearance; ids are not reused."""
        self._tracks, self._gone, self._doubtful = [], [], np.zeros((0, 5))
        self._stamp_s, self._is_cut = -math.inf, False

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
        for track in [track for track in self._tracks if stamp_s - track.seen_s > self._max_age_s]:
            self._leave(track)
        self._gone = [track for track in self._gone if stamp_s - track.seen_s <= max(self._remember_s, self._max_age_s)]

    def _leave(self, track: _Track) -> None:
        """End a track; its appearance is remembered."""
        self._tracks.remove(track)
        track.in_sight = False
        if track.views is not None:
            self._gone = (self._gone + [track])[-MAX_REMEMBERED:]

    @staticmethod
    def _likeness(track: _Track, description: np.ndarray, stamp_s: float, overlaps: bool) -> float:
        """Return the contribution of likeness to affinity; -inf for a face that looks different."""
        likeness = track.likeness(description)
        is_sure = track.in_sight and overlaps and stamp_s - track.seen_s <= _BRIEFLY_S
        least = DIFFERENT if track.in_sight else LIKE
        if track.views is not None and likeness < least and not is_sure:
            return -math.inf
        return _LIKENESS_WEIGHT * likeness

    def _pairs(
        self,
        tracks: Sequence[_Track],
        boxes: np.ndarray,
        scores: np.ndarray,
        rows: np.ndarray,
        stamp_s: float,
        may_be_lost: bool,
        look: Optional[_Look],
    ) -> List[Tuple[_Track, int]]:
        """Match tracks and some rows of the boxes one to one: first by overlap, then by distance, then by likeness."""
        if not tracks or not len(rows):
            return []
        boxes, scores = boxes[rows], scores[rows]
        predicted = np.stack([track.predicted(stamp_s) for track in tracks])
        lost_s = np.array([0.0 if track.in_sight else stamp_s - track.seen_s for track in tracks])[:, None]
        overlap = intersection_over_union(predicted, boxes)
        nearness: Union[float, np.ndarray] = -np.inf
        if may_be_lost:
            reach = MAX_SHIFT + MAX_SHIFT_PER_S * lost_s
            # A shaking camera may return the face to its previous position.
            before = np.stack([_box_of(track.place) for track in tracks])
            nearness = np.maximum(_nearness(predicted, boxes, reach), _nearness(before, boxes, reach))
        # Overlap (above 0) ranks above nearness (below -1).
        affinity = np.where(overlap >= self._min_iou, overlap, nearness) - _LOST_COST * lost_s.clip(0, 1)
        if look is not None and may_be_lost:
            for index, row in zip(*np.nonzero(np.isfinite(affinity))):
                affinity[index, row] += self._likeness(
                    tracks[index], look(rows[row]), stamp_s, overlap[index, row] >= self._min_iou
                )
        # Of equal affinities, the higher score comes first, then the older face.
        track_of, row_of = np.nonzero(np.isfinite(affinity))
        order = np.lexsort((track_of, -scores[row_of], -affinity[track_of, row_of]))
        pairs: Dict[int, int] = {}
        for index, row in zip(track_of[order], row_of[order]):
            if index not in pairs and row not in pairs.values():
                pairs[index] = row
        return [(tracks[index], rows[row]) for index, row in pairs.items()]


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
    """Return -1 - distance of the centres in sides of the larger box; -inf if distance or growth is too large."""
    shift = (first[:, None, :2] + first[:, None, 2:] - second[None, :, :2] - second[None, :, 2:]) / 2
    areas = _areas(first)[:, None], _areas(second)[None]
    small, large = np.maximum(np.minimum(*areas), 1e-9), np.maximum(*areas)
    distance = np.hypot(shift[:, :, 0], shift[:, :, 1]) / np.sqrt(np.maximum(large, 1e-9))
    return np.where((distance <= max_shift) & (large <= MAX_GROWTH * small), -1.0 - distance, -np.inf)


def _areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1)
