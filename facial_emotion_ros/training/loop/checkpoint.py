"""Weights as safetensors, and training state; both are written atomically."""

import os
import shutil
from typing import Any

import torch
from safetensors.torch import load_file, save

from facial_emotion_ros.core.errors import BadModel, FacialEmotionError
from facial_emotion_ros.core.files import replace_atomic, write_atomic
from facial_emotion_ros.training.model.network import Weights

#: Files in the folder of a training.
TRAINED_WEIGHTS, TRAINED_RECIPE = 'weights.safetensors', 'recipe.yaml'


class CannotSave(FacialEmotionError, OSError):
    """The disk is full or not writable; an earlier file is intact."""


def save_weights(path: str, weights: Weights) -> None:
    """Save a state dict as safetensors.

    :param path: file to write.
    :param weights: dict of name to tensor.
    :raises CannotSave: if the file cannot be written; an earlier one is intact.
    """
    try:
        write_atomic(path, save({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}))
    except OSError as error:
        raise cannot_save(path, error) from error


def load_weights(path: str) -> Weights:
    """Load a state dict from safetensors, as float32.

    :param path: file to read.
    :returns: dict of name to tensor.
    :raises BadModel: if the file is absent or is no safetensors file.
    """
    try:
        tensors = load_file(path)
    except Exception as error:
        raise BadModel(f'{path}: expected a safetensors file, it cannot be read ({error})') from error
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}


def save_state(path: str, state: dict[str, Any]) -> None:
    """Save training state: tensors, numbers, strings, and dicts and lists of them.

    :param path: file to write.
    :param state: to be returned by :func:`load_state`.
    :raises CannotSave: if the file cannot be written; an earlier one is intact.
    """
    try:
        replace_atomic(path, lambda temporary: torch.save(state, temporary))
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError where a file cannot be written
        raise cannot_save(path, error) from error


def load_state(path: str) -> dict[str, Any]:
    """Load training state; code in the file is never run.

    :param path: file that :func:`save_state` wrote.
    :returns: the state.
    :raises BadModel: if the file cannot be read as plain tensors and numbers.
    """
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:
        raise BadModel(f'{path}: expected training state, it cannot be read ({error}); remove it') from error


def cannot_save(path: str, error: BaseException) -> CannotSave:
    """Describe a failed write: the free space, and whether an earlier file is intact."""
    folder = os.path.dirname(os.path.abspath(path))
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    free = shutil.disk_usage(folder).free / 2**20
    kept = 'the earlier file is intact' if os.path.exists(path) else 'there is no earlier file'
    reason = ' '.join(str(error).split())
    return CannotSave(
        f'{path}: cannot be written ({reason}; {free:.0f} MiB free); {kept}. Make room and run the same '
        'command again to resume from the last state'
    )
