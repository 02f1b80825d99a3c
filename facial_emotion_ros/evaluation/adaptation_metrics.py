"""Gain of an adaptation on held-out persons, with confidence intervals over persons."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.evaluation.intervals import LEAST_OF_CLASS, t_quantile
from facial_emotion_ros.evaluation.markdown import percent, table


def compare(before: np.ndarray, after: np.ndarray, labels: np.ndarray, persons: np.ndarray) -> dict[str, Any]:
    """Compare the scores of two networks.

    :param before: (N, 8) scores.
    :param after: (N, 8) scores of each face by a fit without its person.
    :param labels: (N,) int.
    :param persons: (N,) int, at least 0.
    :returns: JSON-compatible dict: faces, persons; for accuracy, macro_recall, and in per_class for the recall of each
        class that occurs: `before`, `after`, and `gained` with its 95% `interval` over persons, None if unknown.
    """
    right = [each.argmax(1) == labels for each in (before, after)]
    counts = np.bincount(labels, minlength=len(EMOTIONS))
    present = np.flatnonzero(counts)
    everywhere = np.zeros(len(labels), int)
    found: dict[str, Any] = {'faces': len(labels), 'persons': len(np.unique(persons))}
    found['accuracy'] = _gain(right, everywhere, persons)
    found['macro_recall'] = _gain(right, np.searchsorted(present, labels), persons)
    found['per_class'] = {}
    for label in present:
        rows = labels == label
        of_class = _gain([each[rows] for each in right], everywhere[rows], persons[rows])
        found['per_class'][EMOTIONS[label]] = {'faces': int(counts[label]), **of_class}
    return found


def _gain(right: Sequence[np.ndarray], groups: np.ndarray, persons: np.ndarray) -> dict[str, Any]:
    """Compute the mean over groups of the accuracy, before and after.

    :param right: (N,) bool, before and after.
    :param groups: (N,) int, consecutive from 0.

    Source: variance of a mean of ratios from the influence of each cluster, here a person (Cochran, Sampling
    Techniques, 1977, section 6.5), Student's t with the effective number of persons (Kish, Survey Sampling, 1965).
    """
    counts = np.bincount(groups)
    weights = 1 / (len(counts) * counts[groups])
    old, new = (float(weights @ each) for each in right)
    differences = right[1].astype(float) - right[0]
    means = np.bincount(groups, differences) / counts
    clusters = np.unique(persons, return_inverse=True)[1]
    influence = np.bincount(clusters, weights * (differences - means[groups]))
    error = np.sqrt(len(influence) / max(len(influence) - 1, 1) * (influence**2).sum())
    found: dict[str, Any] = {'before': old, 'after': new, 'gained': new - old, 'interval': None}
    enough = len(counts) == 1 or counts.min() >= LEAST_OF_CLASS
    if error > 1e-9 and len(influence) > 1 and enough:
        alike = 1 / (np.bincount(clusters, weights) ** 2).sum()
        half = t_quantile(max(alike - 1, 1.0)) * error
        found['interval'] = [max(new - old - half, -1.0), min(new - old + half, 1.0)]
    return found


def comparison_table(found: Mapping[str, Any]) -> str:
    """Write the table of :func:`compare`."""

    def row(words, faces, each):
        gained = f'{100 * each["gained"]:+.1f}'
        if each['interval']:
            gained += ' ({:+.1f} to {:+.1f})'.format(*(100 * end for end in each['interval']))
        return words, faces, percent(each['before'], 1), percent(each['after'], 1), gained

    rows = [
        row('accuracy', found['faces'], found['accuracy']),
        row('mean recall of the classes', found['faces'], found['macro_recall']),
    ]
    rows += [row(f'recall of {emotion}', each['faces'], each) for emotion, each in found['per_class'].items()]
    return table(('', 'faces', 'before', 'after', 'points (95%)'), rows)


def criterion_text(gain: float, error: float, required: float) -> str:
    """Describe the criterion for keeping a correction, and its values.

    :param gain: mean gain of the log score on held-out persons, in nats per face, classes weighted equally.
    :param error: its standard error over persons.
    :param required: number of standard errors that it must exceed.
    """
    low, high = gain - required * error, gain + required * error
    return (
        f'Criterion: gain in log score on held-out faces over the recalibrated network, expressions weighted equally: '
        f'{gain:+.3f} nats per face ({low:+.3f} to {high:+.3f} for {required:.1f} standard errors). A correction is '
        'kept if this whole range is above 0 and accuracy improves.'
    )
