"""Grad-CAM: which places of a face speak for an emotion, branch by branch.

The map of an emotion is the sum of the last feature maps, each weighed by the mean gradient of the emotion's logit
over its places, and cut off below 0. Behind these maps an ESR has but a mean over places and one linear layer: the
gradient is that layer's weight over the number of places, so that all emotions' maps come from one forward pass,
without a backward one. Of an ESR* the maps behind the last CBAM count, which attention has already weighed.

What the authors' demo does otherwise: it stretches the 6x6 map over the whole 96x96 crop. But the first cell looks at
pixels around 26.5, and the last around 66.5, since nothing is padded before the last convolution; stretched, they stand
at 7.5 and 87.5, and the eyes' heat lies on the forehead. :func:`on_crop` puts each cell where it looks.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
section 3 and, for the equality of the gradient and the weight, section 3.1; the authors' `model/ml/grad_cam.py` and
`model/utils/uimage.py`.
"""

import torch

from facial_emotion_ros.errors import BadParameter

#: Pixels of the crop between two cells of the last feature maps, and around which the first cell looks, counted from
#: the first pixel's centre: three poolings by 2, and what convolutions without padding take off. The same for any crop
#: size.
CELL_PX = 8.0
FIRST_CELL_PX = 26.5

#: How far a cell looks around, as the spread of a bell curve: the squared gradients of a trained ESR-9's last feature
#: maps, in the pixels of three portraits, spread by 7 to 14.
SPREAD_PX = 10.0


def grad_cam(network, crops):
    """Compute the maps of every branch and emotion.

    :param network: ESR or ESR* in evaluation mode.
    :param crops: (N, 3, S, S) float, as :mod:`facial_emotion_ros.face_crop` makes them.
    :returns: maps (N, n, 8, F, F) float, at least 0: the sum of a map, before it is cut off, is the logit without its
        bias. And logits (N, n, 8). N = 0 gives empty tensors of these shapes.
    :raises BadParameter: if the network is in training mode, where a face's map would depend on the other faces.
    """
    if network.training:
        raise BadParameter('a network in evaluation mode expected, this one is in training; call eval() first')
    maps, logits = [], []
    with torch.no_grad():
        features = network.base(crops)
        for branch in network.convolutional_branches:
            last = branch.maps(features)[0]
            gradient = branch.fc.weight / (last.shape[2] * last.shape[3])
            maps.append(torch.einsum('nkyx,ek->neyx', last, gradient).relu())
            logits.append(branch.heads(last)[0])
    return torch.stack(maps, 1), torch.stack(logits, 1)


def on_crop(maps, size_px):
    """Spread maps over the crop, each cell around the pixels that it looks at.

    :param maps: (..., F, F) float, from :func:`grad_cam`.
    :param size_px: side of the crop S that they were computed from.
    :returns: (..., S, S) float; also of an even map the border is colder, for few cells look there.
    """
    cells = FIRST_CELL_PX + CELL_PX * torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    pixels = torch.arange(size_px, dtype=maps.dtype, device=maps.device)
    bells = torch.exp(-0.5 * ((pixels[:, None] - cells) / SPREAD_PX).square())
    return bells @ maps @ bells.T
