"""The training folder: its lock, the identity of its state, and the cached teacher probabilities."""

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.files import present, refuse_foreign
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop import checkpoint
from facial_emotion_ros.training.loop.progress import Progress
from facial_emotion_ros.training.loop.recipe import plain_of, recipe_of
from facial_emotion_ros.training.loop.validation import outputs_of

STATE_FILE = 'state.pt'

#: Other files that a training writes.
_WRITTEN = ('weights.safetensors', 'best.safetensors', 'recipe.yaml', 'curves.csv', 'curves.png')

#: Fields of a recipe that must stay the same on resume, besides the phases.
_FIXED_FIELDS = ('seed', 'network', 'teachers')


@contextlib.contextmanager
def lock_folder(folder: str | None) -> Iterator[None]:
    """Lock a training folder; the operating system releases the lock when the process ends.

    :param folder: created if missing; None to lock nothing.
    :raises BadParameter: if another training runs there, or it has such files without ever having been locked.
    :raises CannotSave: if the folder is not writable.
    """
    if folder is None:
        yield
        return
    path = os.path.join(folder, '.lock')
    if not present(folder, ('.lock', STATE_FILE)):
        refuse_foreign(folder, present(folder, _WRITTEN))
    try:
        os.makedirs(folder, exist_ok=True)
        lock = open(path, 'w', encoding='utf-8')
    except OSError as error:
        raise checkpoint.cannot_save(path, error) from error
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # not inherited by worker processes
        except OSError as error:
            raise BadParameter(
                f'{folder}: another training is running in this folder; wait for it, or choose another --output'
            ) from error
        yield


def description(fit: Any) -> dict[str, Any]:
    """Identify a training by plain values, so that states of different trainings are not mixed."""
    if fit.is_done:
        begun = len(fit.recipe.phases)
    else:
        stage = fit.stages[fit.place]
        before = fit.place > 0 and fit.stages[fit.place - 1].place == stage.place
        begun = stage.place + bool(fit.under_way or before)
    return {
        'recipe': plain_of(fit.recipe),
        'begun': begun,
        'faces': fingerprint(fit.faces),
        'color': fit.recipe.faces.color,
        'precision': str(fit.precision),
        'processes': fit.processes.count,
    }


def compare(fit: Any, state: dict[str, Any]) -> list[str]:
    """Reject the state of another training.

    Phases that have not started may differ, so a finished training can be extended.

    :param fit: Fit.
    :param state: with a :func:`description`.
    :returns: permitted differences that change the last digits, as sentences.
    :raises BadParameter: naming the first other difference.
    """
    ours, now, was = description(fit), plain_of(fit.recipe), state['recipe']
    begun = was['phases'][: state['begun']]
    if begun:  # an earlier version may have had other options
        was = plain_of(recipe_of({**was, 'phases': begun}, fit.state_path))
    pairs = [(name, was.get(name), now.get(name)) for name in _FIXED_FIELDS]
    pairs.append(('faces.color', state['color'], ours['color']))
    for place in range(len(begun)):
        phase = now['phases'][place] if place < len(now['phases']) else {}
        for name, value in was['phases'][place].items():
            pairs.append((f'phases.{place}.{name}', value, phase.get(name)))
    for name, expected, came in pairs:
        if expected != came:
            raise BadParameter(
                f'{fit.state_path}: this training started with {name} {expected!r}, got {came!r}; use the same recipe, '
                'or another --output'
            )
    if state['faces'] != ours['faces']:
        raise BadParameter(
            f'{fit.state_path}: this training started with other faces, labels or held-out faces; use the '
            'same ones, or another --output'
        )
    return [
        f'{name} changes from {state[name]} to {ours[name]}: the resumed training is not bit-exact'
        for name in ('precision', 'processes')
        if state[name] != ours[name]
    ]


def fingerprint(faces: FaceSet) -> str:
    """Hash the names and labels of a set: 64 hexadecimal digits."""
    digest = hashlib.sha256('\n'.join(faces.names.tolist()).encode())
    for array in (faces.distributions, faces.affect):
        digest.update(array.tobytes())
    return digest.hexdigest()


def teacher_probabilities(fit: Any, progress: Progress) -> np.ndarray:
    """Return the mean of the teachers' probabilities, cached in the training folder.

    :param fit: Fit with teachers.
    :param progress: Progress.
    :returns: (N, 8) float32.
    """
    digest = hashlib.sha256(fingerprint(fit.faces).encode())
    for network, geometry in fit.teachers:
        digest.update(repr(geometry).encode())
        for tensor in network.state_dict().values():
            digest.update(tensor.cpu().numpy().tobytes())
    path, key = os.path.join(fit.output, 'teachers.pt'), digest.hexdigest()

    def read():
        kept = checkpoint.load_state(path) if os.path.exists(path) else {}
        return kept if kept.get('key') == key else None

    kept = fit.processes.broadcast_result(read)
    if kept is not None:
        return kept['labels'].numpy()
    largest = CropGeometry(size_px=max(phase.size_px for phase in fit.recipe.phases), color=fit.recipe.faces.color)
    labels = np.zeros((len(fit.faces), 8), np.float32)
    for place, (network, geometry) in enumerate(fit.teachers, 1):
        progress.note(f'teacher {place} of {len(fit.teachers)}: {len(fit.faces)} faces')
        network = network.to(fit.processes.device).eval()
        outputs = outputs_of(network, fit.faces, geometry or largest, fit.precision, fit.processes)
        labels += combine(*outputs).scores
    labels /= len(fit.teachers)
    if fit.processes.is_first:
        checkpoint.save_state(path, {'key': key, 'labels': torch.from_numpy(labels)})
    return labels
