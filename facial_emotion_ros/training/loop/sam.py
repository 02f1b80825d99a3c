"""Sharpness-aware minimization (SAM), at twice the cost of a step.

Source: Foret et al., "Sharpness-Aware Minimization for Efficiently Improving Generalization", ICLR 2021. Applied late,
it does as much as throughout: Zhou et al., "Sharpness-Aware Minimization Efficiently Selects Flatter Minima Late in
Training", ICLR 2025.
"""

import contextlib
from collections.abc import Iterator

import torch


@contextlib.contextmanager
def worst_nearby(network: torch.nn.Module, radius: float) -> Iterator[None]:
    """Move a network's parameters up their gradient, and back on exit; batch norm statistics stay frozen.

    :param network: module with gradients, of any scale; they are reset to None.
    :param radius: Euclidean length of the move.
    :returns: context manager; a zero or non-finite gradient moves nothing.
    """
    moved: list[torch.Tensor] = [parameter for parameter in network.parameters() if parameter.grad is not None]
    gradients = [parameter.grad for parameter in moved if parameter.grad is not None]
    former = [parameter.detach().clone() for parameter in moved]
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        length = torch.linalg.vector_norm(torch.stack(list(torch._foreach_norm(gradients, 2))).float())
        if torch.isfinite(length) and length > 0:
            torch._foreach_add_(moved, list(torch._foreach_mul(gradients, radius / length)))
    for parameter in moved:
        parameter.grad = None
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        with torch.no_grad():
            torch._foreach_copy_(moved, former)
        for norm, momentum in zip(norms, momenta):
            norm.momentum = momentum
