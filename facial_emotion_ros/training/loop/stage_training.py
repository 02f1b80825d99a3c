"""One stage of a training: its network, optimizer and averaged weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop import validation
from facial_emotion_ros.training.loop.averaging import Average
from facial_emotion_ros.training.loop.batch_sampler import Batch, BatchSampler, batches
from facial_emotion_ros.training.loop.distributed import Processes
from facial_emotion_ros.training.loop.losses import TrainingLoss
from facial_emotion_ros.training.loop.phases import Stage, choose_parameters, learning_rate
from facial_emotion_ros.training.loop.recipe import Recipe
from facial_emotion_ros.training.loop.warm_start import network_from
from facial_emotion_ros.training.model.network import ESR, Weights, branches_of


class StageTraining:
    """A stage in progress.

    stage: Stage.
    step: number of steps taken.
    steps: number of steps in all.
    validate_every: steps between validations.
    network: ESR being trained.
    average: Average of it, which is validated and saved.
    """

    def __init__(
        self,
        stage: Stage,
        place: int,
        recipe: Recipe,
        weights: Weights | None,
        faces: FaceSet,
        processes: Processes,
        precision: torch.dtype,
        labels: np.ndarray | None = None,
    ) -> None:
        """Start a stage.

        :param stage: Stage.
        :param place: index of the stage.
        :param recipe: Recipe.
        :param weights: initial state dict; None for random weights.
        :param faces: FaceSet to train on.
        :param processes: training processes and their device.
        :param precision: torch.dtype of the convolutions.
        :param labels: (len(faces), 8) distributions that replace the set's own; None to keep those.
        """
        phase = stage.phase
        self.stage, self.step = stage, 0
        self.geometry = CropGeometry(size_px=phase.size_px, color=recipe.faces.color)
        self._seed, self._processes, self._precision = (recipe.seed, place), processes, precision
        self._sampler = BatchSampler(
            faces, stage, self.geometry, recipe.seed, place, labels, processes.rank, processes.count
        )
        self.steps = stage.steps(self._sampler.steps_per_epoch)
        self.validate_every = max(1, round(phase.check_epochs * self._sampler.steps_per_epoch))
        self.network = self._make_network(weights, recipe.network.diversified)
        self.optimizer = torch.optim.SGD(
            choose_parameters(self.network, stage),
            lr=phase.learning_rate,
            momentum=phase.momentum,
            nesterov=phase.momentum > 0,
        )
        loss = TrainingLoss(self.network, phase, precision, self._sampler.prior)
        partly = 0 < phase.branches_a_step < stage.branches
        self._forward = processes.average_gradients(loss, partly).train()
        # The default initial scale, 65536, would overflow float16 and skip the first steps.
        self._scaler = torch.amp.GradScaler(processes.device.type, 1024.0, enabled=precision == torch.float16)
        self.average = Average(self.network, phase.averaging)
        self._sums = torch.zeros(4, dtype=torch.float64, device=processes.device)

    @property
    def epoch(self) -> float:
        """Epochs done."""
        return self.step / self._sampler.steps_per_epoch

    @property
    def rate(self) -> float:
        """Learning rate of the next step."""
        return learning_rate(self.stage.phase, self.step, self.steps, self._sampler.steps_per_epoch)

    def batches(self, workers: int) -> Iterator[Batch]:
        """Iterate over the remaining batches, made by `workers` processes; 0 for this one."""
        return batches(self._sampler, self.step, self.steps, workers, self._processes.device.type == 'cuda')

    def take_step(self, batch: Batch) -> None:
        """Take one optimizer step."""
        for group in self.optimizer.param_groups:
            group['lr'] = self.rate * group['factor']
        batch = Batch(*(tensor.to(self._processes.device, non_blocking=True) for tensor in batch))
        self.optimizer.zero_grad(set_to_none=True)
        total, parts = self._forward(batch)
        self._scaler.scale(total).backward()
        self._scaler.step(self.optimizer)
        self._scaler.update()
        if self.network.training:
            self._processes.average_batch_norm(self.network)
        is_good = torch.isfinite(parts).all()
        self._sums += torch.where(is_good, torch.cat([parts, is_good[None].float()]), 0.0)
        self.step += 1
        self.average.follow(self.network, self.step)

    def mean_losses(self) -> list[float] | None:
        """Return the mean losses since the last call, over all processes.

        :returns: categorical, dimensional and diversity loss; None where none was finite.
        """
        *sums, count = self._processes.mean(self._sums).tolist()
        self._sums.zero_()
        return [value / count for value in sums] if count else None

    def outputs(self, faces: FaceSet) -> tuple[np.ndarray, np.ndarray]:
        """Run the averaged network over N faces: logits (N, B, 8) and affect (N, B, 2), float32."""
        return validation.outputs_of(self.average.network, faces, self.geometry, self._precision, self._processes)

    def is_finite(self) -> bool:
        """Return whether all weights are finite."""
        return all(torch.isfinite(parameter).all() for parameter in self.network.parameters())

    def state(self) -> dict[str, Any]:
        """Return everything the next steps depend on: tensors and plain values."""
        return {
            'step': self.step,
            'network': self.network.state_dict(),
            'average': self.average.network.state_dict(),
            'optimizer': self.optimizer.state_dict(),
            'scaler': self._scaler.state_dict(),
            'sums': self._sums,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore a :meth:`state`."""
        self.step = state['step']
        self.network.load_state_dict(state['network'])
        self.average.network.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self._scaler.load_state_dict(state['scaler'])
        self._sums.copy_(state['sums'])

    def _make_network(self, weights: Weights | None, diversified: bool) -> ESR:
        """Make the stage's network of the weights, the same in all processes."""
        stage = self.stage
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(self._seed).generate_state(1)[0]))
        adds = weights is not None and stage.phase.trains == 'branches'
        network = network_from(weights, branches_of(weights or {}) if adds else stage.branches, diversified, generator)
        while network.branches < stage.branches:
            network.add_branch(generator)
        network.to(self._processes.device)
        self._processes.broadcast(network.state_dict().values())
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
