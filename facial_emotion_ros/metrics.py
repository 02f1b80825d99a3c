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


def recalls(matrix):
    """Share of each class that is recognised.

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: (K,) float64 in [0, 1]; NaN for a class that does not occur.
    """
    matrix = np.asarray(matrix, np.float64)
    return _shares(np.diag(matrix), matrix.sum(1))


def precisions(matrix):
    """Share of the predictions of each class that are right.

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: (K,) float64 in [0, 1]; NaN for a class that is never predicted.
    """
    matrix = np.asarray(matrix, np.float64)
    return _shares(np.diag(matrix), matrix.sum(0))


def f1_scores(matrix):
    """Harmonic mean of precision and recall of each class.

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: (K,) float64 in [0, 1]; 0 for a class that occurs and is never predicted, NaN for one that does not occur.
    """
    matrix = np.asarray(matrix, np.float64)
    scores = _shares(2 * np.diag(matrix), matrix.sum(0) + matrix.sum(1))
    return np.where(matrix.sum(1) > 0, scores, np.nan)


def macro_recall(matrix):
    """Mean recall of the classes that occur (UAR).

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: float in [0, 1]; NaN where no class occurs.
    """
    return _mean_of_numbers(recalls(matrix))


def macro_f1(matrix):
    """Mean F1 score of the classes that occur in the labels.

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: float in [0, 1]; NaN where no class occurs.
    """
    return _mean_of_numbers(f1_scores(matrix))


def macro_f1_all(matrix):
    """Mean F1 score of all classes that occur in the labels or in the predictions, as scikit-learn takes it.

    A class that is predicted and never right counts as 0 here, which :func:`macro_f1` leaves out.

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: float in [0, 1]; NaN for no counts.
    """
    matrix = np.asarray(matrix, np.float64)
    return _mean_of_numbers(_shares(2 * np.diag(matrix), matrix.sum(0) + matrix.sum(1)))


def cohen_kappa(matrix):
    """Agreement of labels and predictions beyond what their frequencies alone would give (Cohen's kappa).

    :param matrix: (K, K) counts, row label, column prediction.
    :returns: float up to 1, 0 for chance; NaN for no counts, and where all labels and predictions are of one class.

    Source: Cohen, Educational and Psychological Measurement 1960.
    """
    matrix = np.asarray(matrix, np.float64)
    count = matrix.sum()
    by_chance = float(matrix.sum(0) @ matrix.sum(1)) / count ** 2 if count else 1.0
    return float((np.trace(matrix) / count - by_chance) / (1 - by_chance)) if by_chance < 1 else float('nan')


def negative_log_likelihood(scores, labels):
    """Mean of -log(score of the right class).

    :param scores: (N, K) float, rows sum to 1.
    :param labels: (N,) int.
    :returns: float of at least 0, in nats; NaN for N = 0.
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels)
    if not len(labels):
        return float('nan')
    return float(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)).mean())


def reliability(confidences, is_right, bins=15):
    """Group predictions by their confidence, in equally wide bins.

    :param confidences: (N,) float in [0, 1].
    :param is_right: (N,) bool.
    :param bins: number of bins.
    :returns: counts (bins,) int64, mean confidence (bins,) and accuracy (bins,) float64; NaN in empty bins.

    Source: Guo et al., ICML 2017, section 2.
    """
    confidences, is_right = np.asarray(confidences, np.float64), np.asarray(is_right, np.float64)
    which = np.clip((confidences * bins).astype(int), 0, bins - 1)
    counts = np.bincount(which, minlength=bins)
    means = _shares(np.bincount(which, weights=confidences, minlength=bins), counts)
    return counts, means, _shares(np.bincount(which, weights=is_right, minlength=bins), counts)


def expected_calibration_error(confidences, is_right, bins=15):
    """Mean gap between confidence and accuracy over equally wide bins, weighted by their size (ECE).

    :param confidences: (N,) float in [0, 1].
    :param is_right: (N,) bool.
    :param bins: number of bins.
    :returns: float in [0, 1]; NaN for N = 0.

    Source: Guo et al., ICML 2017, equation 3.
    """
    if not len(confidences):
        return float('nan')
    counts, means, accuracies = reliability(confidences, is_right, bins)
    return float(np.nansum(counts * np.abs(accuracies - means)) / counts.sum())


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


def roc_curve(values, is_positive):
    """Trace how many positives and negatives lie above each threshold.

    :param values: (N,) float.
    :param is_positive: (N,) bool.
    :returns: false positive rate and true positive rate, (M,) float64 each, from (0, 0) to (1, 1): one point for each
        value that occurs, so that ties give a slope and the area below is :func:`auroc`. Only the two ends where one
        of the two kinds is absent.
    """
    values, is_positive = np.asarray(values), np.asarray(is_positive, bool)
    positives, negatives = int(is_positive.sum()), int((~is_positive).sum())
    if not positives or not negatives:
        return np.array([0.0, 1.0]), np.array([0.0, 1.0])
    place = np.unique(-values, return_inverse=True)[1]
    return tuple(
        np.concatenate([[0.0], np.cumsum(np.bincount(place, weights=kind)) / kind.sum()])
        for kind in (~is_positive, is_positive)
    )


def risk_coverage(values, is_right):
    """Tell the error rate of the predictions that are kept when those of the least value are refused.

    :param values: (N,) float: how far each prediction is trusted.
    :param is_right: (N,) bool.
    :returns: coverage (share of predictions kept, rising to 1) and risk (error rate among them), (M,) float64 each, one
        point for each value that occurs; empty for N = 0.

    Source: El-Yaniv and Wiener, JMLR 2010; Geifman and El-Yaniv, NeurIPS 2017.
    """
    values, is_right = np.asarray(values), np.asarray(is_right, bool)
    place = np.unique(-values, return_inverse=True)[1]
    kept = np.cumsum(np.bincount(place))
    return kept / float(max(len(values), 1)), np.cumsum(np.bincount(place, weights=~is_right)) / np.maximum(kept, 1)


def rmse(truth, estimates):
    """Root of the mean squared error.

    :param truth: (N,) float.
    :param estimates: (N,) float.
    :returns: float; NaN for N = 0.
    """
    errors = np.asarray(truth, np.float64) - np.asarray(estimates, np.float64)
    return float(np.sqrt((errors**2).mean())) if len(errors) else float('nan')


def pcc(truth, estimates):
    """Pearson's correlation coefficient.

    :param truth: (N,) float.
    :param estimates: (N,) float.
    :returns: float in [-1, 1]; NaN where either does not vary.
    """
    truth, estimates = _centred(truth), _centred(estimates)
    scale = np.sqrt((truth**2).sum() * (estimates**2).sum())
    return float((truth * estimates).sum() / scale) if scale > 0 else float('nan')


def ccc(truth, estimates):
    """Concordance correlation coefficient: 1 only where the estimates are equal to the truth, not merely proportional.

    :param truth: (N,) float.
    :param estimates: (N,) float.
    :returns: float in [-1, 1]; NaN where neither varies and their means are equal, and for N = 0.

    Source: Lin, Biometrics 1989.
    """
    if not len(truth):
        return float('nan')
    gap = np.mean(truth, dtype=np.float64) - np.mean(estimates, dtype=np.float64)
    truth, estimates = _centred(truth), _centred(estimates)
    scale = (truth**2).mean() + (estimates**2).mean() + gap**2
    return float(2 * (truth * estimates).mean() / scale) if scale > 0 else float('nan')


def sagr(truth, estimates):
    """Share of estimates whose sign is right (sign agreement).

    :param truth: (N,) float; rows of truth 0 have no sign, and do not count.
    :param estimates: (N,) float.
    :returns: float in [0, 1]; NaN where no row counts.

    Source: Nicolaou, Gunes and Pantic, IEEE Transactions on Affective Computing 2011.
    """
    truth, estimates = np.asarray(truth), np.asarray(estimates)
    signed = truth != 0
    return accuracy(np.sign(truth[signed]), np.sign(estimates[signed]))


def bootstrap_interval(figure, arrays, resamples=1000, level=0.95, seed=0):
    """Tell how far a figure would move if other faces of the same kind had been drawn.

    :param figure: function of the arrays' rows -> float.
    :param arrays: sequence of (N, ...) arrays that are resampled together, with replacement.
    :param resamples: how often.
    :param level: share of the resamples that lie inside.
    :param seed: of the draws, so that a repetition gives the same.
    :returns: lower and upper end, float; NaN for N = 0.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
    """
    arrays = [np.asarray(array) for array in arrays]
    count = len(arrays[0])
    if not count:
        return float('nan'), float('nan')
    generator = np.random.default_rng(seed)
    values = np.array([figure(*(array[rows] for array in arrays))
                       for rows in (generator.integers(0, count, count) for _ in range(resamples))])
    values = values[np.isfinite(values)]
    if not len(values):
        return float('nan'), float('nan')
    return tuple(float(end) for end in np.percentile(values, [50 * (1 - level), 50 * (1 + level)]))


def _shares(parts, wholes):
    """Divide, with NaN where the whole is 0."""
    parts, wholes = np.asarray(parts, np.float64), np.asarray(wholes, np.float64)
    return np.divide(parts, wholes, out=np.full(parts.shape, np.nan), where=wholes > 0)


def _mean_of_numbers(values):
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float('nan')


def _centred(values):
    values = np.asarray(values, np.float64)
    return values - values.mean() if len(values) else values
