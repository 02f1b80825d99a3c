"""Weights as safetensors and training state, both written so that a crash leaves the last good file."""

import torch
from safetensors.torch import load_file, save_file

from facial_emotion_ros.atomic_file import replace_whole
from facial_emotion_ros.errors import BadModel


def save_weights(path, weights, half=False):
    """Save a state dict as safetensors.

    :param path: file to write.
    :param weights: dict of name to tensor.
    :param half: store floating-point tensors as float16.
    """
    tensors = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in weights.items()
    }
    replace_whole(path, lambda temporary: save_file(tensors, temporary))


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
    """
    replace_whole(path, lambda temporary: torch.save(state, temporary))


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
