"""Metrics of classification, calibration and regression, in numpy.

Labels and predictions are (N,) int indices of EMOTIONS; a confusion matrix is (K, K) counts, row label, column
prediction; truth and estimates are (N,) float. Arguments may be sequences. A metric without data is NaN.
"""

from typing import Any, Optional, Tuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS


def accuracy(labels: Any, predictions: Any) -> float:
    """Share of correct predictions, in [0, 1]."""
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    return float((labels == predictions).mean()) if len(labels) else float('nan')


def plurality(scores: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Give each face the class that most branches choose; ties go to the larger mean of scores.

    :param scores: (N, B, 8) scores of each branch.
    :param pooled: (N, 8) their mean.
    :returns: (N,) int64.

    Source: Siqueira et al., AAAI 2020, section 3.
    """
    votes = np.eye(scores.shape[2])[scores.argmax(2)].sum(1)
    return (votes + 0.5 * pooled).argmax(1)


def confusion(labels: Any, predictions: Any) -> np.ndarray:
    """Confusion matrix, (8, 8) int64."""
    classes = len(EMOTIONS)
    cells = np.asarray(labels, np.int64) * classes + np.asarray(predictions, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def recalls(matrix: Any) -> np.ndarray:
    """Recall of each class, (K,) float64; NaN for a class that does not occur."""
    matrix = np.asarray(matrix, np.float64)
    return _shares(np.diag(matrix), matrix.sum(1))


def precisions(matrix: Any) -> np.ndarray:
    """Precision of each class, (K,) float64; NaN for a class that is never predicted."""
    matrix = np.asarray(matrix, np.float64)
    return _shares(np.diag(matrix), matrix.sum(0))


def f1_scores(matrix: Any) -> np.ndarray:
    """F1 score of each class, (K,) float64; 0 for a class that is never predicted, NaN for one that does not occur."""
    matrix = np.asarray(matrix, np.float64)
    scores = _shares(2 * np.diag(matrix), matrix.sum(0) + matrix.sum(1))
    return np.where(matrix.sum(1) > 0, scores, np.nan)


def macro_recall(matrix: Any) -> float:
    """Mean recall of the classes that occur (UAR)."""
    return _mean_of_numbers(recalls(matrix))


def macro_f1(matrix: Any) -> float:
    """Mean F1 score of the classes that occur in the labels."""
    return _mean_of_numbers(f1_scores(matrix))


def macro_f1_all(matrix: Any) -> float:
    """Mean F1 score of the classes that occur in labels or predictions, as scikit-learn computes it.

    A class that is only predicted counts as 0 here; :func:`macro_f1` ignores it.
    """
    matrix = np.asarray(matrix, np.float64)
    return _mean_of_numbers(_shares(2 * np.diag(matrix), matrix.sum(0) + matrix.sum(1)))


def cohen_kappa(matrix: Any) -> float:
    """Cohen's kappa, up to 1, 0 for chance; NaN where all labels and predictions are of one class.

    Source: Cohen, Educational and Psychological Measurement 1960.
    """
    matrix = np.asarray(matrix, np.float64)
    count = matrix.sum()
    by_chance = float(matrix.sum(0) @ matrix.sum(1)) / count**2 if count else 1.0
    return float((np.trace(matrix) / count - by_chance) / (1 - by_chance)) if by_chance < 1 else float('nan')


def negative_log_likelihood(scores: Any, labels: Any, weights: Optional[np.ndarray] = None) -> float:
    """Mean of -log(score of the label), in nats.

    :param scores: (N, K) float, rows sum to 1.
    :param labels: (N,) int.
    :param weights: (N,) of the faces; None for equal ones.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if not len(labels):
        return float('nan')
    return float(-np.average(np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)), weights=weights))


def reliability(confidences: Any, is_right: Any, bins: int = 15) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Group predictions by confidence, in bins of equal width.

    :param confidences: (N,) float in [0, 1].
    :param is_right: (N,) bool.
    :param bins: number of bins.
    :returns: counts (bins,) int64, mean confidence and accuracy (bins,) float64; NaN in empty bins.

    Source: Guo et al., ICML 2017, section 2.
    """
    confidences, is_right = np.asarray(confidences, np.float64), np.asarray(is_right, np.float64)
    which = np.clip((confidences * bins).astype(int), 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    means = _shares(np.bincount(which, weights=confidences, minlength=bins), counts)
    return counts, means, _shares(np.bincount(which, weights=is_right, minlength=bins), counts)


def expected_calibration_error(confidences: Any, is_right: Any, bins: int = 15) -> float:
    """Expected calibration error (ECE), in [0, 1]; see :func:`reliability`.

    Source: Guo et al., ICML 2017, equation 3.
    """
    if not len(confidences):
        return float('nan')
    counts, means, accuracies = reliability(confidences, is_right, bins)
    return float(np.nansum(counts * np.abs(accuracies - means)) / counts.sum())


def auroc(values: Any, is_positive: Any) -> float:
    """Area under the ROC curve; ties count half.

    :param values: (N,) float.
    :param is_positive: (N,) bool.
    :returns: in [0, 1]; NaN if all or none are positive.
    """
    values, is_positive = np.asarray(values), np.asarray(is_positive, bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return float('nan')
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - 0.5 * (count - 1))[place]
    return float((rank[is_positive].sum() - 0.5 * positives * (positives + 1)) / (positives * negatives))


def roc_curve(values: Any, is_positive: Any) -> Tuple[np.ndarray, np.ndarray]:
    """ROC curve.

    :param values: (N,) float.
    :param is_positive: (N,) bool.
    :returns: false and true positive rate, (M,) float64, from (0, 0) to (1, 1): one point for each distinct value, so
        that the area below is :func:`auroc`. Only the ends if all or none are positive.
    """
    values, is_positive = np.asarray(values), np.asarray(is_positive, bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    place = np.unique(-values, return_inverse=True)[1]
    false_rate, true_rate = (
        np.concatenate([[0.0], np.cumsum(np.bincount(place, weights=kind)) / kind.sum()])
        for kind in (~is_positive, is_positive)
    )
    return false_rate, true_rate


def risk_coverage(values: Any, is_right: Any) -> Tuple[np.ndarray, np.ndarray]:
    """Error rate of the predictions that are kept when those of the lowest values are rejected.

    :param values: (N,) float, the confidence in each prediction.
    :param is_right: (N,) bool.
    :returns: coverage (share kept, rising to 1) and risk (error rate among them), (M,) float64, one point for each
        distinct value; empty for N = 0.

    Source: El-Yaniv and Wiener, JMLR 2010; Geifman and El-Yaniv, NeurIPS 2017.
    """
    values, is_right = np.asarray(values), np.asarray(is_right, bool)
    place = np.unique(-values, return_inverse=True)[1]
    kept = np.cumsum(np.bincount(place))
    return kept / float(max(len(values), 1)), np.cumsum(np.bincount(place, weights=~is_right)) / np.maximum(kept, 1)


def rmse(truth: Any, estimates: Any) -> float:
    """Root mean squared error."""
    errors = np.asarray(truth, np.float64) - np.asarray(estimates, np.float64)
    return float(np.sqrt((errors**2).mean())) if len(errors) else float('nan')


def pcc(truth: Any, estimates: Any) -> float:
    """Pearson's correlation coefficient; NaN if either is constant."""
    truth, estimates = _centred(truth), _centred(estimates)
    scale = np.sqrt((truth**2).sum() * (estimates**2).sum())
    return float((truth * estimates).sum() / scale) if scale > 0 else float('nan')


def ccc(truth: Any, estimates: Any) -> float:
    """Concordance correlation coefficient: 1 only if the estimates equal the truth.

    Source: Lin, Biometrics 1989.
    """
    if not len(truth):
        return float('nan')
    gap = np.mean(truth, dtype=np.float64) - np.mean(estimates, dtype=np.float64)
    truth, estimates = _centred(truth), _centred(estimates)
    scale = (truth**2).mean() + (estimates**2).mean() + gap**2
    return float(2 * (truth * estimates).mean() / scale) if scale > 0 else float('nan')


def sagr(truth: Any, estimates: Any) -> float:
    """Sign agreement: share of estimates with the sign of the truth, where that is not 0.

    Source: Nicolaou, Gunes and Pantic, IEEE Transactions on Affective Computing 2011.
    """
    truth, estimates = np.asarray(truth), np.asarray(estimates)
    signed = truth != 0
    return accuracy(np.sign(truth[signed]), np.sign(estimates[signed]))


def _shares(parts: Any, wholes: Any) -> np.ndarray:
    """Divide, with NaN where the divisor is 0."""
    parts, wholes = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    return np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)


def _mean_of_numbers(values: np.ndarray) -> float:
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float('nan')


def _centred(values: Any) -> np.ndarray:
    centred = np.array(values, np.float64)
    # The mean of equal numbers may differ from them by a rounding error.
    return centred - centred.mean() if len(centred) and np.ptp(centred) else 0.0 * centred
