"""An ESR rearranged for inference: fewer and larger operators, no unused computation."""

import copy
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facial_emotion_ros.training.model.network import ESR


def used_side(size_px: int, diversified: bool = False) -> int:
    """Return how much of a crop's side affects the outputs: pooling drops odd rows and columns at the far end.

    :param size_px: side of the crop S, at least MIN_SIZE_PX.
    :param diversified: for an ESR*, whose attention covers whole maps.
    :returns: least side with the same logits, cropped at the right and lower end: 94 for 96; all of it for an ESR*.
    """
    if diversified:
        return size_px
    shared = ((size_px - 6) // 2 - 4) // 2
    used = 2 * ((shared - 4) // 2) + 4
    return 2 * (2 * used + 4) + 6


class InferenceNetwork(nn.Module):
    """An equivalent of an ESR or ESR* for inference only.

    It takes uint8 pixels, one plane for gray; batch norm is folded; the first convolutions of the branches are one, and
    so are the heads. Logits differ from the ESR's by rounding, about 1e-5.
    """

    fc_weight: torch.Tensor
    fc_bias: torch.Tensor
    fc_dimensional_weight: torch.Tensor
    fc_dimensional_bias: torch.Tensor

    def __init__(self, network: ESR, size_px: int, gray: bool, scale: float) -> None:
        """Copy and rearrange the weights of a network.

        :param network: ESR.
        :param size_px: side of the crops S.
        :param gray: crops have one plane, which the network sees three times; else three, BGR.
        :param scale: factor from uint8 to the network's range.
        """
        super().__init__()
        network = copy.deepcopy(network).cpu().float().eval()
        self.side = used_side(size_px, network.diversified)
        self.diversified = network.diversified
        self.base = _fused(network.base)
        with torch.no_grad():
            first = self.base.conv1.weight * scale
            self.base.conv1.weight = nn.Parameter(first.sum(1, keepdim=True) if gray else first)
        for name in ('fc', 'fc_dimensional'):
            layers = [getattr(branch, name) for branch in network.convolutional_branches]
            self.register_buffer(name + '_weight', torch.stack([layer.weight.detach().t() for layer in layers]))
            self.register_buffer(name + '_bias', torch.stack([layer.bias.detach() for layer in layers])[:, None])
        branches = [_fused(branch) for branch in network.convolutional_branches]
        self.first = _merged([branch.conv1 for branch in branches])
        for branch in branches:
            del branch.conv1, branch.fc, branch.fc_dimensional
        self.branches: Any = nn.ModuleList(branches)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Classify crops.

        :param pixels: (N, 1, S, S) uint8 gray, or (N, 3, S, S) uint8 BGR.
        :returns: logits (N, n, 8) and affect (N, n, 2), float.
        """
        features = pixels[:, :, : self.side, : self.side].float()
        for block in (1, 2, 3, 4):
            features = self._block(self.base, block, features, pooled=block in (2, 4))
        parts = torch.relu(self.first(features)).split(self.first.out_channels // len(self.branches), 1)
        means = []
        for branch, part in zip(self.branches, parts):
            part = self._attend(branch, 1, part)
            for block in (2, 3, 4):
                part = self._block(branch, block, part, pooled=block == 2)
            means.append(functional.adaptive_avg_pool2d(part, 1))
        branches, inputs, classes = self.fc_weight.shape
        rows = torch.cat(means, 1).reshape(-1, branches, 1, inputs)
        logits = rows @ self.fc_weight + self.fc_bias
        affect = torch.relu(logits) @ self.fc_dimensional_weight + self.fc_dimensional_bias
        return logits.reshape(-1, branches, classes), affect.reshape(-1, branches, 2)

    def _block(self, blocks: nn.Module, block: int, features: torch.Tensor, pooled: bool) -> torch.Tensor:
        features = torch.relu(getattr(blocks, f'conv{block}')(features))
        if pooled:
            features = functional.max_pool2d(features, 2)
        return self._attend(blocks, block, features)

    def _attend(self, blocks: nn.Module, block: int, features: torch.Tensor) -> torch.Tensor:
        """Apply CBAM with fewer operators, and with pooling operators, which run in int8 after quantization."""
        if not self.diversified:
            return features
        cbam = getattr(blocks, f'cbam{block}')
        _, first, _, second = cbam.ChannelGate.mlp
        mean = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        maximum = functional.max_pool2d(features, int(features.shape[2])).flatten(1)
        hidden = torch.relu(first(mean)) + torch.relu(first(maximum))
        # The second layer is linear: applied once to the sum, with twice its bias.
        channel = torch.sigmoid(functional.linear(hidden, second.weight, 2 * second.bias))
        features = features * channel.reshape(-1, second.out_features, 1, 1)
        statistics = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
        return features * torch.sigmoid(cbam.SpatialGate.spatial(statistics))


def _fused(blocks: Any) -> Any:
    """Fold batch norm into the preceding convolutions."""
    for block in (1, 2, 3, 4):
        fused = fuse_conv_bn_eval(getattr(blocks, f'conv{block}'), getattr(blocks, f'bn{block}'))
        setattr(blocks, f'conv{block}', fused)
        delattr(blocks, f'bn{block}')
        if blocks.diversified:
            gate = getattr(blocks, f'cbam{block}').SpatialGate
            gate.spatial = fuse_conv_bn_eval(gate.spatial.conv, gate.spatial.bn)
    return blocks


def _merged(convolutions: list[Any]) -> nn.Conv2d:
    """Merge convolutions of the same input into one."""
    one: Any = nn.Conv2d(
        convolutions[0].in_channels, sum(each.out_channels for each in convolutions), convolutions[0].kernel_size
    )
    with torch.no_grad():
        one.weight.copy_(torch.cat([each.weight for each in convolutions]))
        one.bias.copy_(torch.cat([each.bias for each in convolutions]))
    return one
