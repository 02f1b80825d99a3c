"""How well a bundle reads FER+, by the published protocol."""

from typing import NamedTuple

import numpy as np

from facial_emotion_ros.ensemble import combine, softmax
from facial_emotion_ros.learning.affect_coordinates import affect_of
from facial_emotion_ros.learning.augmentation import plain
from facial_emotion_ros.metrics import accuracy, auroc, confusion, expected_calibration_error, macro_recall

_BATCH = 64


def run_on(engine, faces, report=None):
    """Run an engine over faces, in batches.

    :param engine: EsrEngine.
    :param faces: (N, P, P) uint8 gray or (N, P, P, 3) uint8 BGR, each picture a whole crop.
    :param report: called with the number of faces done so far.
    :returns: logits (N, B, 8) and affect (N, B, 2), float32.
    """
    parts = [engine.run(plain(faces[:0], engine.geometry))]
    for first in range(0, len(faces), _BATCH):
        parts.append(engine.run(plain(faces[first:first + _BATCH], engine.geometry)))
        if report:
            report(min(first + _BATCH, len(faces)))
    return tuple(np.concatenate(part) for part in zip(*parts))


class Reading(NamedTuple):
    """What a network says of the faces that FER+'s majority protocol keeps: (M,) rows and labels, its outputs."""

    rows: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    affect: np.ndarray


def read_majority(engine, split, report=None):
    """Run an engine on a split of FER+: majority protocol, single crop, no test-time augmentation.

    :param engine: EsrEngine.
    :param split: FerPlus.
    :param report: called with the number of faces done so far.
    :returns: Reading.
    """
    rows, labels = split.majority()
    return Reading(rows, labels, *run_on(engine, split.faces(rows), report))


def figures(split, reading, leave_out=()):
    """Compare what a network says with the labels.

    :param split: FerPlus.
    :param reading: Reading of that split.
    :param leave_out: names of pictures that do not count, such as copies of training pictures.
    :returns: dict of figures: n, accuracy (mean of branch probabilities), accuracy_vote (plurality of the branches'
        classes, ties to the mean), macro_recall, ece, agreement_auroc (does a low agreement tell errors), confusion
        (8 x 8 lists, row label, column prediction), and affect_rmse against the votes' own projection, not a rating.
    """
    counts = ~np.isin(split.names[reading.rows], list(leave_out))
    rows, labels, logits, affect = (array[counts] for array in reading)
    ensemble = combine(logits, affect)
    predictions = ensemble.scores.argmax(1)
    is_right = predictions == labels
    matrix = confusion(labels, predictions)
    soft_rows, distributions = split.soft_labels()
    targets = affect_of(distributions[np.searchsorted(soft_rows, rows)])
    errors = np.stack([ensemble.valence, ensemble.arousal], 1) - targets
    return {
        'n': len(rows),
        'accuracy': accuracy(labels, predictions),
        'accuracy_vote': accuracy(labels, _plurality(logits, ensemble.scores)),
        'macro_recall': macro_recall(matrix),
        'ece': expected_calibration_error(ensemble.scores.max(1), is_right),
        'agreement_auroc': auroc(ensemble.agreement, is_right),
        'affect_rmse_derived_from_votes': [float(value) for value in np.sqrt((errors**2).mean(0))],
        'confusion': matrix.tolist(),
    }


def _plurality(logits, scores):
    votes = np.zeros_like(scores)
    choices = softmax(logits).argmax(2)
    np.add.at(votes, (np.arange(len(votes))[:, None], choices), 1)
    return (votes + 0.5 * scores).argmax(1)
