"""FacialEmotionLearner.fit() as recipes of this package's training."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, TextIO

import numpy as np
import torch

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.training.data.face_set import FaceSet
from facial_emotion_ros.training.loop import saved_network
from facial_emotion_ros.training.loop.curves import read_rows
from facial_emotion_ros.training.loop.distributed import Processes
from facial_emotion_ros.training.loop.fit import Fit
from facial_emotion_ros.training.loop.precision import choose_precision
from facial_emotion_ros.training.loop.progress import Progress, Silence
from facial_emotion_ros.training.loop.recipe import Recipe, recipe_of
from facial_emotion_ros.training.loop.saved_network import InputSpec
from facial_emotion_ros.training.loop.validation import outputs_of
from facial_emotion_ros.training.model.export import network_of
from facial_emotion_ros.training.model.network import Weights, branches_of

#: Maximum number of faces of a class per epoch, as in OpenDR and the authors' code; here they are resampled each epoch.
FACES_OF_A_CLASS = 5000

#: Number of faces used to bound the learning rate of the dimensional layers.
_RATE_FACES = 512


def categorical_recipe(learner: Any, faces: FaceSet) -> Recipe:
    """Translate OpenDR's categorical training: branch by branch, older layers at a tenth of the rate.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to train on.
    :returns: Recipe.
    :raises BadParameter: if a setting is out of range.
    """
    is_gray = len(faces) > 0 and np.ndim(faces.faces(np.array([0]))[0]) == 2
    phase = dict(
        trains='branches',
        learning_rate=learner.lr,
        epochs=float(learner.max_training_epoch),
        further_epochs=float(learner.max_tuning_epoch),
        older_learning_rate=0.1,
        base_gradient='sum',
        diversity=1.0 if learner.diversify else 0.0,
        size_px=learner.size_px,
        **_shared(learner, faces),
    )
    return _recipe(learner, learner.ensemble_size, 'gray_x3' if is_gray else 'bgr', phase)


def dimensional_recipe(learner: Any, faces: FaceSet, weights: Weights, reading: InputSpec) -> Recipe:
    """Translate OpenDR's training of valence and arousal on a frozen backbone.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to train on.
    :param weights: initial state dict.
    :param reading: InputSpec of these weights.
    :returns: Recipe.
    :raises BadParameter: if a setting is out of range.
    """
    phase = dict(
        trains='affect',
        learning_rate=_dimensional_rate(learner, faces, weights, reading),
        epochs=float(learner.max_tuning_epoch),
        size_px=reading.geometry.size_px,
        **_shared(learner, faces),
    )
    return _recipe(learner, branches_of(weights), reading.geometry.color, phase)


def _shared(learner: Any, faces: FaceSet) -> dict[str, Any]:
    counts = np.bincount(faces.labels[faces.labels >= 0], minlength=len(EMOTIONS))
    many = {emotion: int(count) for emotion, count in zip(EMOTIONS, counts) if count > FACES_OF_A_CLASS}
    return {
        'batch_size': learner.batch_size,
        'momentum': float(learner.momentum),
        'keeps': 'best',
        'augmentation': 1.0,
        'check_epochs': float(learner.validation_interval),
        'rare': {emotion: FACES_OF_A_CLASS / count for emotion, count in many.items()},
    }


def _recipe(learner: Any, branches: int, color: str, phase: dict[str, Any]) -> Recipe:
    tree = {
        'name': learner.name_experiment,
        'seed': learner.seed,
        'network': {'branches': branches, 'diversified': learner.diversify},
        'faces': {'color': color},
        'phases': [phase],
    }
    return recipe_of(tree, 'fit')


def _dimensional_rate(learner: Any, faces: FaceSet, weights: Weights, reading: InputSpec) -> float:
    """Return a tenth of the learning rate, as the authors use, or less where large logits would make it diverge.

    The dimensional layers are a linear regression on ReLU(logits), whose mean square bounds the curvature.
    """
    rows = faces.where_affect()
    rows = np.random.default_rng(learner.seed).permutation(rows)[:_RATE_FACES]
    network = network_of(weights).to(learner._torch_device())
    logits, _ = outputs_of(network, faces.rows(np.sort(rows)), reading.geometry)
    squares = 1 + np.square(np.maximum(logits, 0)).sum(2).mean(0).max() if len(rows) else 1.0
    return float(f'{min(learner.lr / 10, 2 * (1 - learner.momentum) / squares):.2g}')


def train(
    learner: Any,
    faces: FaceSet,
    validation_set: FaceSet | None,
    start: Weights | None,
    folder: str,
    stream: TextIO | None,
) -> tuple[Weights, InputSpec, dict[str, float]]:
    """Train, and save the weights in OpenDR's layout.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to train on.
    :param validation_set: validation set.
    :param start: initial state dict without categorical training; None with it.
    :param folder: of the experiment; valence and arousal use the subfolder `dimensional`.
    :param stream: for progress; None for none.
    :returns: state dict of the best weights, InputSpec, and the last metrics, in the first process.
    :raises BadParameter: if a setting is out of range, or an interrupted training had other settings.
    :raises BadDataset: if there are no faces to train or validate on.
    """
    if validation_set is None or not len(validation_set):
        raise BadDataset('fit: expected faces to validate on, got none; they select the best weights')
    processes = Processes.begin(learner._torch_device())
    progress = Progress(stream) if stream and processes.is_first else Silence()
    weights: Weights = start or {}
    reading, states = learner.reading, []
    figures: dict[str, float] = {'steps': 0}
    try:
        choice = choose_precision(processes.device)
        precision, sentence = processes.broadcast_result(lambda: choice)  # the timing may differ between processes
        for line in (f'Starting: {learner.name_experiment}', f'Running on {sentence}', faces.describe()):
            progress.note(line)

        def run(recipe: Recipe, place: str, weights: Weights | None) -> Weights:
            workers = 0 if processes.device.type == 'cpu' else min(8, os.cpu_count() or 1)
            fit = Fit(
                recipe, faces, place, validation_set, weights, processes=processes, precision=precision, workers=workers
            )
            states.append(fit.state_path)
            weights = _broadcast(_run(fit, progress), processes)
            figures['steps'] += fit.total
            if processes.is_first:
                figures.update(_last_metrics(place))
            return weights

        if learner.categorical_train:
            recipe = categorical_recipe(learner, faces)
            weights, reading = run(recipe, folder, None), saved_network.reading_for(recipe)
        if learner.dimensional_finetune:
            recipe = dimensional_recipe(learner, faces, weights, reading)
            weights = _check_backbone(weights, run(recipe, os.path.join(folder, 'dimensional'), weights), states[-1])
        if processes.is_first:
            place = os.path.join(folder, 'trained_models')
            saved_network.save_weights(place, learner.name_experiment, weights, reading)
            for path in reversed(states):  # the training is finished: the next one starts from scratch
                os.remove(path)
        return weights, reading, figures
    finally:
        processes.end()


def _run(fit: Fit, progress: Progress) -> Weights:
    try:
        with _interruptible(fit):
            weights = fit.run(progress=progress)
    except BadParameter as error:
        raise BadParameter(
            f'{error}. An interrupted fit() resumes with the same settings only; to start over, remove '
            f'{fit.output}, or set another name_experiment'
        ) from error
    if weights is None:
        raise KeyboardInterrupt(f'fit() is saved after step {fit.total}; call it again to resume')
    return weights


@contextlib.contextmanager
def _interruptible(fit: Fit) -> Iterator[None]:
    """Stop the training after the current step on the first Ctrl-C, and at once on the second.

    Not with several processes, which would stop after different steps, nor outside the main thread, which gets the
    signals.
    """
    if fit.processes.count > 1 or threading.current_thread() is not threading.main_thread():
        yield
        return
    former = signal.getsignal(signal.SIGINT)

    def stop(_number, _frame):
        signal.signal(signal.SIGINT, former)
        fit.stop()

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, former)


def _broadcast(weights: Weights, processes: Processes) -> Weights:
    """Broadcast the first process's weights, which alone has the best ones, in a common order and memory layout."""
    tensors = {name: tensor.to(processes.device).contiguous() for name, tensor in sorted(weights.items())}
    processes.broadcast(tensors.values())
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def _check_backbone(start: Weights, weights: Weights, state_path: str) -> Weights:
    """Reject the result of an interrupted training that started from other weights."""
    for name, tensor in start.items():
        if '.fc_dimensional.' not in name and not torch.equal(tensor.cpu(), weights[name]):
            raise BadParameter(
                f'{state_path}: this interrupted training started from other weights; load those, or remove it'
            )
    return weights


def _last_metrics(folder: str) -> dict[str, float]:
    """Read the metrics of the last validation."""
    rows = [row for row in read_rows(os.path.join(folder, 'curves.csv')) if row['held_out_loss']]
    return {name: float(value) for name, value in rows[-1].items() if name.startswith('held_out_') and value}
