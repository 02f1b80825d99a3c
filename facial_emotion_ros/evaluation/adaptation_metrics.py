"""The gain of an adaptation on persons that it was not fitted on, with intervals over persons."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.evaluation.intervals import bootstrap_interval
from facial_emotion_ros.evaluation.markdown import percent, table

_MEASURES = {
    'accuracy': metrics.accuracy,
    'macro_recall': lambda labels, predictions: metrics.macro_recall(metrics.confusion(labels, predictions)),
}


def compare(before: np.ndarray, after: np.ndarray, labels: np.ndarray, persons: np.ndarray) -> dict[str, Any]:
    """Compare the scores of two networks.

    :param before: (N, 8) scores.
    :param after: (N, 8) scores, of each face by a fit without its person.
    :param labels: (N,) int.
    :param persons: (N,) int from 0 on.
    :returns: dict that JSON can hold: of accuracy and macro_recall `before`, `after`, and `gained` with the 95%
        interval of a bootstrap over persons; of each class that occurs count and both recalls.
    """
    predictions = [each.argmax(1) for each in (before, after)]
    own = [np.flatnonzero(persons == person) for person in range(persons.max() + 1)]
    found: dict[str, Any] = {'faces': len(labels), 'persons': len(own)}
    for name, measure in _MEASURES.items():

        def gained(persons, measure=measure):
            rows = np.concatenate([own[person] for person in persons])
            return measure(labels[rows], predictions[1][rows]) - measure(labels[rows], predictions[0][rows])

        old, new = (float(measure(labels, each)) for each in predictions)
        interval = bootstrap_interval(gained, [np.arange(len(own))])
        found[name] = {'before': old, 'after': new, 'gained': new - old, 'interval': list(interval)}
    found['per_class'] = {}
    for label in np.unique(labels):
        old, new = (float((each[labels == label] == label).mean()) for each in predictions)
        found['per_class'][EMOTIONS[label]] = {'faces': int((labels == label).sum()), 'before': old, 'after': new}
    return found


def comparison_table(found: Mapping[str, Any]) -> str:
    """Write the table of :func:`compare`."""

    def row(words, faces, each, interval=''):
        gained = f'{100 * (each["after"] - each["before"]):+.1f}'
        return words, faces, percent(each['before'], 1), percent(each['after'], 1), gained + interval

    rows = []
    for name, words in (('accuracy', 'accuracy'), ('macro_recall', 'mean recall of the classes')):
        low, high = found[name]['interval']
        rows.append(row(words, found['faces'], found[name], f' ({100 * low:+.1f} to {100 * high:+.1f})'))
    for emotion, each in found['per_class'].items():
        rows.append(row(f'recall of {emotion}', each['faces'], each))
    return table(('', 'faces', 'before', 'after', 'points (95%)'), rows)
