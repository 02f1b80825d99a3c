"""The same ESR in the form that runs fastest: fewer and larger operators, no work whose results nobody uses."""

import copy

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


def used_side(size_px, diversified=False):
    """Say how much of a crop's side reaches the last maps: pooling leaves out odd rows and columns at the far end.

    :param size_px: side of the crop S, at least MIN_SIZE_PX.
    :param diversified: of an ESR*, whose attention looks at whole maps before they are pooled.
    :returns: the least side of the crop, cut at its right and lower end, that gives the very same logits: 94 for 96;
        of an ESR* all of it.
    """
    if diversified:
        return size_px
    shared = ((size_px - 6) // 2 - 4) // 2
    used = 2 * ((shared - 4) // 2) + 4
    return 2 * (2 * used + 4) + 6


class InferenceNetwork(nn.Module):
    """An ESR or ESR* for inference alone, which computes what it computes.

    Takes pixels as they are, one plane of gray in place of three alike; batch norm is part of the convolutions; the
    first convolutions of the branches, which all read the shared features, are one; so are the heads. Differences to
    the ESR are those of rounding, about 1e-5 of the logits.
    """

    def __init__(self, network, size_px, gray, scale):
        """Rearrange the weights of a network; the network itself stays as it is.

        :param network: ESR.
        :param size_px: side of the crops S.
        :param gray: crops have one plane (the network then sees it three times), else three: blue, green, red.
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
        self.first = _side_by_side([branch.conv1 for branch in branches])
        for branch in branches:
            del branch.conv1, branch.fc, branch.fc_dimensional
        self.branches = nn.ModuleList(branches)

    def forward(self, pixels):
        """Read crops.

        :param pixels: (N, 1, S, S) uint8 gray, or (N, 3, S, S) uint8 BGR.
        :returns: logits (N, n, 8) and affect (N, n, 2), float.
        """
        features = pixels[:, :, :self.side, :self.side].float()
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
        means = torch.cat(means, 1).reshape(-1, branches, 1, inputs)
        logits = means @ self.fc_weight + self.fc_bias
        affect = torch.relu(logits) @ self.fc_dimensional_weight + self.fc_dimensional_bias
        return logits.reshape(-1, branches, classes), affect.reshape(-1, branches, 2)

    def _block(self, blocks, block, features, pooled):
        features = torch.relu(getattr(blocks, f'conv{block}')(features))
        if pooled:
            features = functional.max_pool2d(features, 2)
        return self._attend(blocks, block, features)

    def _attend(self, blocks, block, features):
        """Do what CBAM does, with fewer operators: a branch's maps are small, and each operator costs its call.

        The mean and the maximum of a map over its places are pooling, which a quantised model does in eight bits.
        """
        if not self.diversified:
            return features
        cbam = getattr(blocks, f'cbam{block}')
        _, first, _, second = cbam.ChannelGate.mlp
        mean = functional.adaptive_avg_pool2d(features, 1).flatten(1)
        maximum = functional.max_pool2d(features, int(features.shape[2])).flatten(1)
        hidden = torch.relu(first(mean)) + torch.relu(first(maximum))
        # The second layer is linear: once over the sum of both, with its bias twice.
        channel = torch.sigmoid(functional.linear(hidden, second.weight, 2 * second.bias))
        features = features * channel.reshape(-1, second.out_features, 1, 1)
        statistics = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
        return features * torch.sigmoid(cbam.SpatialGate.spatial(statistics))


def _fused(blocks):
    """Make batch norm a part of the convolutions before it."""
    for block in (1, 2, 3, 4):
        fused = fuse_conv_bn_eval(getattr(blocks, f'conv{block}'), getattr(blocks, f'bn{block}'))
        setattr(blocks, f'conv{block}', fused)
        delattr(blocks, f'bn{block}')
        if blocks.diversified:
            gate = getattr(blocks, f'cbam{block}').SpatialGate
            gate.spatial = fuse_conv_bn_eval(gate.spatial.conv, gate.spatial.bn)
    return blocks


def _side_by_side(convolutions):
    """Make one convolution of several that read the same features."""
    one = nn.Conv2d(convolutions[0].in_channels, sum(each.out_channels for each in convolutions),
                    convolutions[0].kernel_size)
    with torch.no_grad():
        one.weight.copy_(torch.cat([each.weight for each in convolutions]))
        one.bias.copy_(torch.cat([each.bias for each in convolutions]))
    return one
