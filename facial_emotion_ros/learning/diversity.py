"""What it costs when the branches of an ESR* attend to the same channels or places.

Likeness of two branches is exp(-gamma x squared distance of their attention), averaged over the faces; K is the matrix
of it over all pairs, and the cost falls as its determinant grows. A branch is exactly like itself: K_ii = 1. So K is
positive semidefinite, det K is 1 when no two branches are alike and 0 when any two are the same.

OpenDR's `algorithm/utils/diversity.py` has the same kernel, gamma = 10 and the same average, and its training adds -det
K to the loss, once for channels and once for places; but its loop leaves the diagonal at zero. Such a matrix is not
positive semidefinite: of n alike branches its determinant is (n - 1) (-1)^(n - 1), so that for an odd n, as in ESR*-9,
being alike is rewarded by n - 1, and being diverse, of determinant 0, is not. Its logarithm is NaN where the
determinant is negative. With K_ii = 1 neither happens. The cost here is 1 - det K, in [0, 1], which has the gradient of
-det K.

Where many branches are nearly alike, as after one was copied, det K and its gradient are next to nothing (below 1e-6
for nine branches 0.01 apart in 36 cells); the logarithm pulls hardest just there, and is to be had by `logarithmic`. A
ridge on the diagonal keeps it finite: see :data:`RIDGE`. Of exact copies every gradient is 0: no direction is better.

Source: Heidari and Iosifidis, "Learning Diversified Feature Representations for Facial Expression Recognition in the
Wild", 2022, and OpenDR's code.
"""

import torch

from facial_emotion_ros.errors import BadParameter

#: How fast likeness falls with the squared distance of two branches' attention, as in OpenDR.
SHARPNESS = 10.0

#: Added to K's diagonal, which is then scaled back to 1. Two branches' logarithm then has a gradient of 100 at the
#: most (3 / sqrt(RIDGE)), n alike branches cost less than 6.9 n in place of infinity, and 1 - det K changes by 0.002
#: at the most.
RIDGE = 1e-3


def likeness(attention, sharpness=SHARPNESS):
    """Compare what the branches attend to.

    :param attention: (N, n, ...) float: channels (N, n, 512) or places (N, n, F, F).
    :param sharpness: gamma, above 0.
    :returns: K, (n, n) float64 in [0, 1], symmetric, K_ii = 1. N = 0 gives the identity: nobody attends to the same.
    :raises BadParameter: if gamma is not above 0.
    """
    if not sharpness > 0:
        raise BadParameter(f'a sharpness above 0 expected, got {sharpness}')
    faces, branches = attention.shape[:2]
    itself = torch.eye(branches, dtype=torch.float64, device=attention.device)
    if not faces:
        return itself
    # In double precision: half precision, and even single, would lose the small distances that matter most.
    flat = attention.flatten(2).double()
    products = flat @ flat.transpose(1, 2)
    squares = products.diagonal(dim1=1, dim2=2)
    distances = squares[:, :, None] + squares[:, None] - 2.0 * products
    kernel = torch.exp(-sharpness * distances.clamp(min=0.0)).mean(0)
    return kernel * (1.0 - itself) + itself


def _cost(attention, sharpness, logarithmic):
    kernel = likeness(attention, sharpness)
    branches = kernel.shape[0]
    ridge = RIDGE * torch.eye(branches, dtype=kernel.dtype, device=kernel.device)
    triangle = torch.linalg.cholesky_ex((kernel + ridge) / (1.0 + RIDGE)).L  # NaN stays NaN, and is no exception
    logarithm = 2.0 * triangle.diagonal().log().sum()
    return -logarithm if logarithmic else 1.0 - logarithm.exp()


def spatial_diversity(attention, sharpness=SHARPNESS, logarithmic=False):
    """Cost of branches that look at the same places.

    :param attention: Attention of an ESR*.
    :param sharpness: gamma.
    :param logarithmic: give -log det K, at least 0, in place of 1 - det K.
    :returns: scalar float64, 1 - det K in [0, 1]; 0 for one branch and for N = 0.
    """
    return _cost(attention.spatial, sharpness, logarithmic)


def channel_diversity(attention, sharpness=SHARPNESS, logarithmic=False):
    """Cost of branches that look at the same channels.

    :param attention: Attention of an ESR*.
    :param sharpness: gamma.
    :param logarithmic: give -log det K, at least 0, in place of 1 - det K.
    :returns: scalar float64, 1 - det K in [0, 1]; 0 for one branch and for N = 0.
    """
    return _cost(attention.channel, sharpness, logarithmic)


def diversity_loss(attention, sharpness=SHARPNESS, logarithmic=False):
    """Sum of spatial and channel cost: what training of an ESR* adds to its loss.

    :param attention: Attention of an ESR*.
    :param sharpness: gamma.
    :param logarithmic: give -log det K, at least 0, in place of 1 - det K.
    :returns: scalar float64, in [0, 2] unless logarithmic; less where the branches differ more.
    """
    return spatial_diversity(attention, sharpness, logarithmic) + channel_diversity(attention, sharpness, logarithmic)
