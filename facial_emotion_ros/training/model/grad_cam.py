"""Grad-CAM: the regions of a face that support an emotion, for each branch.

The map of an emotion is the sum of the last feature maps, weighted by the mean gradient of the emotion's logit, and
clipped below 0. These maps are followed only by global average pooling and one linear layer, so the gradient is that
layer's weight over the number of cells: one forward pass gives the maps of all emotions. For an ESR* these are the maps
after the last CBAM.

The authors' demo stretches the 6x6 map over the whole 96x96 crop. But the receptive fields of the first and last cell
are centred at pixels 26.5 and 66.5, not at 7.5 and 87.5: stretched, the eyes' heat lies on the forehead.
:func:`on_crop` places each cell at the centre of its receptive field.

Source: Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization", ICCV 2017,
section 3 and, for the equality of the gradient and the weight, section 3.1; the authors' `model/ml/grad_cam.py` and
`model/utils/uimage.py`.
"""

import torch

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.model.network import ESR

#: Stride of the last feature maps in pixels, and the centre of the first cell's receptive field from the first pixel's
#: centre: three poolings by 2, and unpadded convolutions. The same for any crop size.
CELL_PX = 8.0
FIRST_CELL_PX = 26.5

#: Standard deviation of a cell's effective receptive field: the squared gradients of a trained ESR-9 on three portraits
#: spread by 7 to 14 px.
SPREAD_PX = 10.0


def grad_cam(network: ESR, crops: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the maps of every branch and emotion.

    :param network: ESR or ESR* in evaluation mode.
    :param crops: (N, 3, S, S) float, as :mod:`facial_emotion_ros.perception.face_crops` makes them.
    :returns: maps (N, n, 8, F, F) float, at least 0, whose sum before clipping is the logit without its bias; and
        logits (N, n, 8).
    :raises BadParameter: if the network is in training mode.
    """
    if network.training:
        raise BadParameter('expected a network in evaluation mode; call eval() first')
    maps, logits = [], []
    with torch.no_grad():
        features = network.base(crops)
        for branch in network.convolutional_branches:
            last = branch.maps(features)[0]
            gradient = branch.fc.weight / (last.shape[2] * last.shape[3])
            maps.append(torch.einsum('nkyx,ek->neyx', last, gradient).relu())
            logits.append(branch.heads(last)[0])
    return torch.stack(maps, 1), torch.stack(logits, 1)


def on_crop(maps: torch.Tensor, size_px: int) -> torch.Tensor:
    """Upsample maps to the crop, each cell at the centre of its receptive field.

    :param maps: (..., F, F) float, from :func:`grad_cam`.
    :param size_px: side of the crop S.
    :returns: (..., S, S) float; the border is colder even for a uniform map, for few cells cover it.
    """
    cells = FIRST_CELL_PX + CELL_PX * torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device)
    pixels = torch.arange(size_px, dtype=maps.dtype, device=maps.device)
    bells = torch.exp(-0.5 * ((pixels[:, None] - cells) / SPREAD_PX).square())
    return bells @ maps @ bells.T
