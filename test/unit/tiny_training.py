"""What the tests of training share: narrow networks, a few faces that are easily told apart, and small recipes."""

import sys
import types

import numpy as np
import pytest
import torch

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.data.ferplus import FerPlus
from facial_emotion_ros.training.loop import curves
from facial_emotion_ros.training.loop.recipe import recipe_of
from facial_emotion_ros.training.model import network
from facial_emotion_ros.training.model.author_checkpoints import published_files

#: The smallest crops: below, the network has nothing left to convolve.
SIZE_PX = 56

_PUBLISHED = {name: getattr(network, name) for name in ('BASE_CHANNELS', 'BRANCH_CHANNELS')}


def make_trainings_quick(patch):
    """Make networks narrow, so that a step costs milliseconds, and leave out what costs more than the training then.

    Sizes are the business of test_network, plots of test_curves. Without the stand-in, torch's optimizers import its
    compiler at their first use, which nothing here compiles with: 4 s of CPU in each process.

    :param patch: pytest.MonkeyPatch.
    """
    patch.setattr(network, 'BASE_CHANNELS', (3, 16, 16, 16, 16))
    patch.setattr(network, 'BRANCH_CHANNELS', (16, 16, 32, 32, 64))
    patch.setattr(curves, 'picture_of', lambda rows: b'a plot')
    if 'torch._dynamo' not in sys.modules:
        compiler = types.ModuleType('torch._dynamo')
        compiler.disable = lambda function, recursive, wrapping: function
        compiler.graph_break = lambda: None
        patch.setitem(sys.modules, 'torch._dynamo', compiler)


@pytest.fixture(scope='module', autouse=True)
def quick_trainings():
    """Make the trainings of a test module that imports this fixture quick."""
    with pytest.MonkeyPatch.context() as patch:
        make_trainings_quick(patch)
        yield


@pytest.fixture
def published_channels(quick_trainings, monkeypatch):
    """Make networks as wide as the published ones, in a test of a module whose networks are narrow."""
    for name, channels in _PUBLISHED.items():
        monkeypatch.setattr(network, name, channels)


def quick_learner(folder, **settings):
    """Return a FacialEmotionLearner that trains in seconds, and keeps its files in a folder."""
    from facial_emotion_ros.training import FacialEmotionLearner

    usual = {'device': 'cpu', 'batch_size': 4, 'lr': 0.02, 'max_training_epoch': 1, 'categorical_train': True}
    paths = {'base_path_experiment': str(folder), 'temp_path': str(folder / 'temp')}
    learner = FacialEmotionLearner(**{**usual, **paths, **settings})
    learner.size_px = SIZE_PX
    return learner


def write_published(folder, weights, *names):
    """Write a checkpoint as the authors' code does: no JSON file.

    :param folder: pathlib.Path, created if missing.
    :param weights: state dict of an ESR or ESR*.
    :param names: of the base's file, and of a branch's with {} for its number; the authors' own by default.
    """
    folder.mkdir(exist_ok=True)
    for number, (name, content) in enumerate(published_files(weights).items()):
        (folder / (names[min(number, 1)].format(number) if names else name)).write_bytes(content)


def measured(network, size_px=64):
    """Give a network the running statistics of random pictures, in place of a new one's.

    :param network: ESR.
    :param size_px: side of the pictures.
    :returns: the network, in evaluation mode.
    """
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean of all batches, not a moving one
    with torch.no_grad():
        network.train()(torch.rand(8, 3, size_px, size_px, generator=torch.Generator().manual_seed(3)))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    return network.eval()


def two_kinds_of_faces(count=16):
    """Return a FerPlus of bright faces that all take for happy and dark ones that all take for neutral."""
    pictures = np.where(np.arange(count)[:, None, None] % 2, 220, 40) * np.ones((1, 48, 48))
    pictures += np.random.default_rng(0).integers(-30, 31, pictures.shape)
    votes = np.zeros((count, 10), int)
    votes[np.arange(count), np.arange(count) % 2] = 10
    return FerPlus(pictures.astype(np.uint8), votes, [f'{place}.png' for place in range(count)])


class Labelled(FaceSet):
    """Gray faces with whatever labels a test gives."""

    _per_row = FaceSet._per_row + ('pictures',)

    def __init__(self, distributions, affect=None, side_px=48):
        """Make one random picture for each row; affect defaults to unknown."""
        count = len(distributions)
        self.pictures = np.random.default_rng(1).integers(0, 256, (count, side_px, side_px)).astype(np.uint8)
        distributions = np.asarray(distributions, np.float32)
        labels = np.where(np.isnan(distributions[:, 0]), -1, np.nan_to_num(distributions).argmax(1))
        affect = np.full((count, 2), np.nan) if affect is None else affect
        super().__init__('labelled', [f'{place}.png' for place in range(count)], distributions, labels, affect)

    def faces(self, rows=None):
        """Return pictures as a list."""
        return list(self.pictures if rows is None else self.pictures[rows])


def one_hot(*emotions):
    """Return (N, 8) distributions of lone labels; None gives an unknown one."""
    rows = np.full((len(emotions), 8), np.nan, np.float32)
    for row, emotion in zip(rows, emotions):
        if emotion is not None:
            row[:] = np.arange(8) == EMOTIONS.index(emotion)
    return rows


def tiny_recipe(*phases, branches=1, **fields):
    """Return a Recipe of phases like {'trains': 'joint', 'steps': 3}, small unless they say otherwise."""
    small = {'size_px': SIZE_PX, 'batch_size': 4, 'warm_up_steps': 1, 'averaging': 0.5, 'learning_rate': 0.02}
    phases = [dict(small, **phase) for phase in phases or ({'steps': 4},)]
    network = dict({'branches': branches}, **fields.pop('network', {}))
    return recipe_of(dict({'name': 'tiny', 'network': network, 'phases': phases}, **fields))
