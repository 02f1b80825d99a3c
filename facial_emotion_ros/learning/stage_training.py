"""One stage of a training at work: its network, optimizer and average, step by step."""

import dataclasses

import numpy as np
import torch

from facial_emotion_ros.face_crop import CropGeometry
from facial_emotion_ros.learning import judgement
from facial_emotion_ros.learning.averaging import Average, recalibrate
from facial_emotion_ros.learning.draws import Batch, Draws, batches
from facial_emotion_ros.learning.objective import Objective
from facial_emotion_ros.learning.phases import choose_parameters, learning_rate
from facial_emotion_ros.learning.sharpness import worst_nearby
from facial_emotion_ros.learning.warm_start import branches_of, network_from


class StageTraining:
    """A stage under way.

    stage: Stage.
    step: steps that are done.
    steps: steps that it has.
    look_every: steps from one look at the held-out faces to the next.
    network: ESR that learns.
    average: Average of it, which is what is kept.
    """

    def __init__(self, stage, place, recipe, weights, faces, processes, precision, labels=None):
        """Begin a stage.

        :param stage: Stage.
        :param place: its place among all stages.
        :param recipe: Recipe.
        :param weights: state dict to begin with; None for random weights.
        :param faces: FaceSet to learn from.
        :param processes: Processes that train together, with their device.
        :param precision: torch.dtype that convolutions are computed in.
        :param labels: (len(faces), 8) distributions to learn instead of the set's own; None for these.
        """
        phase = stage.phase
        self.stage, self.step = stage, 0
        self.geometry = dataclasses.replace(CropGeometry(), size_px=phase.size_px, color=recipe.faces.color)
        self._seed, self._faces, self._processes, self._precision = (recipe.seed, place), faces, processes, precision
        self._draws = Draws(faces, stage, self.geometry, recipe.seed, place, labels, processes.rank, processes.count)
        self.steps = stage.steps(self._draws.steps_per_epoch)
        self.look_every = max(1, round(phase.check_epochs * self._draws.steps_per_epoch))
        self.network = self._make_network(weights, recipe.network.diversified)
        self.optimizer = torch.optim.SGD(choose_parameters(self.network, stage), lr=phase.learning_rate,
                                         momentum=phase.momentum, nesterov=phase.momentum > 0)
        objective = Objective(self.network, phase, precision, self._draws.prior)
        partly = 0 < phase.branches_a_step < stage.branches
        self._forward = processes.share_gradients(objective, partly).train()
        # The usual first scale, 65536, costs the first steps: their gradients are beyond float16.
        self._scaler = torch.amp.GradScaler(processes.device.type, 1024.0, enabled=precision == torch.float16)
        self.average = Average(self.network, phase.averaging)
        self._sums = torch.zeros(4, dtype=torch.float64, device=processes.device)

    @property
    def epoch(self):
        """Passes over the faces that are done."""
        return self.step / self._draws.steps_per_epoch

    @property
    def rate(self):
        """Learning rate of the step that comes next."""
        return learning_rate(self.stage.phase, self.step, self.steps, self._draws.steps_per_epoch)

    def batches(self, workers):
        """Make the remaining steps' batches.

        :param workers: processes that make them ahead; 0: this one does, in its turn.
        :returns: iterator of Batch.
        """
        return batches(self._draws, self.step, self.steps, workers, self._processes.device.type == 'cuda')

    def take_step(self, batch):
        """Take a step.

        :param batch: Batch.
        """
        for group in self.optimizer.param_groups:
            group['lr'] = self.rate * group['factor']
        batch = Batch(*(tensor.to(self._processes.device, non_blocking=True) for tensor in batch))
        self.optimizer.zero_grad(set_to_none=True)
        parts = self._descend_from(batch)
        if self.stage.phase.sharpness_radius:
            with worst_nearby(self.network, self.stage.phase.sharpness_radius):
                self._descend_from(batch)
        self._scaler.step(self.optimizer)
        self._scaler.update()
        if self.network.training:
            self._processes.share_statistics(self.network)
        is_good = torch.isfinite(parts).all()
        self._sums += torch.where(is_good, torch.cat([parts, is_good[None].float()]), 0.0)
        self.step += 1
        self.average.follow(self.network, self.step)

    def mean_losses(self):
        """Give the mean losses since this was last asked, over all processes.

        :returns: categorical, dimensional and diversity loss, floats; None where none of them was a number.
        """
        *sums, count = self._processes.mean(self._sums).tolist()
        self._sums.zero_()
        return [value / count for value in sums] if count else None

    def recalibrate(self):
        """Measure the averaged network's batch norm statistics by the faces that the phase wants for it."""
        rows = self._faces.where_category()
        generator = np.random.default_rng([*self._seed, self.step])
        rows = generator.permutation(rows)[:self.stage.phase.recalibration_faces]
        recalibrate(self.average.network,
                    judgement.crops_of(self._faces, rows, self.geometry, self._processes.device), self._precision)

    def outputs(self, faces):
        """Run the averaged network over faces.

        :param faces: FaceSet of N faces.
        :returns: logits (N, B, 8) and affect (N, B, 2), float32.
        """
        return judgement.outputs_of(self.average.network, faces, self.geometry, self._precision, self._processes)

    def is_finite(self):
        """Tell whether all weights are numbers."""
        return all(torch.isfinite(parameter).all() for parameter in self.network.parameters())

    def state(self):
        """Give all that the coming steps depend on: a dict of tensors and plain values."""
        return {
            'step': self.step, 'network': self.network.state_dict(), 'average': self.average.network.state_dict(),
            'optimizer': self.optimizer.state_dict(), 'scaler': self._scaler.state_dict(), 'sums': self._sums,
        }

    def load_state(self, state):
        """Go on from a :meth:`state`."""
        self.step = state['step']
        self.network.load_state_dict(state['network'])
        self.average.network.load_state_dict(state['average'])
        self.optimizer.load_state_dict(state['optimizer'])
        self._scaler.load_state_dict(state['scaler'])
        self._sums.copy_(state['sums'])

    def _descend_from(self, batch):
        """Compute the gradients of a batch; return its losses, as Objective does."""
        total, parts = self._forward(batch)
        self._scaler.scale(total).backward()
        return parts

    def _make_network(self, weights, diversified):
        """Bring the weights into the stage's shape, the same in all processes."""
        stage = self.stage
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence(self._seed).generate_state(1)[0]))
        adds = stage.phase.trains == 'branches' and weights is not None
        network = network_from(weights, branches_of(weights) if adds else stage.branches, diversified, generator)
        while network.branches < stage.branches:
            network.add_branch(generator)
        network.to(self._processes.device)
        self._processes.same_everywhere(network.state_dict().values())
        return network.to(memory_format=torch.channels_last)
