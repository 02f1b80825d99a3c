"""Batches as a function of (seed, stage, step) alone: the same after a resume, with any number of worker processes."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import cv2
import numpy as np
import torch

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.augmentation import augment
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop.phases import Stage

#: Tags of the random streams, which are seeded by (tag, seed, stage, epoch or step).
_MASKS, _ORDER, _FACES, _MIXING, _BRANCHES = 0xB007, 0xE90C, 0xFACE, 0x31C5, 0xB4A7


class Batch(NamedTuple):
    """Training data of one process for one step.

    :param crops: (N, 3, S, S) float32, or (N, 1, S, S) for gray.
    :param distributions: (N, 8) float32, 0 where the category is unknown.
    :param affect: (N, 2) float32, 0 where unknown.
    :param category_weights: (N, n) float32 weight of each face for each branch. Over all processes, a branch's weights
        sum to the number of processes (which DistributedDataParallel divides by), or to 0.
    :param affect_weights: (N, n) float32, the same for valence and arousal.
    :param branches: (n,) int64: the branches trained in this step, ascending.
    """

    crops: torch.Tensor
    distributions: torch.Tensor
    affect: torch.Tensor
    category_weights: torch.Tensor
    affect_weights: torch.Tensor
    branches: torch.Tensor


class BatchSampler(torch.utils.data.Dataset[Batch]):
    """The batches of one stage, indexed by step."""

    def __init__(
        self,
        faces: FaceSet,
        stage: Stage,
        geometry: CropGeometry,
        seed: int,
        place: int,
        labels: np.ndarray | None = None,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        """Prepare the batches of a stage.

        :param faces: FaceSet to learn from.
        :param stage: Stage.
        :param geometry: CropGeometry.
        :param seed: of the recipe.
        :param place: index of the stage.
        :param labels: (len(faces), 8) distributions that replace the set's own; None to keep those.
        :param rank: of this process among `processes`, which share each batch.
        :raises BadDataset: if fewer faces than a batch have the labels that the stage needs.
        :raises BadParameter: if the batch cannot be split evenly.
        """
        phase = stage.phase
        rows = faces.where_affect() if phase.trains == 'affect' else faces.where_category()
        what = 'valence and arousal' if phase.trains == 'affect' else 'a category'
        if len(rows) < phase.batch_size:
            raise BadDataset(
                f'{faces.name}: expected at least {phase.batch_size} faces (batch_size) with {what} for {stage.title}, '
                f'got {len(rows)}; add faces or reduce batch_size'
            )
        if phase.batch_size % processes or phase.batch_size // processes < 2:
            raise BadParameter(
                f'batch_size: expected a multiple of {processes} (processes) with at least 2 faces for each, '
                f'got {phase.batch_size}'
            )
        self._faces, self._phase, self._geometry = faces, phase, geometry
        self._key = [seed, place]
        self._rank, self._processes = rank, processes
        self._rows = rows
        self._distributions = faces.distributions if labels is None else labels
        factors = _factors(faces.distributions[rows], phase.rare)
        if faces.draw_factors is not None:
            factors = factors * faces.draw_factors[rows]
        self._ends = np.cumsum(factors)
        #: (8,) float64 class frequencies of the drawn faces; NaN without categories.
        self.prior = _mean_distribution(self._distributions[rows], factors)
        self._per_epoch = int(self._ends[-1])
        masks = np.random.default_rng([_MASKS, seed])
        self._takes_part = masks.random((len(faces), stage.branches)) < phase.bootstrap
        self._epoch: tuple[int | None, np.ndarray] = (None, np.empty(0, np.int64))

    @property
    def steps_per_epoch(self) -> int:
        """Steps per epoch; an incomplete batch is dropped."""
        return max(1, self._per_epoch // self._phase.batch_size)

    def rows_of(self, step: int) -> np.ndarray:
        """Draw the faces of a step, for all processes.

        :param step: of the stage, from 0.
        :returns: (batch_size,) int64, rows of the set; those of process r are `[r::processes]`.
        """
        epoch, place = divmod(step, self.steps_per_epoch)
        size = self._phase.batch_size
        return np.sort(self._order(epoch)[place * size : (place + 1) * size])

    def __getitem__(self, step: int) -> Batch:
        """Make this process's part of a batch.

        :param step: of the stage, from 0.
        :returns: Batch.
        """
        drawn = self.rows_of(step)
        mine = drawn[self._rank :: self._processes]
        branches = self._branches(step)
        category, affect = self._weights(drawn, branches)
        crops = np.concatenate(
            [
                augment(
                    self._faces.faces(np.array([row])),
                    self._geometry,
                    self._generator(_FACES, step, place),
                    self._phase.augmentation,
                    self._phase.camera,
                )
                for place, row in zip(range(self._rank, len(drawn), self._processes), mine)
            ]
        )
        if self._geometry.color == 'gray_x3':
            crops = np.ascontiguousarray(crops[:, :1])
        distributions = np.nan_to_num(self._distributions[mine])
        targets = np.nan_to_num(self._faces.affect[mine])
        if self._phase.mixup:
            crops, distributions, targets = self._mix(step, mine, crops, distributions, targets)
        mine_alone = slice(self._rank, None, self._processes)
        arrays = (crops, distributions, targets, category[mine_alone], affect[mine_alone])
        tensors = [torch.from_numpy(np.ascontiguousarray(array, np.float32)) for array in arrays]
        return Batch(*tensors, torch.from_numpy(branches))  # type: ignore[call-arg]

    def _order(self, epoch: int) -> np.ndarray:
        if self._epoch[0] != epoch:
            generator = self._generator(_ORDER, epoch)
            # Systematic sampling: an integer number of draws per face whose mean over the epochs is its factor.
            ends = np.floor(self._ends + generator.random()).astype(np.int64)
            drawn = np.repeat(self._rows, np.diff(ends, prepend=0))
            order = generator.permutation(drawn)
            short = self._phase.batch_size - len(order)  # factors below 1 can leave less than a batch
            if short > 0:
                order = np.concatenate([order, generator.choice(self._rows, short)])
            self._epoch = (epoch, order)
        return self._epoch[1]

    def _branches(self, step: int) -> np.ndarray:
        count = self._takes_part.shape[1]
        wanted = min(self._phase.branches_a_step or count, count)
        if wanted == count:
            return np.arange(count)
        return np.sort(self._generator(_BRANCHES, step).permutation(count)[:wanted])

    def _weights(self, drawn: np.ndarray, branches: np.ndarray) -> list[np.ndarray]:
        """Weight the faces of a step equally, so that each branch's weights sum to the number of processes."""
        takes_part = self._takes_part[drawn][:, branches].astype(np.float32)
        weights = []
        for is_known in (~np.isnan(self._distributions[drawn, 0]), ~np.isnan(self._faces.affect[drawn]).any(1)):
            counted = takes_part * is_known[:, None]
            weights.append(counted * self._processes / np.maximum(counted.sum(0), 1))
        return weights

    def _mix(
        self, step: int, mine: np.ndarray, crops: np.ndarray, distributions: np.ndarray, targets: np.ndarray
    ) -> list[np.ndarray]:
        """Mix each face with a partner, unless the partner lacks a label that the face has."""
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

    def _generator(self, tag: int, *places: int) -> np.random.Generator:
        return np.random.default_rng([tag, *self._key, *places])


def batches(sampler: BatchSampler, first: int, last: int, workers: int = 0, pinned: bool = False) -> Iterator[Batch]:
    """Iterate over the batches of some steps, prefetched by worker processes.

    :param sampler: BatchSampler.
    :param first: first step.
    :param last: end of the steps, exclusive.
    :param workers: number of processes; 0 makes batches in this one.
    :param pinned: use pinned memory, for GPUs.
    :returns: iterator of Batch, in the order of the steps.
    """
    # With its own generator: else the loader would advance torch's global one.
    return iter(
        torch.utils.data.DataLoader(
            sampler,
            batch_size=None,
            sampler=range(first, last),
            num_workers=workers,
            pin_memory=pinned,
            prefetch_factor=4 if workers else None,
            worker_init_fn=_begin_worker,
            generator=torch.Generator(),
        )
    )


def _begin_worker(_: int) -> None:
    cv2.setNumThreads(0)  # parallelism comes from the worker processes


def _factors(distributions: np.ndarray, rare: Mapping[str, float]) -> np.ndarray:
    """Return the mean number of draws of each face per epoch."""
    by_emotion = np.array([rare.get(emotion, 1.0) for emotion in EMOTIONS])
    is_known = ~np.isnan(distributions[:, 0])
    factors = np.ones(len(distributions))
    factors[is_known] = distributions[is_known].astype(np.float64) @ by_emotion
    return factors


def _mean_distribution(distributions: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Average the known rows, weighted by their draws."""
    is_known = ~np.isnan(distributions[:, 0])
    weights = factors[is_known]
    return weights @ distributions[is_known].astype(np.float64) / weights.sum() if len(weights) else np.full(8, np.nan)
