"""Metrics of predictions for labelled faces: accuracy, calibration, affect, with bootstrap intervals."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.ensemble import (
    UNCALIBRATED,
    EnsembleEstimates,
    OperatingPoint,
    branch_scores,
    combine,
    reweighted,
)
from facial_emotion_ros.emotion.operating_points import operating_points
from facial_emotion_ros.evaluation.intervals import (
    LEAST_OF_CLASS,
    RESAMPLES,
    percentile_interval,
    resample,
    resample_confusion,
)
from facial_emotion_ros.evaluation.markdown import percent
from facial_emotion_ros.evaluation.predictions import DatasetPredictions

#: Bins of the calibration error. Source: Guo et al., ICML 2017, section 5.
BINS = 15

#: Coverages (fractions of most trusted faces) at which the error rate is computed.
COVERAGES = (0.5, 0.7, 0.8, 0.9)

#: Macro metrics that get an interval.
_OF_CLASSES = {'macro_recall': metrics.macro_recall, 'macro_f1': metrics.macro_f1, 'macro_f1_all': metrics.macro_f1_all}

#: Metrics that are compared between operating points.
_SIDE_BY_SIDE = (
    'n',
    'accuracy',
    'macro_recall',
    'macro_f1',
    'ece',
    'nll',
    'confidence_auroc',
    'agreement_auroc',
    'recall',
    'precision',
)


def manifest_metrics(
    reading: DatasetPredictions, name: str, manifest: Mapping[str, Any], copies: Sequence[str] = ()
) -> dict[str, Any]:
    """Compute the metrics for a bundle's manifest.

    :param reading: predictions.
    :param name: name of the set of faces.
    :param manifest: manifest of the bundle, for its operating points.
    :param copies: names of pictures that also occur in training; metrics are also computed without them.
    :returns: protocol; valid, and with copies valid_without_copies_of_train, at the default operating point; and
        operating_points of :func:`side_by_side` for valid.
    :raises BadDataset: if none of the copies is among the predictions.
    """
    points = operating_points(manifest)
    default = next(iter(points.values()))
    found = {
        'protocol': f'{name}, labels by the protocol of the set (FER+: majority), single crop, mean of branch '
        'probabilities',
        'valid': compute_metrics(reading, default),
    }
    if copies:
        found['valid_without_copies_of_train'] = compute_metrics(reading.without(copies), default)
    return dict(found, **side_by_side(reading, points))


def side_by_side(reading: DatasetPredictions, points: Mapping[str, OperatingPoint]) -> dict[str, Any]:
    """Compare operating points.

    :param reading: predictions.
    :param points: OperatingPoint by name.
    :returns: operating_points: name -> metrics; an empty dict for fewer than two points.
    """
    if len(points) < 2:
        return {}
    whole = {name: compute_metrics(reading, point, resamples=0) for name, point in points.items()}
    return {'operating_points': {name: {key: found[key] for key in _SIDE_BY_SIDE} for name, found in whole.items()}}


def operating_points_rows(points: Mapping[str, Mapping[str, Any]]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Format the operating_points of :func:`side_by_side` as a table: heads, and rows of text."""
    rows = [
        (words, *(percent(each[key], 1) for each in points.values()))
        for key, words in (('accuracy', 'accuracy'), ('macro_recall', 'mean recall of the classes'))
    ]
    rows.append(('calibration error (ECE)', *(f'{each["ece"]:.3f}' for each in points.values())))
    for emotion in EMOTIONS:
        cells = (
            f'{percent(each["recall"][emotion])}, {percent(each["precision"][emotion])}' for each in points.values()
        )
        rows.append((f'recall, precision of {emotion}', *cells))
    return ('', *points), rows


def rounding_figures(labels: np.ndarray, exact: EnsembleEstimates, rounded: EnsembleEstimates) -> dict[str, Any]:
    """Compare int8 estimates with fp32 ones.

    :param labels: (N,) int.
    :param exact: fp32 estimates.
    :param rounded: int8 estimates.
    :returns: JSON-compatible dict: faces, accuracy_before (fp32) and accuracy (int8), fraction of categories_changed,
        and the RMS differences rmse_valence and rmse_arousal.
    """
    before, after = exact.scores.argmax(1), rounded.scores.argmax(1)
    return {
        'faces': len(labels),
        'accuracy_before': float((before == labels).mean()),
        'accuracy': float((after == labels).mean()),
        'categories_changed': float((before != after).mean()),
        'rmse_valence': metrics.rmse(exact.valence, rounded.valence),
        'rmse_arousal': metrics.rmse(exact.arousal, rounded.arousal),
    }


def compute_metrics(
    reading: DatasetPredictions, point: OperatingPoint = UNCALIBRATED, resamples: int = RESAMPLES
) -> dict[str, Any]:
    """Compare predictions with labels.

    :param reading: predictions; only rows with a label count, for affect rows with affect.
    :param point: OperatingPoint of the scores.
    :param resamples: number of bootstrap resamples for the intervals; 0 for no intervals.
    :returns: JSON-compatible dict, None for undefined metrics; docs/evaluation.md explains each.
    """
    labelled = reading.labelled()
    labels, logits = labelled.labels, labelled.logits
    ensemble = combine(logits, labelled.affect, point)
    predictions, confidences = ensemble.scores.argmax(1), ensemble.scores.max(1)
    is_right = predictions == labels
    matrix = metrics.confusion(labels, predictions)
    votes = metrics.plurality(reweighted(branch_scores(logits, point), point), ensemble.scores)
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
        found['intervals'] = _intervals(labels, predictions, votes, confidences, ensemble.agreement, resamples)
    return plain_numbers(found)


def error_at_coverage(values: np.ndarray, is_right: np.ndarray) -> dict[str, float]:
    """Compute the error rate among the most trusted faces.

    :param values: (N,) trust in each face, such as its confidence.
    :param is_right: (N,) bool.
    :returns: error rate by coverage, of COVERAGES, as text; at ties the least coverage that reaches it.
    """
    coverage, risk = metrics.risk_coverage(values, is_right)
    places = np.searchsorted(coverage, np.array(COVERAGES) - 1e-9)
    return {f'{share:g}': float(risk[place]) for share, place in zip(COVERAGES, places) if place < len(risk)}


def reliability(confidences: np.ndarray, is_right: np.ndarray) -> dict[str, Any]:
    """Group predictions by confidence: number of bins, and count, confidence and accuracy of each."""
    counts, means, accuracies = metrics.reliability(confidences, is_right, BINS)
    return {'bins': BINS, 'count': counts, 'confidence': means, 'accuracy': accuracies}


def _intervals(
    labels: np.ndarray,
    predictions: np.ndarray,
    votes: np.ndarray,
    confidences: np.ndarray,
    agreement: np.ndarray,
    resamples: int,
) -> dict[str, Any]:
    """Compute 95% bootstrap intervals: over faces, for macro metrics within each class.

    Not for the calibration error, which resampling alone increases.

    :returns: [low, high] by metric; NaN for macro metrics if a class has fewer than LEAST_OF_CLASS faces.
    """
    is_right, is_voted = predictions == labels, votes == labels
    of_faces = {
        'accuracy': lambda rows: np.mean(is_right[rows]),
        'accuracy_vote': lambda rows: np.mean(is_voted[rows]),
        'kappa': lambda rows: metrics.cohen_kappa(metrics.confusion(labels[rows], predictions[rows])),
        'confidence_auroc': lambda rows: metrics.auroc(confidences[rows], is_right[rows]),
        'agreement_auroc': lambda rows: metrics.auroc(agreement[rows], is_right[rows]),
    }
    draws = [[figure(rows) for figure in of_faces.values()] for rows in resample(len(labels), resamples)]
    columns = np.reshape(draws, (-1, len(of_faces))).T
    found = {name: percentile_interval(column) for name, column in zip(of_faces, columns)}
    matrix = metrics.confusion(labels, predictions)
    counts = matrix.sum(1)
    if (counts[counts > 0] >= LEAST_OF_CLASS).all():
        matrices = resample_confusion(matrix, resamples)
        found.update({name: percentile_interval([figure(m) for m in matrices]) for name, figure in _OF_CLASSES.items()})
    else:
        found.update(dict.fromkeys(_OF_CLASSES, (math.nan, math.nan)))
    return found


def by_emotion(values: Iterable[Any]) -> dict[str, Any]:
    """Return (8,) values as a dict by emotion."""
    return dict(zip(EMOTIONS, values))


def plain_numbers(found: Any) -> Any:
    """Convert numbers to JSON types; NaN and infinity become None."""
    if isinstance(found, dict):
        return {key: plain_numbers(value) for key, value in found.items()}
    if isinstance(found, (list, tuple, np.ndarray)):
        return [plain_numbers(value) for value in found]
    if isinstance(found, (float, np.floating)):
        return float(found) if math.isfinite(found) else None
    return int(found) if isinstance(found, np.integer) else found


def _uncalibrated(reading):
    """Compute metrics of the mean of the branches' softmax, without an operating point."""
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
