"""ESR: Ensembles with Shared Representations, plain and diversified (ESR*), in torch.

Layer and key names are those of the published code, so that its weights load by name.
Source: Siqueira, Magg and Wermter, "Efficient Facial Feature Learning with Wide Ensemble-based Convolutional Neural
Networks", AAAI 2020, section 3 and the authors' code: ESR-9 has 20,349,546 parameters, ESR-15 33,666,054. ESR*: Heidari
and Iosifidis, "Learning Diversified Feature Representations for Facial Expression Recognition in the Wild", 2022, and
OpenDR's `algorithm/model/diversified_esr.py`: ESR*-9 has 20,832,494, ESR*-15 34,465,946; CBAM stands behind each block,
where the block pools behind its pooling.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.learning.attention import CBAM

#: Channels of the shared features that the base hands to each branch.
SHARED_CHANNELS = 128

#: Least side of a crop: of smaller ones, nothing is left to convolve.
MIN_SIZE_PX = 54


class Attention(NamedTuple):
    """What the last CBAM of each branch of an ESR* attends to.

    :param channel: (N, n, 512) float in (0, 1).
    :param spatial: (N, n, F, F) float in (0, 1), F = 6 for crops of 96 px and 2 for 64 px.
    """

    channel: torch.Tensor
    spatial: torch.Tensor


class _Blocks(nn.Module):
    """Four blocks of convolution, batch norm and ReLU; the second and, in the base, the fourth pool."""

    def __init__(self, channels, kernels, last_padding, pooled, diversified):
        super().__init__()
        widths = list(zip(channels, channels[1:]))
        for block, ((inputs, outputs), kernel) in enumerate(zip(widths, kernels), 1):
            self.add_module(f'conv{block}', nn.Conv2d(inputs, outputs, kernel, padding=last_padding * (block == 4)))
        for block, outputs in enumerate(channels[1:], 1):
            self.add_module(f'bn{block}', nn.BatchNorm2d(outputs))
        if diversified:
            for block, outputs in enumerate(channels[1:], 1):
                self.add_module(f'cbam{block}', CBAM(outputs))
        self._pooled = pooled
        self.diversified = diversified

    def maps(self, features):
        """Run the blocks.

        :param features: (N, C, F, F) float, input of the first block.
        :returns: output of the last block (N, C', F', F'); the attention of its CBAM to channels (N, C') and to places
            (N, F', F'), both None without CBAM.
        """
        channel = spatial = None
        for block in (1, 2, 3, 4):
            convolution, norm = getattr(self, f'conv{block}'), getattr(self, f'bn{block}')
            features = functional.relu(norm(convolution(features)))
            if block in self._pooled:
                features = functional.max_pool2d(features, 2)
            if self.diversified:
                features, channel, spatial = getattr(self, f'cbam{block}')(features)
        return features, channel, spatial


class Base(_Blocks):
    """The early layers, computed once and shared by all branches."""

    def __init__(self, diversified=False):
        """Make the layers with random weights.

        :param diversified: with CBAM behind each block.
        """
        super().__init__((3, 64, 128, 128, SHARED_CHANNELS), (5, 3, 3, 3), 0, (2, 4), diversified)

    def forward(self, crops):
        """Turn crops into shared features.

        :param crops: (N, 3, S, S) float, S = 96 in the published network, and at least 54.
        :returns: (N, 128, F, F) float, F = 20 for S = 96 and 12 for S = 64; N = 0 gives (0, 128, F, F).
        """
        return self.maps(crops)[0]


class ConvolutionalBranch(_Blocks):
    """One member of the ensemble: the late layers and both of its heads."""

    def __init__(self, diversified=False):
        """Make the layers with random weights.

        :param diversified: with CBAM behind each block.
        """
        super().__init__((SHARED_CHANNELS, 128, 256, 256, 512), (3, 3, 3, 3), 1, (2,), diversified)
        self.fc = nn.Linear(512, len(EMOTIONS))
        self.fc_dimensional = nn.Linear(len(EMOTIONS), 2)

    def heads(self, maps):
        """Classify the last feature maps.

        :param maps: (N, 512, F, F) float, from :meth:`maps`.
        :returns: logits (N, 8) float in the order of EMOTIONS, and affect (N, 2) float: valence and arousal of a linear
            layer over ReLU(logits), not bounded.
        """
        logits = self.fc(functional.adaptive_avg_pool2d(maps, 1).flatten(1))
        return logits, self.fc_dimensional(functional.relu(logits))

    def forward(self, features):
        """Classify shared features.

        :param features: (N, 128, F, F) float, from :class:`Base`.
        :returns: logits (N, 8) and affect (N, 2), as :meth:`heads` gives them.
        """
        return self.heads(self.maps(features)[0])


class ESR(nn.Module):
    """ESR-n or ESR*-n: one base and n branches.

    The branches are registered in a ModuleList: `eval()` reaches their batch norm, which in the authors' code it does
    not. A face alone gives what it gives inside a batch.
    """

    def __init__(self, branches=9, diversified=False):
        """Make a network with random weights.

        :param branches: n, the number of branches, at least 1.
        :param diversified: ESR*, with CBAM behind each block of base and branches.
        :raises BadParameter: if `branches` is less than 1.
        """
        super().__init__()
        if branches < 1:
            raise BadParameter(f'an ensemble needs at least 1 branch, got {branches}')
        self.base = Base(diversified)
        self.convolutional_branches = nn.ModuleList(ConvolutionalBranch(diversified) for _ in range(branches))

    @property
    def branches(self):
        """The number of branches, n."""
        return len(self.convolutional_branches)

    @property
    def diversified(self):
        """Whether this is an ESR*, with CBAM."""
        return self.base.diversified

    def add_branch(self, generator=None):
        """Append a branch with random weights, as training branch by branch does.

        It gets the device, the kind of numbers and the mode (training or evaluation) of the others; an optimizer, an
        average or a DistributedDataParallel that holds this network does not know of it and must be made anew.

        :param generator: torch.Generator (of the CPU) that its weights are drawn from; None for torch's own.
        :returns: the new ConvolutionalBranch.
        """
        first = self.convolutional_branches[0]
        like = first.fc.weight
        if generator is None:
            branch = ConvolutionalBranch(self.diversified)
        else:
            seed = int(torch.randint(2 ** 62, (), generator=generator))
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                branch = ConvolutionalBranch(self.diversified)
        self.convolutional_branches.append(branch.to(like.device, like.dtype).train(first.training))
        return branch

    def forward(self, crops, base_gradient=1.0, with_attention=False, places=None):
        """Run base and branches.

        :param crops: (N, 3, S, S) float, as :mod:`facial_emotion_ros.face_crop` makes them, S at least 54.
        :param base_gradient: factor of the gradient that reaches the base; outputs do not depend on it. 1 / n lets the
            base learn from the mean of the branches' losses while each branch learns from its own.
        :param with_attention: also give the attention of an ESR*'s branches, for :mod:`.diversity`.
        :param places: run only these of the branches, n of them; None for all.
        :returns: logits (N, n, 8) and affect (N, n, 2); N = 0 gives empty tensors of these shapes. With attention also
            an Attention.
        :raises BadParameter: if attention is asked of a network that has none.
        """
        if with_attention and not self.diversified:
            raise BadParameter('attention of an ESR* asked for, this is a plain ESR; make it with diversified=True')
        features = self.base(crops)
        if base_gradient != 1.0 and features.requires_grad:
            features.register_hook(lambda gradient: gradient * base_gradient)
        outputs, attention = [], []
        for place in range(self.branches) if places is None else places:
            branch = self.convolutional_branches[place]
            maps, *attended = branch.maps(features)
            outputs.append(branch.heads(maps))
            attention.append(attended)
        logits, affect = (torch.stack(each, 1) for each in zip(*outputs))
        if not with_attention:
            return logits, affect
        return logits, affect, Attention(*(torch.stack(each, 1) for each in zip(*attention)))

    def forward_with_attention(self, crops, base_gradient=1.0):
        """Run base and all branches of an ESR*, and give what they attend to.

        Under DistributedDataParallel call the wrapped network itself, with `with_attention=True`.

        :param crops: see :meth:`forward`.
        :param base_gradient: see :meth:`forward`.
        :returns: logits (N, n, 8), affect (N, n, 2) and Attention.
        :raises BadParameter: if this is a plain ESR.
        """
        return self(crops, base_gradient, with_attention=True)
