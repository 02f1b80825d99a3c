"""What a training's folder says of it: whose state it is, who is at work there, what its teachers said."""

import contextlib
import dataclasses
import fcntl
import hashlib
import os

import torch

from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.face_crop import CropGeometry
from facial_emotion_ros.learning import checkpoint, judgement
from facial_emotion_ros.learning.recipe_file import plain_of

#: Fields of a recipe that the steps depend on, beside those of the phases.
_BINDING = ('seed', 'network', 'teachers')


@contextlib.contextmanager
def alone_in(folder):
    """Hold a folder while a training writes there; the operating system lets go of it when the process ends.

    :param folder: the training's folder, made where it is missing; None to hold nothing.
    :raises BadParameter: if another training is at work there.
    :raises CannotSave: if the folder cannot be written.
    """
    if folder is None:
        yield
        return
    path = os.path.join(folder, '.lock')
    try:
        os.makedirs(folder, exist_ok=True)
        lock = open(path, 'w', encoding='utf-8')
    except OSError as error:
        raise checkpoint.cannot_save(path, error) from error
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # of this process alone: its workers do not inherit it
        except OSError as error:
            raise BadParameter(f'{folder}: a folder of its own expected for each training, another one is at work in '
                               'this; wait for it, or give another --output') from error
        yield


def description(fit):
    """Describe a training, so that it is not mixed with another.

    :param fit: Fit.
    :returns: dict of plain values.
    """
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


def compare(fit, state):
    """Refuse the state of another training.

    Phases that the state has not begun may differ: so a training that is done can be given further ones.

    :param fit: Fit.
    :param state: dict that holds a :func:`description`.
    :returns: list of str, what differs and is allowed to, but makes other last digits.
    :raises BadParameter: naming the first difference that matters.
    """
    ours, now, was = description(fit), plain_of(fit.recipe), state['recipe']
    pairs = [(name, was.get(name), now.get(name)) for name in _BINDING]
    pairs.append(('faces.color', state['color'], ours['color']))
    for place in range(state['begun']):
        phase = now['phases'][place] if place < len(now['phases']) else {}
        for name, value in was['phases'][place].items():
            pairs.append((f'phases.{place}.{name}', value, phase.get(name)))
    for name, expected, came in pairs:
        if expected != came:
            raise BadParameter(f'{fit.state_path}: expected {name} {expected!r}, with which this training began, got '
                               f'{came!r}; give the same recipe, or another --output')
    if state['faces'] != ours['faces']:
        raise BadParameter(f'{fit.state_path}: expected the faces with which this training began, these are others '
                           f'(or have other labels, or others are held out); give the same, or another --output')
    return [f'this training began with {name} {state[name]} and goes on with {ours[name]}: other last digits'
            for name in ('precision', 'processes') if state[name] != ours[name]]


def fingerprint(faces):
    """Tell a set of faces by its names and labels.

    :param faces: FaceSet.
    :returns: str of 64 hexadecimal digits.
    """
    digest = hashlib.sha256('\n'.join(faces.names.tolist()).encode())
    for array in (faces.distributions, faces.affect):
        digest.update(array.tobytes())
    return digest.hexdigest()


def ask_teachers(fit, progress):
    """Give the teachers' probabilities, which the training's folder keeps once they are known.

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

    kept = fit.processes.state_of_first(read)
    if kept is not None:
        return kept['labels'].numpy()
    largest = dataclasses.replace(CropGeometry(), size_px=max(phase.size_px for phase in fit.recipe.phases),
                                  color=fit.recipe.faces.color)
    teachers = [(network.to(fit.processes.device).eval(), geometry or largest) for network, geometry in fit.teachers]
    labels = judgement.teacher_labels(teachers, fit.faces, fit.precision, fit.processes, progress.note)
    if fit.processes.is_first:
        checkpoint.save_state(path, {'key': key, 'labels': torch.from_numpy(labels)})
    return labels
