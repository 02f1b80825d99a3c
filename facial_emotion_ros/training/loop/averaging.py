"""Exponential moving average of the weights."""

import copy

import torch

from facial_emotion_ros.training.model.network import ESR


class Average:
    """Exponential moving average of a network's weights and buffers, as a network in evaluation mode.

    torch's AveragedModel would copy the network in the first step, and prefix the names in saved states.
    """

    def __init__(self, network: ESR, decay: float) -> None:
        """Start from a network.

        :param network: ESR.
        :param decay: weight of the previous average in each step; smaller in the first steps.
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
