"""Compute the appearance similarity (likeness) of all pairs of faces."""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from facial_emotion_ros.perception.face_appearance import SIZE
from facial_emotion_ros.recordings.people.face_views import SeenFace

# Likeness is the cosine similarity of two descriptors; docs/people.md has the measurements behind these thresholds.
#: Pairs of at least this likeness are listed for the user to decide.
UNCERTAIN = 0.5
#: Faces of at least this likeness are one person, if at most this many pairs are compared ...
CERTAIN, _FEW_PAIRS = 0.75, 10_000
#: ... plus this for each ten times as many pairs, so that the expected number of errors does not grow.
PER_DECADE = 0.06

#: Maximum number of pairs kept (of more, the best of each face), and number of faces compared with all others at once.
_MAX_PAIRS, _CHUNK = 1_000_000, 64


def certain(pairs: int) -> float:
    """Return the likeness threshold for one person, given the number of pairs of exemplars compared."""
    return CERTAIN + PER_DECADE * math.log10(max(pairs, _FEW_PAIRS) / _FEW_PAIRS)


def likeness_of(one: SeenFace, other: SeenFace) -> float | None:
    """Return the likeness of two faces' most similar exemplars; None if a face has none."""
    if not len(one.exemplars) or not len(other.exemplars):
        return None
    return round(float((one.exemplars @ other.exemplars.T).max()), 4)


class Likeness:
    """Likeness of faces; pairs: (index, index, likeness) of at least UNCERTAIN, by descending likeness."""

    def __init__(self, known: Sequence[SeenFace]):
        # A face id that is two persons by the ground truth has views of both, so it is not compared.
        self._exemplars = [face.exemplars if len(face.persons) < 2 else face.exemplars[:0] for face in known]
        self._recordings = [face.key.recording for face in known]
        self.pairs = _alike(self._exemplars)
        self._within: dict[str, list[tuple[int, int, float]]] = {}
        for each in self.pairs:
            if self._recordings[each[0]] == self._recordings[each[1]]:
                self._within.setdefault(self._recordings[each[0]], []).append(each)

    def within(self, places: np.ndarray) -> list[tuple[int, int, float]]:
        """Return the pairs within one recording, whose faces have these indices."""
        return self._within.get(self._recordings[places[0]], [])

    def compared(self, places: Iterable[int]) -> int:
        """Count the pairs of exemplars of different faces with these indices."""
        counts = [len(self._exemplars[place]) for place in places]
        return (sum(counts) ** 2 - sum(count**2 for count in counts)) // 2


def _alike(exemplars):
    """List the pairs of faces with the likeness of their most similar exemplars."""
    # Pairs are collected as indices into this array.
    described = np.array([place for place, each in enumerate(exemplars) if len(each)], np.int32)
    matrix = np.concatenate([np.empty((0, SIZE), np.float32), *exemplars])
    begins = np.cumsum([0, *(len(exemplars[place]) for place in described)])
    least, most = np.full(len(described), UNCERTAIN, np.float32), max(_MAX_PAIRS // max(len(described), 1), 1)
    found = [(described[:0], described[:0], matrix[:0, 0])]
    count, is_cut = 0, False
    for first in range(0, len(described), _CHUNK):
        rows = begins[first : first + _CHUNK + 1]
        products = matrix[rows[0] : rows[-1]] @ matrix[rows[0] :].T
        products = np.maximum.reduceat(products, rows[:-1] - rows[0], axis=0)
        products = np.maximum.reduceat(products, begins[first:-1] - rows[0], axis=1)
        wanted = np.minimum(least[first : first + _CHUNK, None], least[first:])
        ones, others = np.nonzero(np.triu(products >= wanted, 1))
        found.append(((first + ones).astype(np.int32), (first + others).astype(np.int32), products[ones, others]))
        count += len(ones)
        if count > 2 * _MAX_PAIRS:
            found, is_cut = [_best_of_each(found, most, least)], True
            count = len(found[0][0])
    if is_cut or count > _MAX_PAIRS:
        found = [_best_of_each(found, most, least)]
    ones, others, products = map(np.concatenate, zip(*found))
    order = np.argsort(-products, kind='stable')
    columns = (described[ones[order]], described[others[order]], products[order])
    return [(one, other, round(product, 4)) for one, other, product in zip(*(each.tolist() for each in columns))]


def _best_of_each(found, most, least):
    """Keep the `most` best pairs of each face; raise its threshold in `least` to the worst of these."""
    ones, others, products = map(np.concatenate, zip(*found))
    order = np.argsort(-products, kind='stable')
    sides = np.stack([ones[order], others[order]], 1).ravel()
    by_face, counts = np.argsort(sides, kind='stable'), np.bincount(sides, minlength=len(least))
    begins = np.cumsum(counts) - counts
    is_best = np.empty(len(sides), bool)
    is_best[by_face] = np.arange(len(sides)) - np.repeat(begins, counts) < most
    full = np.flatnonzero(counts >= most)
    least[full] = products[order[by_face[begins[full] + most - 1] // 2]]
    kept = order[is_best.reshape(-1, 2).any(1)]
    return ones[kept], others[kept], products[kept]
