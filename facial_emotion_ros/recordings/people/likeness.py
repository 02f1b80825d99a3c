"""How alike the faces of many recordings look."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from facial_emotion_ros.perception.face_appearance import SIZE
from facial_emotion_ros.recordings.people.face_views import SeenFace

# Likeness is the product of two descriptions; docs/people.md says what was measured.
#: Faces that look so alike, and not enough to be one person, are listed for somebody to decide.
UNCERTAIN = 0.5
#: Faces that look so alike are one person, where few are compared ...
CERTAIN, _FEW_PAIRS = 0.75, 10_000
#: ... and this much more for ten times as many pairs, so that the number of errors to expect does not grow.
PER_DECADE = 0.06

#: Pairs of faces that are looked at, the most alike first; and faces that are compared with all at a time.
_MAX_PAIRS, _CHUNK = 1_000_000, 256


def certain(pairs: int) -> float:
    """Give the likeness from which faces are one person.

    :param pairs: of exemplars that are compared.
    """
    return CERTAIN + PER_DECADE * math.log10(max(pairs, _FEW_PAIRS) / _FEW_PAIRS)


def likeness_of(one: SeenFace, other: SeenFace) -> float | None:
    """Give the likeness of two faces' most similar views; None without any."""
    if not len(one.exemplars) or not len(other.exemplars):
        return None
    return round(float((one.exemplars @ other.exemplars.T).max()), 4)


class Likeness:
    """Likeness of faces; pairs: (place, place, likeness) from UNCERTAIN on, the most alike first."""

    def __init__(self, known: Sequence[SeenFace]):
        # A face that is two persons by the ground truth has views of both.
        self._exemplars = [face.exemplars if len(face.persons) < 2 else face.exemplars[:0] for face in known]
        self._recordings = [face.key.recording for face in known]
        owners = np.array([place for place, each in enumerate(self._exemplars) for _ in each], np.int64)
        matrix = np.concatenate([np.empty((0, SIZE), np.float32), *self._exemplars])
        found: dict[tuple[int, int], float] = {}
        least = UNCERTAIN
        for first in range(0, len(owners), _CHUNK):
            products = matrix[first : first + _CHUNK] @ matrix[first:].T
            rows, columns = np.nonzero(products >= least)
            pairs = zip(
                owners[first + rows].tolist(), owners[first + columns].tolist(), products[rows, columns].tolist()
            )
            for one, other, product in pairs:
                if one < other and product > found.get((one, other), 0.0):
                    found[one, other] = product
            if len(found) > 2 * _MAX_PAIRS:
                found = dict(_most_alike(found)[:_MAX_PAIRS])
                least = min(found.values())
        self.pairs = [(*places, round(product, 4)) for places, product in _most_alike(found)[:_MAX_PAIRS]]
        self._within: dict[str, list[tuple[int, int, float]]] = {}
        for each in self.pairs:
            if self._recordings[each[0]] == self._recordings[each[1]]:
                self._within.setdefault(self._recordings[each[0]], []).append(each)

    def within(self, places: np.ndarray) -> list[tuple[int, int, float]]:
        """Give the pairs of one recording, whose faces are at these places."""
        return self._within.get(self._recordings[places[0]], [])

    def compared(self, places: Iterable[int]) -> int:
        """Count the pairs of exemplars of different faces."""
        counts = [len(self._exemplars[place]) for place in places]
        return (sum(counts) ** 2 - sum(count**2 for count in counts)) // 2


def _most_alike(found):
    return sorted(found.items(), key=lambda each: (-each[1], each[0]))
