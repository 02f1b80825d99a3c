"""Training losses."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from facial_emotion_ros.training.loop.batch_sampler import Batch
from facial_emotion_ros.training.loop.recipe import Phase
from facial_emotion_ros.training.model.diversity import diversity_loss
from facial_emotion_ros.training.model.network import ESR


def losses(
    logits: torch.Tensor,
    affect: torch.Tensor,
    distributions: torch.Tensor,
    targets: torch.Tensor,
    category_weights: torch.Tensor,
    affect_weights: torch.Tensor,
    log_prior: torch.Tensor | float = 0.0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross entropy against the votes and squared error of affect, each summed over the branches.

    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :param distributions: (N, 8), rows sum to 1; any finite values where the weights are 0.
    :param targets: (N, 2) valence and arousal; likewise.
    :param category_weights: (N, B) weight of each face for each branch, from `loop.batch_sampler`.
    :param affect_weights: (N, B), likewise.
    :param log_prior: (8,), added to all logits: logit adjustment, also called balanced softmax.
    :returns: two scalars: categorical and dimensional loss.

    Source of the logit adjustment: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 5.
    """
    entropy = -(distributions[:, None] * functional.log_softmax(logits + log_prior, -1)).sum(-1)
    error = (affect - targets[:, None]).square().mean(-1)
    return (entropy * category_weights).sum(), (error * affect_weights).sum()


class TrainingLoss(nn.Module):
    """A network with its loss as one module, which DistributedDataParallel can wrap.

    Only the dimensional layers learn from valence and arousal: no gradient flows back to the logits.
    """

    def __init__(
        self, network: ESR, phase: Phase, precision: torch.dtype = torch.float32, prior: np.ndarray | None = None
    ) -> None:
        """Wrap a network.

        :param network: ESR.
        :param phase: Phase.
        :param precision: torch.dtype of the convolutions.
        :param prior: (8,) class frequencies of the drawn faces; needed with a prior_exponent.
        """
        super().__init__()
        self.network = network
        self.phase = phase
        self.precision = precision
        self.log_prior: torch.Tensor | float = 0.0
        if phase.prior_exponent and prior is not None:
            log_prior = phase.prior_exponent * np.log(np.maximum(prior, 1e-6))
            self.log_prior = torch.as_tensor(log_prior, dtype=torch.float32, device=next(network.parameters()).device)

    def train(self, mode: bool = True) -> 'TrainingLoss':
        """Set the mode; what is frozen stays in evaluation mode."""
        super().train(mode)
        if self.phase.trains == 'affect':
            self.network.eval()
        elif not self.phase.base_learning_rate:
            self.network.base.eval()
        return self

    def forward(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute the losses of a batch.

        :param batch: Batch on the network's device.
        :returns: the total loss, a scalar; and (3,) without gradient: categorical, dimensional and diversity loss, the
            first two as means over the batch's branches.
        """
        phase, places = self.phase, batch.branches.tolist()
        with torch.set_grad_enabled(torch.is_grad_enabled() and phase.trains != 'affect'):
            logits, diversity = self._backbone(batch.crops, places)
        inputs = functional.relu(logits.detach())
        affect = torch.stack(
            [
                self.network.convolutional_branches[place].fc_dimensional(inputs[:, column])
                for column, place in enumerate(places)
            ],
            1,
        )
        categorical, dimensional = losses(
            logits,
            affect,
            batch.distributions,
            batch.affect,
            batch.category_weights,
            batch.affect_weights,
            self.log_prior,
        )
        if phase.trains == 'affect':
            total = dimensional
        else:
            total = categorical + phase.affect_weight * dimensional + phase.diversity * diversity
        parts = torch.stack([categorical / len(places), dimensional / len(places), diversity])
        return total, parts.detach()

    def _backbone(self, crops: torch.Tensor, places: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Compute logits and diversity loss in the training's precision."""
        phase, device = self.phase, crops.device.type
        base_gradient = 1.0 / len(places) if phase.base_gradient == 'mean' else 1.0
        crops = crops.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        with_attention = phase.diversity > 0 and len(places) > 1
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            logits, _, *attention = self.network(crops, base_gradient, with_attention, places)
        diversity = diversity_loss(attention[0]).float() if attention else logits.new_zeros((), dtype=torch.float32)
        return logits.float(), diversity
