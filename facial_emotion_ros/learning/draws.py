"""Which faces a step learns from and how they are varied: drawn from (seed, stage, step) and nothing else.

So a resumed training, one with worker processes and one without see the very same batches.
"""

from typing import NamedTuple

import cv2
import numpy as np
import torch

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset, BadParameter
from facial_emotion_ros.learning.augmentation import augment

#: Marks of the streams of random numbers; what follows them are the seed, the stage, and the epoch or step.
_MASKS, _ORDER, _FACES, _MIXING, _BRANCHES = 0xB007, 0xE90C, 0xFACE, 0x31C5, 0xB4A7


class Batch(NamedTuple):
    """What one process learns from in one step.

    :param crops: (N, 3, S, S) float32, or (N, 1, S, S) where the three planes are alike.
    :param distributions: (N, 8) float32, 0 where the category is unknown.
    :param affect: (N, 2) float32, 0 where unknown.
    :param category_weights: (N, n) float32: what each face counts for each branch. Over the faces of all processes the
        weights of a branch sum to the number of processes (which DistributedDataParallel divides by), or to 0.
    :param affect_weights: (N, n) float32, the same for valence and arousal.
    :param branches: (n,) int64: the branches that learn in this step, in ascending order.
    """

    crops: torch.Tensor
    distributions: torch.Tensor
    affect: torch.Tensor
    category_weights: torch.Tensor
    affect_weights: torch.Tensor
    branches: torch.Tensor


class Draws:
    """The batches of one stage, by step."""

    def __init__(self, faces, stage, geometry, seed, place, labels=None, rank=0, processes=1):
        """Prepare a stage's batches.

        :param faces: FaceSet to learn from.
        :param stage: Stage.
        :param geometry: CropGeometry.
        :param seed: the recipe's.
        :param place: the stage's place in the training.
        :param labels: (len(faces), 8) distributions to learn instead of the set's own; None for these.
        :param rank: this process's place among `processes`, which share each batch.
        :raises BadDataset: if no face has what the stage trains, or fewer than a batch have.
        :raises BadParameter: if the batch cannot be shared evenly.
        """
        phase = stage.phase
        rows = faces.where_affect() if phase.trains == 'affect' else faces.where_category()
        what = 'valence and arousal' if phase.trains == 'affect' else 'a category'
        if len(rows) < phase.batch_size:
            raise BadDataset(f'{faces.name}: at least {phase.batch_size} faces (batch_size) with {what} expected for '
                             f'{stage.title}, got {len(rows)}; give more faces or a smaller batch')
        if phase.batch_size % processes or phase.batch_size // processes < 2:
            raise BadParameter(f'batch_size: a multiple of {processes} processes with at least 2 faces for each '
                               f'expected, got {phase.batch_size}')
        self._faces, self._phase, self._geometry = faces, phase, geometry
        self._key = [seed, place]
        self._rank, self._processes = rank, processes
        self._rows = rows
        self._distributions = faces.distributions if labels is None else labels
        factors = _factors(faces.distributions[rows], phase.rare)
        self._ends = np.cumsum(factors)
        #: (8,) float64: how frequent each class is among the faces as they are drawn; NaN where no category is known.
        self.prior = _mean_distribution(self._distributions[rows], factors)
        self._per_epoch = int(self._ends[-1])
        masks = np.random.default_rng([_MASKS, seed])
        self._takes_part = masks.random((len(faces), stage.branches)) < phase.bootstrap
        self._epoch = (None, None)

    @property
    def steps_per_epoch(self):
        """Steps that pass over the faces once; what does not fill a batch waits for another epoch."""
        return max(1, self._per_epoch // self._phase.batch_size)

    def rows_of(self, step):
        """Draw a step's faces, for all processes.

        :param step: of the stage, from 0.
        :returns: (batch_size,) int64, rows of the set; those of process r are `[r::processes]`.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._phase.batch_size
        return np.sort(self._order(epoch)[place * size:(place + 1) * size])

    def __getitem__(self, step):
        """Make this process's part of a step's batch.

        :param step: of the stage, from 0.
        :returns: Batch.
        """
        drawn = self.rows_of(step)
        mine = drawn[self._rank::self._processes]
        branches = self._branches(step)
        category, affect = self._weights(drawn, branches)
        crops = np.concatenate([
            augment(self._faces.faces(np.array([row])), self._geometry, self._generator(_FACES, step, place),
                    self._phase.augmentation)
            for place, row in zip(range(self._rank, len(drawn), self._processes), mine)
        ])
        if self._geometry.color == 'gray_x3':
            crops = np.ascontiguousarray(crops[:, :1])
        distributions = np.nan_to_num(self._distributions[mine])
        targets = np.nan_to_num(self._faces.affect[mine])
        if self._phase.mixup:
            crops, distributions, targets = self._mix(step, mine, crops, distributions, targets)
        return Batch(*(torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in (
            crops, distributions, targets, category[self._rank::self._processes],
            affect[self._rank::self._processes])), torch.from_numpy(branches))

    def _order(self, epoch):
        if self._epoch[0] != epoch:
            generator = self._generator(_ORDER, epoch)
            # Whole draws of each face: as many as ends of ones fall on its stretch, so that over the epochs the mean
            # is its factor exactly.
            ends = np.floor(self._ends + generator.random()).astype(np.int64)
            drawn = np.repeat(self._rows, np.diff(ends, prepend=0))
            order = generator.permutation(drawn)
            short = self._phase.batch_size - len(order)  # factors below 1 can leave less than a batch
            if short > 0:
                order = np.concatenate([order, generator.choice(self._rows, short)])
            self._epoch = (epoch, order)
        return self._epoch[1]

    def _branches(self, step):
        count = self._takes_part.shape[1]
        wanted = min(self._phase.branches_a_step or count, count)
        if wanted == count:
            return np.arange(count)
        return np.sort(self._generator(_BRANCHES, step).permutation(count)[:wanted])

    def _weights(self, drawn, branches):
        """Weigh all faces of a step: they count alike, each branch's sum is the number of processes."""
        takes_part = self._takes_part[drawn][:, branches].astype(np.float32)
        weights = []
        for is_known in (~np.isnan(self._distributions[drawn, 0]), ~np.isnan(self._faces.affect[drawn]).any(1)):
            counted = takes_part * is_known[:, None]
            weights.append(counted * self._processes / np.maximum(counted.sum(0), 1))
        return weights

    def _mix(self, step, mine, crops, distributions, targets):
        """Mix each face with a partner, except where the partner lacks a label that the face has."""
        generator = self._generator(_MIXING, step, self._rank)
        partners = generator.permutation(len(mine))
        shares = generator.beta(self._phase.mixup, self._phase.mixup, len(mine)).astype(np.float32)
        for known in (~np.isnan(self._distributions[mine, 0]), ~np.isnan(self._faces.affect[mine]).any(1)):
            shares[known & ~known[partners]] = 1
        mixed = []
        for array in (crops, distributions, targets):
            share = shares.reshape((-1,) + (1,) * (array.ndim - 1))
            mixed.append(share * array + (1 - share) * array[partners])
        return mixed

    def _generator(self, mark, *places):
        return np.random.default_rng([mark, *self._key, *places])


def batches(draws, first, last, workers=0, pinned=False):
    """Make the batches of some steps, ahead of their use where there are worker processes.

    :param draws: Draws.
    :param first: step to begin with.
    :param last: step to end before.
    :param workers: processes that make batches; 0 makes each when it is asked for.
    :param pinned: put them into memory that a GPU reads fast.
    :returns: iterator of Batch, in the order of the steps.
    """
    # A generator of its own: the loader would draw from torch's otherwise.
    return iter(torch.utils.data.DataLoader(
        draws, batch_size=None, sampler=range(first, last), num_workers=workers, pin_memory=pinned,
        prefetch_factor=4 if workers else None, worker_init_fn=_begin_worker, generator=torch.Generator(),
    ))


def _begin_worker(_):
    cv2.setNumThreads(0)  # the workers are the threads


def _factors(distributions, rare):
    """How often each face is drawn in an epoch, in the mean."""
    by_emotion = np.array([rare.get(emotion, 1.0) for emotion in EMOTIONS])
    is_known = ~np.isnan(distributions[:, 0])
    factors = np.ones(len(distributions))
    factors[is_known] = distributions[is_known].astype(np.float64) @ by_emotion
    return factors


def _mean_distribution(distributions, factors):
    """Average the known rows, weighted by how often each is drawn."""
    is_known = ~np.isnan(distributions[:, 0])
    weights = factors[is_known]
    return weights @ distributions[is_known].astype(np.float64) / weights.sum() if len(weights) else np.full(8, np.nan)
