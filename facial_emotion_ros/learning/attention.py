"""CBAM: attention over channels, then over places, as the diversified ESR* has it after each of its blocks.

Names of parameters are those of the published code (`cbam1.ChannelGate.mlp.1.weight`,
`cbam1.SpatialGate.spatial.conv.weight`), so that its weights load by name. They, the order of both gates, that of
maximum and mean, and the sizes (ratio 16, kernel 7, batch norm with momentum 0.01) were read in OpenDR's
`algorithm/model/cbam.py`, which says that it goes back to the code of CBAM's authors.
Source: Woo, Park, Lee and Kweon, "CBAM: Convolutional Block Attention Module", ECCV 2018, section 3.
"""

import torch
from torch import nn
from torch.nn import functional

#: By how much the channel gate's hidden layer is smaller than its input.
REDUCTION = 16

#: Side of the window from which a place's attention is computed, in cells of the feature maps.
WINDOW = 7


class ChannelGate(nn.Module):
    """How much each channel counts: one small network over the channels' mean and over their maximum."""

    def __init__(self, channels):
        """Make a gate with random weights.

        :param channels: of the feature maps, a multiple of 16.
        """
        super().__init__()
        self.mlp = nn.Sequential(
            nn.Flatten(), nn.Linear(channels, channels // REDUCTION), nn.ReLU(),
            nn.Linear(channels // REDUCTION, channels),
        )

    def forward(self, features):
        """Compute attention.

        :param features: (N, C, F, F) float.
        :returns: (N, C) float in (0, 1).
        """
        mean, maximum = functional.adaptive_avg_pool2d(features, 1), functional.adaptive_max_pool2d(features, 1)
        return torch.sigmoid(self.mlp(mean) + self.mlp(maximum))


class NormedConvolution(nn.Module):
    """A convolution of channel statistics to one map, and batch norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, WINDOW, padding=WINDOW // 2, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, statistics):
        """Convolve and normalise.

        :param statistics: (N, 2, F, F) float.
        :returns: (N, 1, F, F) float.
        """
        return self.bn(self.conv(statistics))


class SpatialGate(nn.Module):
    """How much each place counts, from the maximum and the mean over channels around it."""

    def __init__(self):
        super().__init__()
        self.spatial = NormedConvolution()

    def forward(self, features):
        """Compute attention.

        :param features: (N, C, F, F) float.
        :returns: (N, F, F) float in (0, 1).
        """
        statistics = torch.stack([features.amax(1), features.mean(1)], 1)
        return torch.sigmoid(self.spatial(statistics)).squeeze(1)


class CBAM(nn.Module):
    """Weigh feature maps by channel, and what comes out by place."""

    def __init__(self, channels):
        """Make both gates with random weights.

        :param channels: of the feature maps, a multiple of 16.
        """
        super().__init__()
        self.ChannelGate = ChannelGate(channels)
        self.SpatialGate = SpatialGate()

    def forward(self, features):
        """Weigh feature maps.

        :param features: (N, C, F, F) float.
        :returns: weighed features (N, C, F, F), attention to channels (N, C) and to places (N, F, F), both in (0, 1).
        """
        channel = self.ChannelGate(features)
        features = features * channel[:, :, None, None]
        spatial = self.SpatialGate(features)
        return features * spatial[:, None], channel, spatial
