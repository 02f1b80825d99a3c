"""CBAM: channel attention, then spatial attention, after each block of the diversified ESR*.

Parameter names are those of the published code (`cbam1.ChannelGate.mlp.1.weight`,
`cbam1.SpatialGate.spatial.conv.weight`), so that its weights load by name. Names, order of the gates, order of maximum
and mean, and sizes (ratio 16, kernel 7, batch norm momentum 0.01) follow OpenDR's `algorithm/model/cbam.py`.
Source: Woo, Park, Lee and Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3.
"""

import torch
from torch import nn
from torch.nn import functional

#: Reduction ratio of the channel gate's hidden layer.
REDUCTION = 16

#: Kernel size of the spatial gate.
WINDOW = 7


class ChannelGate(nn.Module):
    """Channel attention: one MLP applied to the channels' means and maxima."""

    def __init__(self, channels: int) -> None:
        """Make a gate with random weights.

        :param channels: of the feature maps, a multiple of 16.
        """
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels, channels // REDUCTION),
            nn.ReLU(),
            nn.Linear(channels // REDUCTION, channels),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute attention.

        :param features: (N, C, F, F) float.
        :returns: (N, C) float in (0, 1).
        """
        mean, maximum = functional.adaptive_avg_pool2d(features, 1), functional.adaptive_max_pool2d(features, 1)
        return torch.sigmoid(self.mlp(mean) + self.mlp(maximum))


class NormedConvolution(nn.Module):
    """Convolution of the channel statistics to one map, with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 1, WINDOW, padding=WINDOW // 2, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, statistics: torch.Tensor) -> torch.Tensor:
        """Map (N, 2, F, F) to (N, 1, F, F)."""
        return self.bn(self.conv(statistics))


class SpatialGate(nn.Module):
    """Spatial attention, from the maximum and mean over channels."""

    def __init__(self) -> None:
        super().__init__()
        self.spatial = NormedConvolution()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Compute attention.

        :param features: (N, C, F, F) float.
        :returns: (N, F, F) float in (0, 1).
        """
        statistics = torch.stack([features.amax(1), features.mean(1)], 1)
        return torch.sigmoid(self.spatial(statistics)).squeeze(1)


class CBAM(nn.Module):
    """Channel attention followed by spatial attention."""

    def __init__(self, channels: int) -> None:
        """Make both gates with random weights.

        :param channels: of the feature maps, a multiple of 16.
        """
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Apply both gates.

        :param features: (N, C, F, F) float.
        :returns: weighted features (N, C, F, F), channel attention (N, C) and spatial attention (N, F, F), in (0, 1).
        """
        channel = self.ChannelGate(features)
        features = features * channel[:, :, None, None]
        spatial = self.SpatialGate(features)
        return features * spatial[:, None], channel, spatial
