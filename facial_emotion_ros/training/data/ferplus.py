"""FER+ with its published evaluation protocol."""

import copy
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from facial_emotion_ros.core.emotions import EMOTIONS, FERPLUS_VOTE_COLUMNS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.corrupt_images import CorruptImage
from facial_emotion_ros.training.data.face_set import DERIVED_FROM_VOTES, FaceSet, Rows, affect_of

#: Side of FER+'s images.
SIDE_PX = 48

_VOTE_COLUMNS = 10


class FerPlus(FaceSet):
    """One split of FER+.

    In addition to FaceSet:

    pictures: (N, 48, 48) uint8, gray.
    votes: (N, 10) int64, in FER+'s column order: eight emotions, unknown, not a face.
    distributions: votes for emotions without single votes; NaN where "unknown" or "not a face" has the most.
    labels: by the "majority" protocol: single votes are dropped, the winner needs more than half of the rest.
    affect: the distributions projected on published coordinates.

    Source of the protocol: Barsoum et al., ICMI 2016, section 3; used by ESR (AAAI 2020, section 4).
    """

    affect_source = DERIVED_FROM_VOTES
    _per_row = FaceSet._per_row + ('pictures', 'votes')

    def __init__(
        self,
        pictures: ArrayLike,
        votes: ArrayLike,
        names: Sequence[str] | np.ndarray,
        name: str = 'FER+',
        damaged: Iterable[CorruptImage] = (),
    ) -> None:
        """Validate images and votes, and derive the labels.

        :param pictures: (N, 48, 48) uint8, gray.
        :param votes: (N, 10) integers, at least 0.
        :param names: (N,) str, file names.
        :param name: of the split.
        :param damaged: skipped images.
        :raises BadDataset: if shapes do not fit, or a vote is not such an integer.
        """
        self.pictures = np.asarray(pictures, np.uint8)
        self.votes = _whole_votes(votes, names, name)
        if self.votes.shape != (len(names), _VOTE_COLUMNS) or len(self.pictures) != len(names):
            raise BadDataset(
                f'{name}: expected an image and {_VOTE_COLUMNS} votes for each of {len(names)} names, got '
                f'{len(self.pictures)} images and votes of shape {self.votes.shape}'
            )
        labels, distributions = _targets(self.votes)
        super().__init__(name, names, distributions, labels, affect_of(distributions), damaged)

    def faces(self, rows: Rows | None = None) -> np.ndarray:
        """Return faces as one array.

        :param rows: (M,) integer indices, (N,) bool or a slice; None for all.
        :returns: (M, 48, 48) uint8, gray; a view for None or a slice.
        """
        return self.pictures if rows is None else self.pictures[rows]

    def with_any_votes(self) -> np.ndarray:
        """Return the rows where any emotion has more than one vote, (M,) int64."""
        return np.flatnonzero((self.votes[:, : len(EMOTIONS)] > 1).any(1))

    def sharpened(self, labels: np.ndarray, weight: float) -> 'FerPlus':
        """Sharpen the vote distributions by a second label; classes without votes stay at 0.

        :param labels: (N,) int64 in the order of EMOTIONS; -1 for none.
        :param weight: the label's share is multiplied by 1 + weight, then all are normalised.
        :returns: FerPlus with these distributions and their affect; the protocol's labels stay.
        """
        factors = np.ones_like(self.distributions)
        rows = np.flatnonzero(labels >= 0)
        factors[rows, labels[rows]] += weight
        changed = copy.copy(self)
        product = self.distributions * factors
        changed.distributions = product / product.sum(1, keepdims=True)
        changed.affect = affect_of(changed.distributions)
        return changed


def _targets(votes):
    """Compute labels (N,) and distributions (N, 8) from votes, as FerPlus defines them."""
    votes = np.where(votes > 1, votes, 0)
    winner = votes.argmax(1)
    is_emotion = (winner < len(EMOTIONS)) & votes.any(1)
    labels = np.full(len(votes), -1, np.int64)
    rows = np.flatnonzero(is_emotion & (2 * votes.max(1) > votes.sum(1)))
    labels[rows] = np.argsort(FERPLUS_VOTE_COLUMNS)[winner[rows]]
    distributions = votes[:, FERPLUS_VOTE_COLUMNS].astype(np.float32)
    distributions[~is_emotion] = np.nan
    return labels, distributions / distributions.sum(1, keepdims=True)


def _whole_votes(votes: ArrayLike, names: Sequence[str] | np.ndarray, where: str) -> np.ndarray:
    """Validate votes and convert them to int64."""
    votes = np.asarray(votes)
    if votes.dtype.kind not in 'iufb':
        raise BadDataset(f'{where}: expected integer votes, got {votes.dtype}')
    with np.errstate(invalid='ignore'):
        wrong = np.argwhere(~((votes >= 0) & (votes < 2**31) & (votes % 1 == 0)))
    if len(wrong):
        row = wrong[0][0]
        name = names[row] if row < len(names) else f'row {row}'
        raise BadDataset(
            f'{where}: {name}: expected integer votes, at least 0, got '
            f'{", ".join(f"{vote:g}" for vote in np.atleast_1d(votes[row]))}'
        )
    return votes.astype(np.int64)
