"""ESR: Ensembles with Shared Representations, plain and diversified (ESR*), in torch.

Layer and key names are those of the published code, so that its weights load by name.
Source: Siqueira, Magg and Wermter, "Efficient Facial Feature Learning with Wide Ensemble-based Convolutional Neural
Networks", AAAI 2020, section 3 and the authors' code: ESR-9 has 20,349,546 parameters, ESR-15 33,666,054. ESR*: Heidari
and Iosifidis, "Learning Diversified Feature Representations for Facial Expression Recognition in the Wild", 2022, and
OpenDR's `algorithm/model/diversified_esr.py`: ESR*-9 has 20,832,494, ESR*-15 34,465,946; CBAM follows each block,
after its pooling if there is one.
"""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.training.model.attention import CBAM

#: A state dict: tensors by name.
Weights = dict[str, torch.Tensor]

#: Channels of a crop and after each block of the base; the last are those of the shared features.
BASE_CHANNELS = (3, 64, 128, 128, 128)

#: Channels of the shared features and after each block of a branch.
BRANCH_CHANNELS = (128, 128, 256, 256, 512)

#: Minimum side of a crop in pixels: below it, the feature maps are too small for the convolutions.
MIN_SIZE_PX = 54

#: Prefix of the branches' names in a state dict, each followed by its number and a point.
BRANCHES = 'convolutional_branches.'


def branches_of(weights: Iterable[str]) -> int:
    """Count the branches of a state dict.

    :param weights: state dict of an ESR, or its names.
    :raises BadModel: if there is none.
    """
    places = {name.split('.')[1] for name in weights if name.startswith(BRANCHES)}
    if not places or places != {str(place) for place in range(len(places))}:
        raise BadModel(f'expected weights of an ESR with branches {BRANCHES}0 and so on, got {sorted(places)[:20]}')
    return len(places)


def is_diversified(weights: Iterable[str]) -> bool:
    """Return whether a state dict, or its names, is of an ESR*: it has CBAM layers."""
    return any('.cbam' in name for name in weights)


class Attention(NamedTuple):
    """Attention of the last CBAM of each branch of an ESR*.

    :param channel: (N, n, 512) float in (0, 1).
    :param spatial: (N, n, F, F) float in (0, 1), F = 6 for crops of 96 px and 2 for 64 px.
    """

    channel: torch.Tensor
    spatial: torch.Tensor


class _Blocks(nn.Module):
    """Four blocks of convolution, batch norm and ReLU; the second and, in the base, the fourth pool."""

    def __init__(
        self,
        channels: Sequence[int],
        kernels: Sequence[int],
        last_padding: int,
        pooled: Sequence[int],
        diversified: bool,
    ) -> None:
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

    def maps(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """Run the blocks.

        :param features: (N, C, F, F) float, input of the first block.
        :returns: output of the last block (N, C', F', F'); channel attention (N, C') and spatial attention (N, F', F')
            of its CBAM, None without CBAM.
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
    """The early layers, shared by all branches."""

    def __init__(self, diversified: bool = False) -> None:
        """Make the layers with random weights.

        :param diversified: with CBAM after each block.
        """
        super().__init__(BASE_CHANNELS, (5, 3, 3, 3), 0, (2, 4), diversified)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        """Turn crops into shared features.

        :param crops: (N, 3, S, S) float, S = 96 in the published network, and at least 54.
        :returns: (N, 128, F, F) float, F = 20 for S = 96 and 12 for S = 64; N = 0 gives (0, 128, F, F).
        """
        return self.maps(crops)[0]


class ConvolutionalBranch(_Blocks):
    """One member of the ensemble: late layers and both heads."""

    def __init__(self, diversified: bool = False) -> None:
        """Make the layers with random weights.

        :param diversified: with CBAM after each block.
        """
        super().__init__(BRANCH_CHANNELS, (3, 3, 3, 3), 1, (2,), diversified)
        self.fc = nn.Linear(BRANCH_CHANNELS[-1], len(EMOTIONS))
        self.fc_dimensional = nn.Linear(len(EMOTIONS), 2)

    def heads(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Classify the last feature maps.

        :param maps: (N, 512, F, F) float, from :meth:`maps`.
        :returns: logits (N, 8) float in the order of EMOTIONS, and affect (N, 2) float: valence and arousal of a linear
            layer over ReLU(logits), not bounded.
        """
        logits = self.fc(functional.adaptive_avg_pool2d(maps, 1).flatten(1))
        return logits, self.fc_dimensional(functional.relu(logits))

    def forward(self, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Classify shared features.

        :param features: (N, 128, F, F) float, from :class:`Base`.
        :returns: logits (N, 8) and affect (N, 2), as :meth:`heads` gives them.
        """
        return self.heads(self.maps(features)[0])


class ESR(nn.Module):
    """ESR-n or ESR*-n: one base and n branches.

    The branches are in a ModuleList, so that `eval()` reaches their batch norm, as it does not in the authors' code:
    the outputs of a face do not depend on the rest of the batch.
    """

    def __init__(self, branches: int = 9, diversified: bool = False) -> None:
        """Make a network with random weights.

        :param branches: n, the number of branches, at least 1.
        :param diversified: ESR*, with CBAM after each block.
        :raises BadParameter: if `branches` is below 1.
        """
        super().__init__()
        if branches < 1:
            raise BadParameter(f'expected at least 1 branch, got {branches}')
        self.base = Base(diversified)
        # Any: torch gives a ModuleList's elements no type of their own
        self.convolutional_branches: Any = nn.ModuleList(ConvolutionalBranch(diversified) for _ in range(branches))

    @property
    def branches(self) -> int:
        """The number of branches, n."""
        return len(self.convolutional_branches)

    @property
    def diversified(self) -> bool:
        """Whether this is an ESR*, with CBAM."""
        return self.base.diversified

    def add_branch(self, generator: torch.Generator | None = None) -> ConvolutionalBranch:
        """Append a branch with random weights, on the device and in the dtype and mode of the others.

        An optimizer, average or DistributedDataParallel of this network must be recreated.

        :param generator: CPU generator of the weights; None for torch's default.
        :returns: the new ConvolutionalBranch.
        """
        first = self.convolutional_branches[0]
        like = first.fc.weight
        if generator is None:
            branch = ConvolutionalBranch(self.diversified)
        else:
            seed = int(torch.randint(2**62, (), generator=generator))
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                branch = ConvolutionalBranch(self.diversified)
        self.convolutional_branches.append(branch.to(like.device, like.dtype).train(first.training))
        return branch

    def forward(
        self,
        crops: torch.Tensor,
        base_gradient: float = 1.0,
        with_attention: bool = False,
        places: Iterable[int] | None = None,
    ) -> Any:
        """Run base and branches.

        :param crops: (N, 3, S, S) float, as :mod:`facial_emotion_ros.perception.face_crops` makes them; S >= 54.
        :param base_gradient: scales the gradient of the base. With 1 / n it learns from the mean of the branches'
            losses while each branch learns from its own.
        :param with_attention: also return the attention of an ESR*'s branches.
        :param places: indices of the branches to run; None for all.
        :returns: logits (N, n, 8) and affect (N, n, 2); N = 0 gives empty tensors of these shapes. With attention also
            an Attention.
        :raises BadParameter: if a plain ESR is asked for attention.
        """
        if with_attention and not self.diversified:
            raise BadParameter('a plain ESR has no attention; create it with diversified=True')
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
