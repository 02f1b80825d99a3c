"""Figures of merit, in numpy alone."""

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS


def accuracy(labels, predictions):
    """Share of right predictions.

    :param labels: (N,) int.
    :param predictions: (N,) int.
    :returns: float in [0, 1]; NaN for N = 0.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    return float((labels == predictions).mean()) if len(labels) else float('nan')


def confusion(labels, predictions):
    """Count each pair of label and prediction.

    :param labels: (N,) int, places in EMOTIONS.
    :param predictions: (N,) int, places in EMOTIONS.
    :returns: (8, 8) int64: row label, column prediction.
    """
    classes = len(EMOTIONS)
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def macro_recall(matrix):
    """Mean recall of the classes that occur (UAR).

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: float in [0, 1]; NaN where no class occurs.
    """
    occurs = matrix.sum(1) > 0
    if not occurs.any():
        return float('nan')
    return float((np.diag(matrix)[occurs] / matrix.sum(1)[occurs]).mean())


def expected_calibration_error(confidences, is_right, bins=15):
    """Mean gap between confidence and accuracy over equally wide bins, weighted by their size (ECE).

    :param confidences: (N,) float in [0, 1].
    :param is_right: (N,) bool.
    :param bins: number of bins.
    :returns: float in [0, 1]; NaN for N = 0.

    Source: Guo et al., ICML 2017, equation 3.
    """
    confidences, is_right = np.asarray(confidences, np.float64), np.asarray(is_right, np.float64)
    if not len(confidences):
        return float('nan')
    which = np.clip((confidences * bins).astype(int), 0, bins - 1)
    gaps = np.bincount(which, weights=is_right - confidences, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidences))


def auroc(values, is_positive):
    """Area under the ROC curve: how likely a positive has the larger value; ties count half.

    :param values: (N,) float.
    :param is_positive: (N,) bool.
    :returns: float in [0, 1]; NaN where one of the two kinds is absent.
    """
    values, is_positive = np.asarray(values), np.asarray(is_positive, bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return float('nan')
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - 0.5 * (count - 1))[place]
    return float((rank[is_positive].sum() - 0.5 * positives * (positives + 1)) / (positives * negatives))
