"""What every set of labelled faces offers, whichever files it comes from."""

import abc
import copy

import numpy as np

from facial_emotion_ros.affect_coordinates import affect_of
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset

#: People rated valence and arousal of these very pictures.
ANNOTATED = 'annotated'

#: Nobody rated them: votes for categories, projected on published coordinates (affect_coordinates.py).
DERIVED_FROM_VOTES = 'derived from votes'


class FaceSet(abc.ABC):
    """Labelled faces, row by row; the arrays lie in memory, the pictures where the kind of set keeps them.

    name: what the set is called in logs and reports.
    names: (N,) str, one for each picture, as lists of held-out pictures use it.
    distributions: (N, 8) float32 in the order of EMOTIONS; rows sum to 1 (a lone label is one-hot), or are NaN where
        the category is unknown.
    labels: (N,) int64, the class by the set's own protocol for evaluation, -1 where that keeps none.
    affect: (N, 2) float32 valence and arousal in [-1, 1], NaN where unknown.
    affect_source: ANNOTATED or DERIVED_FROM_VOTES; whoever shows a figure of affect shows this too.
    damaged: DamagedPicture of each picture that could not be used; none of them is a row.
    """

    affect_source = ANNOTATED

    #: What :meth:`rows` keeps the chosen rows of; sets with more arrays add them.
    _per_row = ('names', 'distributions', 'labels', 'affect')

    def __init__(self, name, names, distributions, labels, affect, damaged=()):
        """Take the labels, and refuse those that no set can have.

        :raises BadDataset: if shapes do not fit, or a distribution or an affect is none.
        """
        self.name = name
        self.names = np.asarray(names, str)
        self.distributions = np.asarray(distributions, np.float32)
        self.labels = np.asarray(labels, np.int64)
        self.affect = np.asarray(affect, np.float32)
        self.damaged = tuple(damaged)
        self._check()

    def __len__(self):
        return len(self.names)

    @abc.abstractmethod
    def faces(self, rows=None):
        """Read faces.

        :param rows: (M,) integer indices or (N,) bool; None for all.
        :returns: M uint8 arrays in the order of `rows`, (P, P) gray or (P, P, 3) BGR: a list, or one array of all of
            them where they are alike.
        :raises BadDataset: if a picture that could be read when the set was opened cannot be read any more.
        """

    def rows(self, chosen):
        """Keep some rows.

        :param chosen: (M,) integer indices, in the order wanted, or (N,) bool.
        :returns: a set of the same kind with these rows.
        """
        kept = copy.copy(self)
        kept._keep(chosen)
        return kept

    def with_derived_affect(self):
        """Take the categories' projection for affect, for sets that nobody rated.

        :returns: a set of the same kind whose affect is derived from votes (or labels), and says so.
        """
        derived = copy.copy(self)
        derived.affect = affect_of(self.distributions)
        derived.affect_source = DERIVED_FROM_VOTES
        return derived

    def where_category(self):
        """Tell which rows have a category to learn: (M,) int64."""
        return np.flatnonzero(~np.isnan(self.distributions[:, 0]))

    def where_affect(self):
        """Tell which rows have both valence and arousal: (M,) int64."""
        return np.flatnonzero(~np.isnan(self.affect).any(1))

    def describe(self):
        """Say in one line how many faces there are of what."""
        counts = np.bincount(self.labels[self.labels >= 0], minlength=len(EMOTIONS))
        classes = ', '.join(f'{emotion} {count}' for emotion, count in zip(EMOTIONS, counts))
        return (
            f'{self.name}: {len(self)} faces, {counts.sum()} labelled ({classes}), {len(self.where_category())} with '
            f'a category to learn, {len(self.where_affect())} with affect ({self.affect_source}), '
            f'{len(self.damaged)} damaged pictures left out'
        )

    def _keep(self, chosen):
        for name in self._per_row:
            setattr(self, name, getattr(self, name)[chosen])

    def _check(self):
        count = len(self.names)
        for name, shape in (('distributions', (count, len(EMOTIONS))), ('labels', (count,)), ('affect', (count, 2))):
            came = getattr(self, name).shape
            if came != shape:
                raise BadDataset(f'{self.name}: {name} of shape {shape} expected for {count} names, got {came}')
        holes = np.isnan(self.distributions)
        wrong = np.flatnonzero(holes.any(1) & ~holes.all(1))
        if len(wrong):
            raise BadDataset(f'{self.name}: {self.names[wrong[0]]}: eight shares, or none where the category is '
                             f'unknown, expected, got {self.distributions[wrong[0]].tolist()}')
        wrong = np.flatnonzero((self.labels < -1) | (self.labels >= len(EMOTIONS)))
        if len(wrong):
            raise BadDataset(f'{self.name}: {self.names[wrong[0]]}: a class from 0 to {len(EMOTIONS) - 1}, or -1 for '
                             f'none, expected, got {self.labels[wrong[0]]}')
        known = self.distributions[self.where_category()]
        wrong = np.flatnonzero(~((known >= 0).all(1) & (np.abs(known.sum(1) - 1) < 1e-3)))
        if len(wrong):
            name = self.names[self.where_category()[wrong[0]]]
            raise BadDataset(
                f'{self.name}: {name}: eight shares from 0 on that sum to 1 expected, got {known[wrong[0]].tolist()}'
            )
        wrong = np.flatnonzero((np.abs(self.affect) > 1).any(1))
        if len(wrong):
            raise BadDataset(
                f'{self.name}: {self.names[wrong[0]]}: valence and arousal in [-1, 1] expected, got '
                f'{self.affect[wrong[0]].tolist()}; scale them, or leave them empty where they are unknown'
            )


def held_out(face_set, names):
    """Split a set by picture names.

    :param face_set: FaceSet.
    :param names: names of the pictures to hold out, as :func:`read_names` gives them.
    :returns: (rest, held out), both FaceSet, in the set's order.
    :raises BadDataset: if a name is not in the set: a list for another set would hold out less than it says.
    """
    wanted = set(names)
    is_held_out = np.isin(face_set.names, list(wanted))
    absent = sorted(wanted.difference(face_set.names.tolist(), (each.name for each in face_set.damaged)))
    if absent:
        raise BadDataset(
            f'{face_set.name}: {len(wanted)} names to hold out expected in it, {len(absent)} are not there '
            f'({", ".join(absent[:5])}{", ..." if len(absent) > 5 else ""}); is the list for another set?'
        )
    return face_set.rows(~is_held_out), face_set.rows(is_held_out)


def read_names(path):
    """Read picture names, one a line.

    :param path: text file; lines that begin with # are comments, and what follows white space on a line does not count.
    :returns: list of str.
    :raises BadDataset: if the file cannot be read.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return [line.split()[0] for line in file if line.strip() and not line.startswith('#')]
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f'{path}: a list of picture names expected, it cannot be read ({error})') from error
