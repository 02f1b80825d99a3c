"""The interface of all sets of labelled faces."""

import abc
import copy
from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from facial_emotion_ros.core.emotions import AFFECT_COORDINATES, EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.corrupt_images import CorruptImage

#: Selects rows: integer indices, in the order wanted, or a mask.
Rows = np.ndarray | slice | Sequence[int] | Sequence[bool]

#: Valence and arousal were annotated.
ANNOTATED = 'annotated'

#: Valence and arousal are votes for categories projected on published coordinates (AFFECT_COORDINATES).
DERIVED_FROM_VOTES = 'derived from votes'


def affect_of(distributions: ArrayLike) -> np.ndarray:
    """Project distributions over the classes into the valence/arousal plane.

    :param distributions: (N, 8) float, rows that sum to 1, in the order of EMOTIONS.
    :returns: (N, 2) float32: valence, arousal.
    """
    table = np.array([AFFECT_COORDINATES[emotion] for emotion in EMOTIONS], np.float32)
    return np.asarray(distributions, np.float32).reshape(-1, len(EMOTIONS)) @ table


_Set = TypeVar('_Set', bound='FaceSet')


class FaceSet(abc.ABC):
    """Labelled faces; the labels are in memory, the images where the subclass keeps them.

    name: display name.
    names: (N,) str, image names, as lists of held-out images use them.
    distributions: (N, 8) float32 in the order of EMOTIONS; rows sum to 1 (a single label is one-hot), or are NaN
        without a category.
    labels: (N,) int64 class by the set's evaluation protocol, -1 for none.
    affect: (N, 2) float32 valence and arousal in [-1, 1], NaN where unknown.
    affect_source: ANNOTATED or DERIVED_FROM_VOTES, to be shown with any affect metric.
    damaged: unusable images, which are no rows.
    """

    affect_source = ANNOTATED

    #: (N,) sampling factors in training; None: all 1.
    draw_factors: np.ndarray | None = None

    #: Arrays that :meth:`rows` indexes; subclasses add theirs.
    _per_row: tuple[str, ...] = ('names', 'distributions', 'labels', 'affect')

    def __init__(
        self,
        name: str,
        names: ArrayLike,
        distributions: ArrayLike,
        labels: ArrayLike,
        affect: ArrayLike,
        damaged: Iterable[CorruptImage] = (),
    ) -> None:
        """Store and validate the labels.

        :raises BadDataset: if shapes, distributions, labels or affect are invalid.
        """
        self.name = name
        self.names = np.asarray(names, str)
        self.distributions = np.asarray(distributions, np.float32)
        self.labels = np.asarray(labels, np.int64)
        self.affect = np.asarray(affect, np.float32)
        self.damaged = tuple(damaged)
        self._check()

    def __len__(self) -> int:
        return len(self.names)

    @abc.abstractmethod
    def faces(self, rows: Rows | None = None) -> Sequence[np.ndarray] | np.ndarray:
        """Read faces.

        :param rows: (M,) integer indices or (N,) bool; None for all.
        :returns: M uint8 arrays in the order of `rows`, (P, P) gray or (P, P, 3) BGR: a list or one array.
        :raises BadDataset: if an image can no longer be read.
        """

    def rows(self: _Set, chosen: Rows) -> _Set:
        """Return a set of the same kind with the chosen rows."""
        kept = copy.copy(self)
        kept._keep(chosen)
        return kept

    def with_derived_affect(self: _Set) -> _Set:
        """Return a set of the same kind with affect derived from votes or labels, for sets without annotated affect."""
        derived = copy.copy(self)
        derived.affect = affect_of(self.distributions)
        derived.affect_source = DERIVED_FROM_VOTES
        return derived

    def where_category(self) -> np.ndarray:
        """Return the rows with a category, (M,) int64."""
        return np.flatnonzero(~np.isnan(self.distributions[:, 0]))

    def where_affect(self) -> np.ndarray:
        """Return the rows with valence and arousal, (M,) int64."""
        return np.flatnonzero(~np.isnan(self.affect).any(1))

    def describe(self) -> str:
        """Summarise the set in one line."""
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(EMOTIONS))
        classes = ', '.join(f'{emotion} {count}' for emotion, count in zip(EMOTIONS, counts))
        return (
            f'{self.name}: {len(self)} faces, {counts.sum()} labelled ({classes}), {len(self.where_category())} with a '
            f'category, {len(self.where_affect())} with affect ({self.affect_source}), '
            f'{len(self.damaged)} damaged images skipped'
        )

    def _keep(self, chosen: Rows) -> None:
        for name in self._per_row:
            setattr(self, name, getattr(self, name)[chosen])

    def _check(self) -> None:
        count = len(self.names)
        for name, shape in (('distributions', (count, len(EMOTIONS))), ('labels', (count,)), ('affect', (count, 2))):
            came = getattr(self, name).shape
            if came != shape:
                raise BadDataset(f'{self.name}: expected {name} of shape {shape} for {count} names, got {came}')
        holes, shares = np.isnan(self.distributions), self.distributions
        is_sound = (shares >= 0).all(1) & (np.abs(shares.sum(1) - 1) < 1e-3)
        classes = f'a class from 0 to {len(EMOTIONS) - 1}, or -1 for none'
        rated = 'valence and arousal in [-1, 1] (scaled so, or NaN where they are unknown)'
        self._refuse(holes.any(1) & ~holes.all(1), 'eight shares, or eight NaN', shares)
        self._refuse((self.labels < -1) | (self.labels >= len(EMOTIONS)), classes, self.labels)
        self._refuse(~holes.all(1) & ~is_sound, 'eight shares, at least 0, that sum to 1', shares)
        self._refuse((np.abs(self.affect) > 1).any(1), rated, self.affect)

    def _refuse(self, wrong: ArrayLike, expected: str, values: np.ndarray) -> None:
        rows = np.flatnonzero(wrong)
        if len(rows):
            raise BadDataset(f'{self.name}: {self.names[rows[0]]}: expected {expected}, got {values[rows[0]].tolist()}')


def held_out(face_set: FaceSet, names: Iterable[str]) -> tuple[FaceSet, FaceSet]:
    """Split a set by image names.

    :param face_set: FaceSet.
    :param names: names of the images to hold out.
    :returns: (rest, held out), both FaceSet, in the set's order.
    :raises BadDataset: if a name is not in the set.
    """
    wanted = set(names)
    is_held_out = np.isin(face_set.names, list(wanted))
    absent = sorted(wanted.difference(face_set.names.tolist(), (each.name for each in face_set.damaged)))
    if absent:
        raise BadDataset(
            f'{face_set.name}: {len(absent)} of {len(wanted)} names to hold out are not in this set '
            f'({", ".join(absent[:5])}{", ..." if len(absent) > 5 else ""}); is the list for another set?'
        )
    return face_set.rows(~is_held_out), face_set.rows(is_held_out)


def read_names(path: str) -> list[str]:
    """Read image names, one per line.

    :param path: text file; # starts a comment line, and text after white space is ignored.
    :raises BadDataset: if the file cannot be read.
    """
    try:
        with open(path, encoding='utf-8-sig') as file:
            return [line.split()[0] for line in file if line.strip() and not line.startswith('#')]
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f'{path}: expected a list of image names, it cannot be read ({error})') from error
