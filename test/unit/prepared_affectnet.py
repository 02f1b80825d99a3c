"""A few faces laid out as pre_process_affect_net leaves AffectNet, for tests that train and evaluate on it."""

import cv2
from affectnet_tree import draw_scene

from facial_emotion_ros.training.data.affectnet import SPLITS, file_name


def prepare(root, count, split='train', expressions=(0, 1), affect=None):
    """Write faces of some expressions, one after the other.

    :param root: pathlib.Path that gets Training_Labeled or Validation.
    :param count: number of faces.
    :param split: 'train' or 'valid'.
    :param expressions: 0 to 10.
    :param affect: valence and arousal of each expression; None for -0.4, 0.2 and 0.6, -0.2 in turn.
    :returns: the root.
    """
    folder = root / SPLITS[split] / '0'
    folder.mkdir(parents=True)
    affect = affect or [(-0.4, 0.2), (0.6, -0.2)] * len(expressions)
    for number in range(count):
        place = number % len(expressions)
        mouth = 0.3 * (number // len(expressions) % 3 - 1)
        face = draw_scene(expressions[place], (4, 4, 56, 56), 64, 64, mouth)
        cv2.imwrite(str(folder / file_name(number, expressions[place], *affect[place])), face)
    return root
