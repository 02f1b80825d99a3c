"""Weights as safetensors and training state, both written so that a crash leaves the last good file."""

import os
import shutil

import torch
from safetensors.torch import load_file, save

from facial_emotion_ros.atomic_file import replace_whole, write_whole
from facial_emotion_ros.errors import BadModel, FacialEmotionError


class CannotSave(FacialEmotionError, OSError):
    """The disk is full, or refuses files for another reason; what was saved before is still there."""


def save_weights(path, weights, half=False):
    """Save a state dict as safetensors.

    :param path: file to write.
    :param weights: dict of name to tensor.
    :param half: store floating-point tensors as float16.
    :raises CannotSave: if the file cannot be written; a former one is still there.
    """
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    try:
        write_whole(path, save(tensors))
    except OSError as error:
        raise cannot_save(path, error) from error


def load_weights(path):
    """Load a state dict from safetensors, as float32.

    :param path: file to read.
    :returns: dict of name to tensor.
    :raises BadModel: if the file is absent or is no safetensors file.
    """
    try:
        tensors = load_file(path)
    except Exception as error:
        raise BadModel(f'{path}: a safetensors file expected, it cannot be read ({error})') from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def save_state(path, state):
    """Save training state: tensors, numbers, strings, and dicts and lists of them.

    :param path: file to write.
    :param state: what :func:`load_state` gives back.
    :raises CannotSave: if the file cannot be written; a former one is still there.
    """
    try:
        replace_whole(path, lambda temporary: torch.save(state, temporary))
    except (OSError, RuntimeError) as error:  # torch says in its own way that a file cannot be written
        raise cannot_save(path, error) from error


def load_state(path):
    """Load training state without running any code that the file might hold.

    :param path: file that :func:`save_state` wrote.
    :returns: the state.
    :raises BadModel: if the file cannot be read as plain tensors and numbers.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise BadModel(f'{path}: training state expected, it cannot be read ({error}); remove it') from error


def cannot_save(path, error):
    """Say what a failed write means for a training.

    :param path: file that was to be written.
    :param error: what was raised.
    :returns: CannotSave.
    """
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free / 2 ** 20
    kept = 'the one before is still there' if os.path.exists(path) else 'there was none before'
    reason = ' '.join(str(error).split())
    return CannotSave(f'{path}: it cannot be written ({reason}), {free:.0f} MiB are free there; {kept}. Make room, '
                      'then give the same command again: the training goes on from its last state')

