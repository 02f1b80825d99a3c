"""What the tests of training share: a few faces that are easily told apart, and recipes that take seconds."""

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.learning.face_set import FaceSet
from facial_emotion_ros.learning.ferplus import FerPlus
from facial_emotion_ros.learning.recipe_file import recipe_of

#: The smallest crops: below, the network has nothing left to convolve.
SIZE_PX = 56


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
