"""FacialEmotionLearner.fit() as recipes of our own training."""

import contextlib
import os
import signal
import threading

import numpy as np
import torch

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset, BadParameter
from facial_emotion_ros.learning import saved_network
from facial_emotion_ros.learning.curves import read_rows
from facial_emotion_ros.learning.distributed import Processes
from facial_emotion_ros.learning.export import network_of
from facial_emotion_ros.learning.fit import Fit
from facial_emotion_ros.learning.judgement import outputs_of
from facial_emotion_ros.learning.precision import choose_precision
from facial_emotion_ros.learning.progress import Progress, Silence
from facial_emotion_ros.learning.recipe import Faces, Network, Phase, Recipe
from facial_emotion_ros.learning.warm_start import branches_of

#: So many faces of a class are drawn in an epoch. OpenDR and the authors load no more; here, all have their turn.
FACES_OF_A_CLASS = 5000

#: Faces whose logits tell how fast the dimensional layers may learn.
_MEASURED = 512


def categorical_recipe(learner, faces):
    """Say in our words how OpenDR trains the categories: branch by branch, what is older at a tenth of the rate.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to learn from.
    :returns: Recipe.
    :raises BadParameter: if a setting cannot be.
    """
    is_gray = len(faces) > 0 and np.ndim(faces.faces(np.array([0]))[0]) == 2
    phase = Phase(
        trains='branches', learning_rate=learner.lr, epochs=float(learner.max_training_epoch),
        further_epochs=float(learner.max_tuning_epoch), older_learning_rate=0.1, base_gradient='sum',
        diversity=1.0 if learner.diversify else 0.0, size_px=learner.size_px, **_shared(learner, faces),
    )
    return _recipe(learner, learner.ensemble_size, 'gray_x3' if is_gray else 'bgr', phase)


def dimensional_recipe(learner, faces, weights, reading):
    """Say in our words how OpenDR trains valence and arousal, on a fixed backbone.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to learn from.
    :param weights: state dict to start from.
    :param reading: Reading of these weights.
    :returns: Recipe.
    :raises BadParameter: if a setting cannot be.
    """
    phase = Phase(
        trains='affect', learning_rate=_dimensional_rate(learner, faces, weights, reading),
        epochs=float(learner.max_tuning_epoch), size_px=reading.geometry.size_px, **_shared(learner, faces),
    )
    return _recipe(learner, branches_of(weights), reading.geometry.color, phase)


def _shared(learner, faces):
    counts = np.bincount(faces.labels[faces.labels >= 0], minlength=len(EMOTIONS))
    many = {emotion: int(count) for emotion, count in zip(EMOTIONS, counts) if count > FACES_OF_A_CLASS}
    return {
        'batch_size': learner.batch_size, 'momentum': float(learner.momentum), 'keeps': 'best', 'augmentation': 1.0,
        'check_epochs': float(learner.validation_interval),
        'rare': {emotion: FACES_OF_A_CLASS / count for emotion, count in many.items()},
    }


def _recipe(learner, branches, color, phase):
    return Recipe(name=learner.name_experiment, seed=learner.seed, network=Network(branches, learner.diversify),
                  faces=Faces(color=color), phases=(phase,))


def _dimensional_rate(learner, faces, weights, reading):
    """Give a tenth of the learning rate, as the authors do it, or less where large logits would let it diverge.

    The dimensional layers are a linear regression on ReLU(logits): the mean square of these bounds the curvature.
    """
    rows = faces.where_affect()
    rows = np.random.default_rng(learner.seed).permutation(rows)[:_MEASURED]
    network = network_of(weights).to(learner._torch_device())
    logits, _ = outputs_of(network, faces.rows(np.sort(rows)), reading.geometry)
    squares = 1 + np.square(np.maximum(logits, 0)).sum(2).mean(0).max() if len(rows) else 1.0
    return float(f'{min(learner.lr / 10, 2 * (1 - learner.momentum) / squares):.2g}')


def train(learner, faces, judged, start, folder, stream):
    """Train, and save the weights as OpenDR does.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to learn from.
    :param judged: FaceSet to judge by.
    :param start: state dict to start from, without categorical training; None with it.
    :param folder: of the experiment; valence and arousal have a folder of their own in it, called dimensional.
    :param stream: where progress is shown; None for nowhere.
    :returns: state dict of the best weights, Reading, and dict of figures of the last looks, which of several processes
        the first one has.
    :raises BadParameter: if a setting cannot be, or an interrupted training had other settings.
    :raises BadDataset: if there are no faces to learn from, or none to judge by.
    """
    if judged is None or not len(judged):
        raise BadDataset('fit: faces to judge by expected, got none; the best weights are those that read them best')
    processes = Processes.begin(learner._torch_device())
    progress = Progress(stream) if stream and processes.is_first else Silence()
    weights, reading, states, figures = start, learner.reading, [], {'steps': 0}
    try:
        precision, sentence = choose_precision(processes.device)
        for line in (f'Starting: {learner.name_experiment}', f'Running on {sentence}', faces.describe()):
            progress.note(line)

        def run(recipe, place, weights):
            workers = 0 if processes.device.type == 'cpu' else min(8, os.cpu_count() or 1)
            fit = Fit(recipe, faces, place, judged, weights, processes=processes, precision=precision, workers=workers)
            states.append(fit.state_path)
            weights = _same_everywhere(_run(fit, progress), processes)
            figures['steps'] += fit.total
            if processes.is_first:
                figures.update(_last_look(place))
            return weights

        if learner.categorical_train:
            recipe = categorical_recipe(learner, faces)
            weights, reading = run(recipe, folder, None), saved_network.reading_for(recipe)
        if learner.dimensional_finetune:
            recipe = dimensional_recipe(learner, faces, weights, reading)
            weights = _of_same_backbone(weights, run(recipe, os.path.join(folder, 'dimensional'), weights), states[-1])
        if processes.is_first:
            place = os.path.join(folder, 'trained_models')
            saved_network.save_weights(place, learner.name_experiment, weights, reading)
            for path in reversed(states):  # the training is over: the next one begins anew
                os.remove(path)
        return weights, reading, figures
    finally:
        processes.end()


def _run(fit, progress):
    try:
        with _interruptible(fit):
            weights = fit.run(progress=progress)
    except BadParameter as error:
        raise BadParameter(f'{error}. An interrupted fit() goes on with the same settings only; to begin anew, remove '
                           f'{fit.output}, or set another name_experiment') from error
    if weights is None:
        raise KeyboardInterrupt(f'fit() is saved behind step {fit.total}; call it again to go on')
    return weights


@contextlib.contextmanager
def _interruptible(fit):
    """Let the first Ctrl-C end the training behind the step under way, and a second one at once.

    Processes that train together could not stop behind the same step; and only the main thread hears of signals.
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


def _same_everywhere(weights, processes):
    """Give all processes the first one's weights: the best ones are in its file alone.

    A file's order and layout in memory are others than a network's; what is exchanged has to have one of each.
    """
    tensors = {name: tensor.to(processes.device).contiguous() for name, tensor in sorted(weights.items())}
    processes.same_everywhere(tensors.values())
    return {name: tensor.cpu() for name, tensor in tensors.items()}


def _of_same_backbone(start, weights, state_path):
    """Refuse what an interrupted training made of other weights than those that are to be tuned now."""
    for name, tensor in start.items():
        if '.fc_dimensional.' not in name and not torch.equal(tensor.cpu(), weights[name]):
            raise BadParameter(f'{state_path}: an interrupted training of these weights expected, it is one of others; '
                               'load those, or remove it')
    return weights


def _last_look(folder):
    """Read what the last look at the faces to judge by said."""
    rows = [row for row in read_rows(os.path.join(folder, 'curves.csv')) if row['held_out_loss']]
    return {name: float(value) for name, value in rows[-1].items() if name.startswith('held_out_') and value}
