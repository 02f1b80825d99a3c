"""ESR: Ensembles with Shared Representations, in torch.

Layer and key names are those of the published code, so that its weights load by name.
Source: Siqueira, Magg and Wermter, "Efficient Facial Feature Learning with Wide Ensemble-based Convolutional Neural
Networks", AAAI 2020, section 3 and the authors' code. ESR-9 has 20,349,546 parameters, ESR-15 33,666,054.
"""

import torch
from torch import nn
from torch.nn import functional

from facial_emotion_ros.emotions import EMOTIONS

#: Channels of the shared features that the base hands to each branch.
SHARED_CHANNELS = 128


class Base(nn.Module):
    """The early layers, computed once and shared by all branches."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 5)
        self.conv2 = nn.Conv2d(64, 128, 3)
        self.conv3 = nn.Conv2d(128, 128, 3)
        self.conv4 = nn.Conv2d(128, SHARED_CHANNELS, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.bn2 = nn.BatchNorm2d(128)
        self.bn3 = nn.BatchNorm2d(128)
        self.bn4 = nn.BatchNorm2d(SHARED_CHANNELS)
        self.pool = nn.MaxPool2d(2, 2)

    def forward(self, crops):
        """Turn crops into shared features.

        :param crops: (N, 3, S, S) float, S = 96 in the published network.
        :returns: (N, 128, F, F) float, F = 20 for S = 96 and 12 for S = 64; N = 0 gives (0, 128, F, F).
        """
        features = functional.relu(self.bn1(self.conv1(crops)))
        features = self.pool(functional.relu(self.bn2(self.conv2(features))))
        features = functional.relu(self.bn3(self.conv3(features)))
        return self.pool(functional.relu(self.bn4(self.conv4(features))))


class ConvolutionalBranch(nn.Module):
    """One member of the ensemble: the late layers and both of its heads."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(SHARED_CHANNELS, 128, 3)
        self.conv2 = nn.Conv2d(128, 256, 3)
        self.conv3 = nn.Conv2d(256, 256, 3)
        self.conv4 = nn.Conv2d(256, 512, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(128)
        self.bn2 = nn.BatchNorm2d(256)
        self.bn3 = nn.BatchNorm2d(256)
        self.bn4 = nn.BatchNorm2d(512)
        self.fc = nn.Linear(512, len(EMOTIONS))
        self.fc_dimensional = nn.Linear(len(EMOTIONS), 2)
        self.pool = nn.MaxPool2d(2, 2)
        self.global_pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, features):
        """Classify shared features.

        :param features: (N, 128, F, F) float, from :class:`Base`.
        :returns: logits (N, 8) float in the order of EMOTIONS, and affect (N, 2) float: valence and arousal of a linear
            layer over ReLU(logits), not bounded.
        """
        features = functional.relu(self.bn1(self.conv1(features)))
        features = self.pool(functional.relu(self.bn2(self.conv2(features))))
        features = functional.relu(self.bn3(self.conv3(features)))
        features = functional.relu(self.bn4(self.conv4(features)))
        logits = self.fc(self.global_pool(features).flatten(1))
        return logits, self.fc_dimensional(functional.relu(logits))


class ESR(nn.Module):
    """ESR-n: one base and n branches.

    The branches are registered in a ModuleList: `eval()` reaches their batch norm, which in the authors' code it does
    not. A face alone gives what it gives inside a batch.
    """

    def __init__(self, branches=9):
        """Make a network with random weights.

        :param branches: n, the number of branches, at least 1.
        :raises ValueError: if `branches` is less than 1.
        """
        super().__init__()
        if branches < 1:
            raise ValueError(f'an ensemble needs at least 1 branch, got {branches}')
        self.base = Base()
        self.convolutional_branches = nn.ModuleList(ConvolutionalBranch() for _ in range(branches))

    @property
    def branches(self):
        """The number of branches, n."""
        return len(self.convolutional_branches)

    def forward(self, crops):
        """Run base and all branches.

        :param crops: (N, 3, S, S) float, as :mod:`facial_emotion_ros.face_crop` makes them.
        :returns: logits (N, n, 8) and affect (N, n, 2); N = 0 gives empty tensors of these shapes.
        """
        features = self.base(crops)
        outputs = [branch(features) for branch in self.convolutional_branches]
        return torch.stack([logits for logits, _ in outputs], 1), torch.stack([affect for _, affect in outputs], 1)
