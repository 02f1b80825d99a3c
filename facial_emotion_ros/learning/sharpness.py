"""Sharpness-aware steps: a gradient from where the loss is worst nearby, so that flat places are preferred.

Source: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021. Late in a
training it does as much as throughout (Zhou et al., "Sharpness-Aware Minimization Efficiently Selects Flatter Minima
Late in Training", ICLR 2025), so a phase of its own pays, at twice the price a step.
"""

import contextlib

import torch

from facial_emotion_ros.learning.averaging import batch_norms


@contextlib.contextmanager
def worst_nearby(network, radius):
    """Move a network up its gradient, and back at the end.

    Meanwhile the statistics that batch norm collects stay: they belong to the weights that are kept.

    :param network: module whose parameters have gradients; they are None afterwards. Their scale does not matter.
    :param radius: Euclidean length of the move over all parameters that have a gradient.
    :returns: context manager. Where the gradient is 0 or no number, nothing is moved.
    """
    moved = [parameter for parameter in network.parameters() if parameter.grad is not None]
    former = [parameter.detach().clone() for parameter in moved]
    _climb(moved, radius)
    for parameter in moved:
        parameter.grad = None
    try:
        with batch_norms(network, 0.0):
            yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(moved, former)


@torch.no_grad()
def _climb(parameters, radius):
    gradients = [parameter.grad for parameter in parameters]
    if not gradients:
        return
    length = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients, 2)).float())
    if torch.isfinite(length) and length > 0:
        torch._foreach_add_(parameters, torch._foreach_mul(gradients, radius / length))
