"""What a training makes small."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from facial_emotion_ros.learning.diversity import diversity_loss


def losses(logits, affect, distributions, targets, category_weights, affect_weights, log_prior=0.0):
    """Cross entropy against the votes and squared error of affect, each summed over the branches.

    :param logits: (N, B, 8).
    :param affect: (N, B, 2).
    :param distributions: (N, 8), rows that sum to 1; anything finite where the weights are 0.
    :param targets: (N, 2), valence and arousal; likewise.
    :param category_weights: (N, B), what each face counts for each branch, as :mod:`.draws` makes them.
    :param affect_weights: (N, B), likewise.
    :param log_prior: (8,), added to all logits: logit adjustment, also called balanced softmax.
    :returns: two scalars: categorical and dimensional loss.

    Source of the logit adjustment: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 5.
    """
    entropy = -(distributions[:, None] * functional.log_softmax(logits + log_prior, -1)).sum(-1)
    error = (affect - targets[:, None]).square().mean(-1)
    return (entropy * category_weights).sum(), (error * affect_weights).sum()


class Objective(nn.Module):
    """A network together with its loss: one forward pass from batch to loss, which is what can be shared by processes.

    Valence and arousal are learned by the dimensional layers alone: they read the logits, and no gradient goes back.
    """

    def __init__(self, network, phase, precision=torch.float32, prior=None):
        """Take a network.

        :param network: ESR.
        :param phase: Phase.
        :param precision: torch.dtype that convolutions are computed in.
        :param prior: (8,), class frequencies among the drawn faces; needed where the phase has a prior_exponent.
        """
        super().__init__()
        self.network = network
        self.phase = phase
        self.precision = precision
        self.log_prior = 0.0
        if phase.prior_exponent:
            log_prior = phase.prior_exponent * np.log(np.maximum(prior, 1e-6))
            self.log_prior = torch.as_tensor(log_prior, dtype=torch.float32, device=next(network.parameters()).device)

    def train(self, mode=True):
        """Set the mode; where only the dimensional layers learn, the network's batch norm stays as in evaluation."""
        super().train(mode)
        if self.phase.trains == 'affect':
            self.network.eval()
        return self

    def forward(self, batch):
        """Compute the losses of a batch.

        :param batch: Batch on the network's device.
        :returns: scalar that is to be made small; (3,) without gradient: categorical, dimensional and diversity loss,
            the first two as means over the batch's branches.
        """
        phase, places = self.phase, batch.branches.tolist()
        with torch.set_grad_enabled(torch.is_grad_enabled() and phase.trains != 'affect'):
            logits, diversity = self._backbone(batch.crops, places)
        inputs = functional.relu(logits.detach())
        affect = torch.stack([self.network.convolutional_branches[place].fc_dimensional(inputs[:, column])
                              for column, place in enumerate(places)], 1)
        categorical, dimensional = losses(logits, affect, batch.distributions, batch.affect, batch.category_weights,
                                          batch.affect_weights, self.log_prior)
        if phase.trains == 'affect':
            total = dimensional
        else:
            total = categorical + phase.affect_weight * dimensional + phase.diversity * diversity
        parts = torch.stack([categorical / len(places), dimensional / len(places), diversity])
        return total, parts.detach()

    def _backbone(self, crops, places):
        """Run the network up to the logits, in its precision."""
        phase, device = self.phase, crops.device.type
        base_gradient = 1.0 / len(places) if phase.base_gradient == 'mean' else 1.0
        crops = crops.expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        with_attention = phase.diversity > 0 and len(places) > 1
        with torch.autocast(device, self.precision, enabled=self.precision != torch.float32):
            logits, _, *attention = self.network(crops, base_gradient, with_attention, places)
        diversity = diversity_loss(attention[0]).float() if attention else logits.new_zeros((), dtype=torch.float32)
        return logits.float(), diversity
