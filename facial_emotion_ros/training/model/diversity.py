"""Diversity loss: penalises branches of an ESR* that attend to the same channels or regions.

The kernel of two branches is exp(-gamma x squared distance of their attention), averaged over the faces; K is its
matrix over all pairs, with K_ii = 1. K is positive semidefinite; det K is 1 for entirely different branches and 0 when
two are the same, so the loss falls as det K grows.

OpenDR's `algorithm/utils/diversity.py` has the same kernel, gamma = 10 and average, and adds -det K to the loss, once
for channels and once for regions; but it leaves the diagonal at zero. Of n equal branches the determinant is then
(n - 1) (-1)^(n - 1): for odd n, as in ESR*-9, equal branches are rewarded. The loss here is 1 - det K, in [0, 1], with
the gradient of -det K.

Where many branches are nearly equal, as after copying one, det K and its gradient vanish (below 1e-6 for nine branches
0.01 apart in 36 cells). For exact copies every gradient is 0.

Source: Heidari and Iosifidis, "Learning Diversified Feature Representations for Facial Expression Recognition in the
Wild", 2022, and OpenDR's code.
"""

import torch

from facial_emotion_ros.training.model.network import Attention

#: Gamma of the kernel, as in OpenDR.
SHARPNESS = 10.0

#: Added to K's diagonal, which is then rescaled to 1, so that K has a Cholesky factor for equal branches too; 1 - det K
#: changes by at most 0.002.
RIDGE = 1e-3


def likeness(attention: torch.Tensor) -> torch.Tensor:
    """Compute the kernel matrix K of the branches' attention.

    :param attention: (N, n, ...) float: channels (N, n, 512) or regions (N, n, F, F).
    :returns: K, (n, n) float64 in [0, 1], symmetric, K_ii = 1; the identity for N = 0.
    """
    faces, branches = attention.shape[:2]
    itself = torch.eye(branches, dtype=torch.float64, device=attention.device)
    if not faces:
        return itself
    # Double precision: single would lose the small distances that matter most.
    flat = attention.flatten(2).double()
    products = flat @ flat.transpose(1, 2)
    squares = products.diagonal(dim1=1, dim2=2)
    distances = squares[:, :, None] + squares[:, None] - 2.0 * products
    kernel = torch.exp(-SHARPNESS * distances.clamp(min=0.0)).mean(0)
    return kernel * (1.0 - itself) + itself


def _cost(attention: torch.Tensor) -> torch.Tensor:
    """Return 1 - det K, a scalar float64 in [0, 1]; 0 for one branch and for N = 0."""
    kernel = likeness(attention)
    ridge = RIDGE * torch.eye(len(kernel), dtype=kernel.dtype, device=kernel.device)
    triangle = torch.linalg.cholesky_ex((kernel + ridge) / (1.0 + RIDGE)).L  # NaN stays NaN without an exception
    return 1.0 - torch.exp(2.0 * triangle.diagonal().log().sum())


def diversity_loss(attention: Attention) -> torch.Tensor:
    """Sum the diversity losses of spatial and channel attention.

    :param attention: Attention of an ESR*.
    :returns: scalar float64 in [0, 2], smaller for more diverse branches; 0 for one branch and for N = 0.
    """
    return _cost(attention.spatial) + _cost(attention.channel)
