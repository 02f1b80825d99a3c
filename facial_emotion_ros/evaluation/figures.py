"""From what a network says of labelled faces to figures that can be written down."""

import math

import numpy as np

from facial_emotion_ros import metrics
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.ensemble import branch_scores, combine

#: Bins of the calibration error. Source: Guo et al., ICML 2017, section 5.
BINS = 15

#: Shares of the faces for which the error rate among the most trusted ones is written down.
COVERAGES = (0.5, 0.7, 0.8, 0.9)


def manifest_metrics(reading, name, calibration, copies=()):
    """Compute the figures that a bundle's manifest holds.

    :param reading: Reading.
    :param name: of the set of faces.
    :param calibration: (temperature, offsets), see :func:`figures`.
    :param copies: names of pictures that also occur in training; the figures are given without these too.
    :returns: dict: protocol, valid, and with copies valid_without_copies_of_train.
    :raises BadDataset: if none of the copies is in the reading.
    """
    found = {
        'protocol': f'{name}, labels by the protocol of the set (FER+: majority), single crop, mean of branch '
        'probabilities', 'valid': figures(reading, *calibration),
    }
    if copies:
        found['valid_without_copies_of_train'] = figures(reading.without(copies), *calibration)
    return found


def figures(reading, temperature=1.0, offsets=None, resamples=1000):
    """Compare what a network says with the labels.

    :param reading: Reading, of which the labelled rows count (for affect: all that have it).
    :param temperature: what the robot divides logits by.
    :param offsets: (8,) what the robot adds then; None for nothing.
    :param resamples: of the bootstrap behind the intervals; 0 for no intervals.
    :returns: dict that JSON can hold, None where a figure is not defined; docs/evaluation.md says what each one means.
    """
    labelled = reading.labelled()
    labels, logits = labelled.labels, labelled.logits
    ensemble = combine(logits, labelled.affect, temperature, offsets)
    predictions, confidences = ensemble.scores.argmax(1), ensemble.scores.max(1)
    is_right = predictions == labels
    matrix = metrics.confusion(labels, predictions)
    votes = plurality(branch_scores(logits, temperature, offsets), ensemble.scores)
    found = {
        'n': len(labels),
        'accuracy': metrics.accuracy(labels, predictions),
        'accuracy_vote': metrics.accuracy(labels, votes),
        'macro_recall': metrics.macro_recall(matrix),
        'macro_f1': metrics.macro_f1(matrix),
        'macro_f1_all': metrics.macro_f1_all(matrix),
        'kappa': metrics.cohen_kappa(matrix),
        'ece': metrics.expected_calibration_error(confidences, is_right, BINS),
        'nll': metrics.negative_log_likelihood(ensemble.scores, labels),
        'confidence_auroc': metrics.auroc(confidences, is_right),
        'agreement_auroc': metrics.auroc(ensemble.agreement, is_right),
        'error_at_coverage': {
            name: error_at_coverage(values, is_right)
            for name, values in (('confidence', confidences), ('agreement', ensemble.agreement))
        },
        'count': by_emotion(matrix.sum(1)),
        'recall': by_emotion(metrics.recalls(matrix)),
        'precision': by_emotion(metrics.precisions(matrix)),
        'f1': by_emotion(metrics.f1_scores(matrix)),
        'confusion': matrix.tolist(),
        'reliability': reliability(confidences, is_right),
        'uncalibrated': _uncalibrated(labelled),
        'affect': _affect_figures(reading),
    }
    if resamples:
        arrays = labels, predictions, votes, confidences, ensemble.agreement
        found['intervals'] = intervals(*arrays, resamples=resamples)
    return plain_numbers(found)


def plurality(scores, pooled):
    """Give each face the class that most branches choose; ties go to the larger mean of scores.

    :param scores: (N, B, 8) scores of each branch.
    :param pooled: (N, 8) their mean.
    :returns: (N,) int64.

    Source: Siqueira et al., AAAI 2020, section 3.
    """
    votes = np.zeros_like(pooled)
    np.add.at(votes, (np.arange(len(votes))[:, None], scores.argmax(2)), 1)
    return (votes + 0.5 * pooled).argmax(1)


def error_at_coverage(values, is_right):
    """Tell the error rate among the most trusted faces.

    :param values: (N,) how far each face is trusted.
    :param is_right: (N,) bool.
    :returns: dict of COVERAGES, as text, to error rate; at a tie the least coverage that reaches the share.
    """
    coverage, risk = metrics.risk_coverage(values, is_right)
    places = np.searchsorted(coverage, np.array(COVERAGES) - 1e-9)
    return {f'{share:g}': float(risk[place]) for share, place in zip(COVERAGES, places) if place < len(risk)}


def reliability(confidences, is_right):
    """Group predictions by their confidence: dict of bins, and of count, confidence and accuracy of each bin."""
    counts, means, accuracies = metrics.reliability(confidences, is_right, BINS)
    return {'bins': BINS, 'count': counts, 'confidence': means, 'accuracy': accuracies}


def intervals(labels, predictions, votes, confidences, agreement, resamples):
    """Tell how far figures would move with other faces of the same kind: 95%, percentile bootstrap over the faces.

    :returns: dict of figure to [low, high]. None for the calibration error, which resampling alone makes larger.
    """
    is_right = predictions == labels
    wanted = {
        'accuracy': (np.mean, [is_right]),
        'accuracy_vote': (np.mean, [votes == labels]),
        'macro_recall': (_of_matrix(metrics.macro_recall), [labels, predictions]),
        'macro_f1': (_of_matrix(metrics.macro_f1), [labels, predictions]),
        'macro_f1_all': (_of_matrix(metrics.macro_f1_all), [labels, predictions]),
        'kappa': (_of_matrix(metrics.cohen_kappa), [labels, predictions]),
        'confidence_auroc': (metrics.auroc, [confidences, is_right]),
        'agreement_auroc': (metrics.auroc, [agreement, is_right]),
    }
    return {
        name: list(metrics.bootstrap_interval(figure, arrays, resamples)) for name, (figure, arrays) in wanted.items()
    }


def by_emotion(values):
    """Turn (8,) values into a dict in the order of EMOTIONS."""
    return dict(zip(EMOTIONS, values))


def plain_numbers(found):
    """Make JSON's own types of figures, None of those that are not finite."""
    if isinstance(found, dict):
        return {key: plain_numbers(value) for key, value in found.items()}
    if isinstance(found, (list, tuple, np.ndarray)):
        return [plain_numbers(value) for value in found]
    if isinstance(found, (float, np.floating)):
        return float(found) if math.isfinite(found) else None
    return int(found) if isinstance(found, np.integer) else found


def _uncalibrated(reading):
    """Tell what the scores were without temperature and offsets."""
    scores = combine(reading.logits, reading.affect).scores
    is_right = scores.argmax(1) == reading.labels
    return {
        'accuracy': metrics.accuracy(reading.labels, scores.argmax(1)),
        'ece': metrics.expected_calibration_error(scores.max(1), is_right, BINS),
        'nll': metrics.negative_log_likelihood(scores, reading.labels),
        'reliability': reliability(scores.max(1), is_right),
    }


def _affect_figures(reading):
    known = reading.rows(~np.isnan(reading.affect_truth).any(1))
    ensemble = combine(known.logits, known.affect)
    found = {'source': known.affect_source, 'n': len(known)}
    for place, name in enumerate(('valence', 'arousal')):
        truth, estimates = known.affect_truth[:, place], getattr(ensemble, name)
        found[name] = {
            figure.__name__: figure(truth, estimates)
            for figure in (metrics.rmse, metrics.ccc, metrics.pcc, metrics.sagr)
        }
    return found


def _of_matrix(figure):
    """Turn a figure of a confusion matrix into one of labels and predictions."""
    return lambda labels, predictions: figure(metrics.confusion(labels, predictions))
