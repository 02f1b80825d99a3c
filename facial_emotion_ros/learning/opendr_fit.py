"""FacialEmotionLearner.fit() as a recipe of our own training."""

import os

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset, BadParameter
from facial_emotion_ros.learning import saved_network
from facial_emotion_ros.learning.curves import read_rows
from facial_emotion_ros.learning.distributed import Processes
from facial_emotion_ros.learning.fit import Fit
from facial_emotion_ros.learning.opendr_types import Misuse
from facial_emotion_ros.learning.precision import choose_precision
from facial_emotion_ros.learning.progress import Progress, Silence
from facial_emotion_ros.learning.recipe import Faces, Network, Phase, Recipe
from facial_emotion_ros.learning.warm_start import branches_of

#: So many faces of a class are drawn in an epoch. OpenDR and the authors load no more; here, all have their turn.
FACES_OF_A_CLASS = 5000


def recipe_of(learner, faces, start=None):
    """Say in our words what a learner's settings ask for.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to learn from.
    :param start: state dict to start from; None for random weights.
    :returns: Recipe.
    :raises BadParameter: if nothing is to be trained, or a setting cannot be.
    """
    is_gray = len(faces) > 0 and np.ndim(faces.faces(np.array([0]))[0]) == 2
    color, size_px = 'gray_x3' if is_gray else 'bgr', learner.size_px
    if start is not None:
        color, size_px = learner.reading.geometry.color, learner.reading.geometry.size_px
    counts = np.bincount(faces.labels[faces.labels >= 0], minlength=len(EMOTIONS))
    shared = {
        'size_px': size_px, 'batch_size': learner.batch_size, 'momentum': float(learner.momentum), 'keeps': 'best',
        'augmentation': 1.0, 'check_epochs': float(learner.validation_interval), 'base_gradient': 'sum',
        'rare': {emotion: FACES_OF_A_CLASS / int(count) for emotion, count in zip(EMOTIONS, counts)
                 if count > FACES_OF_A_CLASS},
    }
    branches = branches_of(start) if start else learner.ensemble_size
    phases = []
    if learner.categorical_train:
        phases.append(Phase(
            trains='branches', learning_rate=learner.lr, epochs=float(learner.max_training_epoch),
            further_epochs=float(learner.max_tuning_epoch), diversity=1.0 if learner.diversify else 0.0, **shared,
        ))
    if learner.dimensional_finetune:
        # A tenth, as the authors do it: the loss is squared, and logits of 5 to 10 are the inputs.
        phases.append(Phase(
            trains='affect', learning_rate=learner.lr / 10, epochs=float(learner.max_tuning_epoch), **shared,
        ))
    if not phases:
        raise Misuse('fit: categorical_train or dimensional_finetune expected, both are False: nothing to train')
    return Recipe(
        name=learner.name_experiment, seed=learner.seed, network=Network(branches, learner.diversify),
        faces=Faces(color=color), phases=tuple(phases),
    )


def train(learner, faces, judged, start, folder, stream):
    """Train, and save the weights as OpenDR does.

    :param learner: FacialEmotionLearner.
    :param faces: FaceSet to learn from.
    :param judged: FaceSet to judge by.
    :param start: state dict to start from; None for random weights.
    :param folder: of the experiment.
    :param stream: where progress is shown; None for nowhere.
    :returns: state dict of the best weights, Reading, and dict of figures of the last look.
    :raises BadParameter: if nothing is to be trained, or an interrupted training had other settings.
    :raises BadDataset: if there are no faces to judge by.
    """
    if judged is None or not len(judged):
        raise BadDataset('fit: faces to judge by expected, got none; the best weights are those that read them best')
    recipe = recipe_of(learner, faces, start)
    device = learner._torch_device()
    processes = Processes.begin(device)
    try:
        precision, sentence = choose_precision(processes.device)
        progress = Progress(stream) if stream and processes.is_first else Silence()
        for line in (f'Starting: {learner.name_experiment}', f'Running on {sentence}', faces.describe()):
            progress.note(line)
        workers = 0 if processes.device.type == 'cpu' else min(8, os.cpu_count() or 1)
        fit = Fit(recipe, faces, folder, judged, start, processes=processes, precision=precision, workers=workers)
        try:
            weights = fit.run(progress=progress)
        except BadParameter as error:
            raise BadParameter(f'{error}. An interrupted fit() goes on with the same settings only; to begin anew, '
                               f'remove {fit.state_path} or set another name_experiment') from error
        reading = learner.reading if start else saved_network.reading_for(recipe)
        if processes.is_first:
            saved_network.save_weights(os.path.join(folder, 'trained_models'), learner.name_experiment, weights,
                                       reading)
            os.remove(fit.state_path)  # the training is over; what is found there goes on
        rows = [row for row in read_rows(os.path.join(folder, 'curves.csv')) if row['held_out_loss']]
        figures = {name: float(value) for name, value in rows[-1].items() if name.startswith('held_out_') and value}
        return weights, reading, dict(figures, steps=fit.total)
    finally:
        processes.end()
