"""Calibration: fits temperature and rejection bounds of operating points on held-out faces."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.emotion.ensemble import UNCALIBRATED, OperatingPoint, branch_scores, combine, reweighted
from facial_emotion_ros.evaluation.predictions import DatasetPredictions

#: Range of the temperature; a value at its end points to another error, such as wrong labels.
TEMPERATURES = (0.05, 20.0)

#: Fraction of clear faces that each bound of an operating point may reject. Measurements: docs/faces_over_time.md.
SHARES = {'min_confidence': 0.016, 'min_agreement': 0.029}

_LEAST_FACES = 100


class Calibration(NamedTuple):
    """Fitted operating points, and their metrics on the held-out faces.

    :param points: OperatingPoint by name.
    :param n: number of held-out faces with a label.
    :param before: accuracy, macro_recall, ece and nll of the uncalibrated scores.
    :param after: name -> the same at each point.
    """

    points: dict[str, OperatingPoint]
    n: int
    before: dict[str, float]
    after: dict[str, dict[str, float]]


def calibrate(
    reading: DatasetPredictions, prior: Sequence[float] | np.ndarray, exponents: Mapping[str, float]
) -> Calibration:
    """Fit temperature and bounds of each operating point.

    :param reading: predictions of labelled faces that the network was not trained on.
    :param prior: (8,) class frequencies in training.
    :param exponents: name -> prior_exponent.
    :raises BadDataset: if there are too few faces, or a class does not occur in training.
    """
    prior = np.asarray(prior, np.float64)
    if not (prior > 0).all():
        raise BadDataset(f'expected every class in training, to divide scores by its frequency, got {prior.tolist()}')
    points = {}
    for name, exponent in exponents.items():
        weights = tuple((prior**-exponent).tolist()) if exponent else None
        point = OperatingPoint(name, prior_exponent=exponent, class_weights=weights)
        point = point._replace(temperature=fit_temperature(reading.logits, reading.labels, point))
        found = bounds(reading.logits, reading.affect, point)
        points[name] = point._replace(**found)  # type: ignore[arg-type]
    return Calibration(
        points,
        len(reading),
        _figures(reading, UNCALIBRATED),
        {name: _figures(reading, point) for name, point in points.items()},
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray, point: OperatingPoint = UNCALIBRATED) -> float:
    """Find the temperature that minimises the negative log-likelihood of the labels.

    The expected calibration error is no objective: it is discontinuous, and a constant score can make it 0. Faces are
    weighted by the class weights, since the scores of a point are meant for the class frequencies that these imply.

    :param logits: (N, B, 8) float, of faces that the network was not trained on.
    :param labels: (N,) int.
    :param point: OperatingPoint; its temperature is ignored.
    :returns: within TEMPERATURES, to four decimals.
    :raises BadDataset: if there are fewer than a hundred faces.

    Source: Guo et al., ICML 2017, section 4.2, which has one network; here each branch's logits are divided.
    """
    from scipy.optimize import minimize_scalar  # adapt runs without scipy

    if len(labels) < _LEAST_FACES:
        raise BadDataset(
            f'expected at least {_LEAST_FACES} held-out faces with a label to fit a temperature, got {len(labels)}: '
            'name more in --dev (the command hold_out draws them), or export without --train and --dev, uncalibrated'
        )
    weights = None if point.class_weights is None else np.asarray(point.class_weights)[labels]

    def cost(logarithm):
        scores = pooled_scores(logits, point._replace(temperature=float(np.exp(logarithm))))
        return metrics.negative_log_likelihood(scores, labels, weights)

    grid = np.log(np.geomspace(*TEMPERATURES, 25))
    best = int(np.argmin([cost(each) for each in grid]))
    around = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    return round(float(np.exp(minimize_scalar(cost, bounds=around, method='bounded').x)), 4)


def pooled_scores(logits: np.ndarray, point: OperatingPoint = UNCALIBRATED) -> np.ndarray:
    """Return the mean of the branches' scores, (N, 8), as the node computes it."""
    return reweighted(branch_scores(logits, point).mean(axis=1), point)


def bounds(logits: np.ndarray, affect: np.ndarray, point: OperatingPoint) -> dict[str, float]:
    """Return the bounds of confidence and agreement that reject SHARES of the held-out faces.

    :param logits: (N, B, 8) float.
    :param affect: (N, B, 2) float.
    :param point: OperatingPoint of the scores.
    :returns: bounds by name, of POINT_BOUNDS, to two decimals.
    """
    found = combine(logits, affect, point)
    values = {'min_confidence': found.scores.max(1), 'min_agreement': found.agreement}
    return {name: round(float(np.quantile(values[name], share)), 2) for name, share in SHARES.items()}


def _figures(reading, point):
    scores = pooled_scores(reading.logits, point)
    labels, predictions = reading.labels, scores.argmax(1)
    return {
        'accuracy': metrics.accuracy(labels, predictions),
        'macro_recall': metrics.macro_recall(metrics.confusion(labels, predictions)),
        'ece': metrics.expected_calibration_error(scores.max(1), predictions == labels),
        'nll': metrics.negative_log_likelihood(scores, labels),
    }
