"""What it costs when the branches of an ESR* attend to the same."""

import torch

#: How fast likeness falls with the squared distance of two branches' attention, as in OpenDR.
SHARPNESS = 10.0

#: Added to the kernel's diagonal before the determinant, so that alike branches keep a finite logarithm and gradient.
_RIDGE = 1e-6


def likeness(attention, sharpness=SHARPNESS):
    """Compare what the branches attend to.

    :param attention: (N, n, ...) float: channels (N, n, 512) or places (N, n, F, F).
    :param sharpness: gamma of exp(-gamma * squared distance).
    :returns: (n, n) float64 in (0, 1], mean over the faces; K_ii = 1. N = 0 gives the identity.
    """
    faces, branches = attention.shape[:2]
    if not faces:
        return torch.eye(branches, dtype=torch.float64, device=attention.device)
    flat = attention.flatten(2).double()
    distances = (flat[:, :, None] - flat[:, None]).square().sum(-1)
    return torch.exp(-sharpness * distances).mean(0)


def _cost(attention, sharpness):
    """Give 1 - det K: 0 when no two branches are alike, 1 when two are the same."""
    kernel = likeness(attention, sharpness)
    branches = kernel.shape[0]
    ridge = _RIDGE * torch.eye(branches, dtype=kernel.dtype, device=kernel.device)
    triangle = torch.linalg.cholesky((kernel + ridge) / (1.0 + _RIDGE))
    return 1.0 - triangle.diagonal().log().sum().mul(2.0).exp()


def spatial_diversity(attention, sharpness=SHARPNESS):
    """Cost of branches that look at the same places.

    :param attention: Attention of an ESR*.
    :param sharpness: see :func:`likeness`.
    :returns: scalar float64 in [0, 1].
    """
    return _cost(attention.spatial, sharpness)


def channel_diversity(attention, sharpness=SHARPNESS):
    """Cost of branches that look at the same channels.

    :param attention: Attention of an ESR*.
    :param sharpness: see :func:`likeness`.
    :returns: scalar float64 in [0, 1].
    """
    return _cost(attention.channel, sharpness)


def diversity_loss(attention, sharpness=SHARPNESS):
    """Sum of spatial and channel cost.

    :param attention: Attention of an ESR*.
    :param sharpness: see :func:`likeness`.
    :returns: scalar float64 in [0, 2]; less where the branches differ more.
    """
    return spatial_diversity(attention, sharpness) + channel_diversity(attention, sharpness)
