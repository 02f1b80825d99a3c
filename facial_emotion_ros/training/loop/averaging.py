"""Exponential moving average of the weights, and batch norm statistics for it."""

import copy
from collections.abc import Iterable

import torch
from torch.optim.swa_utils import update_bn

from facial_emotion_ros.training.model.network import ESR


class Average:
    """Exponential moving average of a network's weights and buffers, as a network in evaluation mode.

    torch's AveragedModel would copy the network in the first step, and prefix the names in saved states.
    """

    def __init__(self, network: ESR, decay: float) -> None:
        """Start from a network.

        :param network: ESR.
        :param decay: weight of the former average in each step; less in the first steps.
        """
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def follow(self, network: ESR, step: int) -> None:
        """Update the average.

        :param network: ESR of the same shape.
        :param step: number of steps taken.
        """
        decay = min(self.decay, step / (step + 10))
        mine, its = self.network.state_dict(), network.state_dict()
        names = [name for name, tensor in mine.items() if tensor.is_floating_point()]
        torch._foreach_lerp_([mine[name] for name in names], [its[name] for name in names], 1 - decay)
        for name in mine.keys() - set(names):
            mine[name].copy_(its[name])


def recalibrate(network: ESR, crops: Iterable[torch.Tensor], precision: torch.dtype = torch.float32) -> None:
    """Recompute the batch norm statistics of an averaged network, whose inherited ones belong to other weights.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018, section 3.2.

    :param network: ESR in evaluation mode, on the device of the crops.
    :param crops: batches (N, 3, S, S) float32, weighted alike.
    :param precision: torch.dtype of the convolutions.
    """
    device = next(network.parameters()).device.type
    with torch.autocast(device, precision, enabled=precision != torch.float32):
        update_bn((batch.contiguous(memory_format=torch.channels_last) for batch in crops), network)
