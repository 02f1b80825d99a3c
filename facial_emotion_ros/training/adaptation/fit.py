"""Fits a small correction of an ensemble's last layers to labelled faces of a few persons.

Each branch's logits get a linear function of its features added, ridge-regularised towards 0, the unchanged network.
Cross-validation over persons chooses the penalty and decides whether the correction helps at all.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.emotion.ensemble import OperatingPoint, softmax

#: Minimum of persons and faces: with fewer, a gain cannot be told from chance.
LEAST_PERSONS, LEAST_FACES = 3, 15

#: Ridge penalties to try, in units of one face; the strongest hardly changes a score.
STRENGTHS = (3000.0, 1000.0, 300.0, 100.0, 30.0, 15.0)
#: Penalties below this / (number of faces) ** 1.5 are skipped: cross-validation would mistake chance for a gain.
_WEAKEST = 140000.0

#: Folds of the cross-validation over persons.
FOLDS = 5

#: Added to each class count when class weights are computed, so that a class with one face counts less than one with
#: twenty.
_PSEUDO_COUNT = 3.0
#: Maximum number of principal components of the features; more were not better on any tested set.
_COMPONENTS = 64
#: Temperature factors to try, and the strength of the prior that keeps them near 1, in units of one face.
_TEMPERATURES = np.exp(np.linspace(-1.0, 2.0, 61))
_TEMPERATURE_PRIOR = 10.0
#: Penalty of the bias relative to the weights.
_BIAS_SHRINKAGE = 0.1
_ITERATIONS = 60


class Correction(NamedTuple):
    """The correction of the logits.

    :param weights: (B, F, 8) float32: logits of branch b become logits + features[b] @ weights[b] + bias[b].
    :param bias: (B, 8) float32.
    :param temperature: divisor of the corrected logits.
    """

    weights: np.ndarray
    bias: np.ndarray
    temperature: float


class Adaptation(NamedTuple):
    """The result of cross-validation, and the correction if it helps.

    :param correction: Correction; None without a significant gain.
    :param strength: ridge penalty, of STRENGTHS; None without a correction.
    :param held_out: (N, B, 8) logits of each face by a fit without its person, for the best strength.
    :param temperature: divisor of `held_out`.
    :param gain: mean class-weighted improvement of the log score on held-out persons over the recalibrated network.
    :param gain_error: its standard error over persons.
    :param gain_required: number of standard errors that the gain must exceed.
    """

    correction: Correction | None
    strength: float | None
    held_out: np.ndarray
    temperature: float
    gain: float
    gain_error: float
    gain_required: float


def adapt(
    features: np.ndarray, logits: np.ndarray, labels: np.ndarray, persons: np.ndarray, point: OperatingPoint
) -> Adaptation:
    """Fit a correction, and keep it only if it improves held-out persons.

    It must improve the log score by more than two standard errors (more for few persons), and the accuracy.

    :param features: (N, B, F) float, input of the branches' last layers.
    :param logits: (N, B, 8) float.
    :param labels: (N,) int. Classes without a face keep their scores relative to the mean of the others.
    :param persons: (N,) str or int, identity of each face.
    :param point: OperatingPoint to adapt for equally frequent classes.
    :returns: Adaptation.
    :raises BadDataset: if there are too few faces, persons or classes.
    """
    labels, persons = np.asarray(labels), np.unique(persons, return_inverse=True)[1]
    _check(labels, persons)
    offsets = np.zeros(len(EMOTIONS)) if point.offsets is None else np.asarray(point.offsets, np.float64)
    if point.class_weights is not None:
        offsets = offsets + np.log(point.class_weights)
    logits = np.asarray(logits, np.float64)
    scaled = (logits / point.temperature + offsets).astype(np.float32).transpose(1, 0, 2)
    reduced, back, middle = _reduce(np.asarray(features, np.float32).transpose(1, 0, 2))

    strengths = [each for each in STRENGTHS if each * len(labels) ** 1.5 >= _WEAKEST]
    held_out = _cross_validate(reduced, scaled, labels, persons, strengths)
    gains, errors, more = _compare(held_out, labels, persons)
    bound = 2.0 * (1.0 + 2.0 / persons.max())
    helps = (gains > bound * errors) & more
    best = 1 + int(np.argmax(np.where(helps if helps.any() else True, gains, -np.inf)))

    # The temperature is calibrated on held-out persons.
    first, further = _fit_temperature(scaled, labels), _fit_temperature(held_out[best], labels)
    factor = first * further
    unscale = point.temperature * factor

    def as_logits(scores):
        """Invert the operating point."""
        return unscale * (scores / further - offsets)

    correction = None
    if helps.any():
        *_, (slopes, bias) = _path(reduced, (scaled / first).astype(np.float32), labels, strengths[:best])
        weights = back @ slopes
        bias = bias[:, 0] - np.einsum('bf,bfc->bc', middle, weights)
        moved = bias / further + offsets / factor - offsets
        weights, moved = weights * unscale / further, unscale * moved
        correction = Correction(weights.astype(np.float32), moved.astype(np.float32), float(unscale))
    return Adaptation(
        correction,
        strengths[best - 1] if helps.any() else None,
        as_logits(held_out[best]).transpose(1, 0, 2),
        float(unscale),
        float(gains[best - 1]),
        float(errors[best - 1]),
        float(bound),
    )


def _check(labels: np.ndarray, persons: np.ndarray) -> None:
    classes, count = len(np.unique(labels)), int(persons.max()) + 1 if len(persons) else 0
    if count < LEAST_PERSONS or len(labels) < LEAST_FACES or classes < 2:
        raise BadDataset(
            f'expected at least {LEAST_FACES} faces of {LEAST_PERSONS} persons and 2 classes, got {len(labels)} of '
            f'{count} and {classes}: too few to validate a correction'
        )


def _class_weights(labels: np.ndarray) -> np.ndarray:
    """Return (N,) weights of mean 1 that balance the classes."""
    weights = 1.0 / (np.bincount(labels, minlength=len(EMOTIONS))[labels] + _PSEUDO_COUNT)
    return (weights / weights.mean()).astype(np.float32)


def _log_scores(scaled: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return (N,) log scores of the labels under the mean of the branches."""
    return np.log(np.maximum(softmax(scaled).mean(0)[np.arange(len(labels)), labels], 1e-9))


def _fit_temperature(scaled: np.ndarray, labels: np.ndarray) -> float:
    """Fit a divisor of scaled logits that include the offsets; the best class stays the best."""
    weights = _class_weights(labels)
    costs = [
        _TEMPERATURE_PRIOR / 2 * np.log(each) ** 2 - (weights * _log_scores(scaled / each, labels)).sum()
        for each in _TEMPERATURES
    ]
    return _TEMPERATURES[int(np.argmin(costs))]


def _reduce(features: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Project features (B, N, F) on their principal components.

    :returns: (B, N, K); (B, F, K), which maps slopes in K to slopes in F; and the mean (B, F).
    """
    middle = features.mean(1, keepdims=True)
    centred = features - middle
    spread = np.maximum(centred.std(axis=(1, 2), keepdims=True), 1e-6)
    count = min(_COMPONENTS, features.shape[1] - 1, features.shape[2])
    axes = np.stack([np.linalg.svd(each, full_matrices=False)[2][:count].T for each in centred])
    return centred @ axes / spread, axes / spread, middle[:, 0]


def _cross_validate(
    reduced: np.ndarray, scaled: np.ndarray, labels: np.ndarray, persons: np.ndarray, strengths: Sequence[float]
) -> np.ndarray:
    """Return (1 + strengths, B, N, 8): each face recalibrated, then corrected by fits without its person."""
    fold_of = np.argsort(np.random.default_rng(0).permutation(persons.max() + 1)) % FOLDS
    folds = fold_of[persons]
    found = np.empty((1 + len(strengths), *scaled.shape), np.float32)
    for fold in np.unique(folds):
        learned, other = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        soft = (scaled / _fit_temperature(scaled[:, learned], labels[learned])).astype(np.float32)
        found[0][:, other] = soft[:, other]
        fits = _path(reduced[:, learned], soft[:, learned], labels[learned], strengths)
        for place, (slopes, bias) in enumerate(fits, 1):
            found[place][:, other] = soft[:, other] + reduced[:, other] @ slopes + bias
    return found


def _compare(
    held_out: np.ndarray, labels: np.ndarray, persons: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compare each strength with the recalibrated network.

    :returns: gain of the log score, its standard error over persons, and whether accuracy improves, plain or balanced,
        while neither decreases.
    """
    weights, count = _class_weights(labels), len(labels)
    logs = np.stack([_log_scores(each, labels) for each in held_out])
    right = np.stack([softmax(each).mean(0).argmax(1) == labels for each in held_out])
    gains = weights * (logs[1:] - logs[0])
    of_persons = np.stack([np.bincount(persons, each) for each in gains])
    errors = np.sqrt(of_persons.var(1) * of_persons.shape[1]) / count
    more = np.stack([right[1:].sum(1) - right[0].sum(), right[1:] @ weights - right[0] @ weights])
    return gains.mean(1), errors, np.asarray((more >= -1e-4).all(0) & (more > 1e-4).any(0))


def _path(
    features: np.ndarray, offsets: np.ndarray, labels: np.ndarray, strengths: Sequence[float]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Fit each branch for decreasing penalties, with warm starts.

    :param features: (B, N, K) float32.
    :param offsets: (B, N, 8) float32, the uncorrected logits.
    :returns: iterator of slopes (B, K, 8) and bias (B, 1, 8); 0 for classes without a face.

    Source: the curvature of a softmax is at most half of the identity (Boehning, Annals of the Institute of Statistical
    Mathematics 44(1), 1992): steps by that bound, accelerated (Nesterov 1983), need no line search.
    """
    present, weights = np.unique(labels), _class_weights(labels)
    weighted = features * np.sqrt(weights)[:, None]
    curvature, turn = np.linalg.eigh(weighted.transpose(0, 2, 1) @ weighted)
    features = features @ turn
    curvature = np.maximum(curvature, 0)[:, :, None]
    targets = np.eye(len(EMOTIONS), dtype=np.float32)[labels][:, present]
    offsets = offsets[:, :, present]
    slopes = np.zeros((len(features), features.shape[2], len(present)), np.float32)
    bias = np.zeros((len(features), 1, len(present)), np.float32)
    for strength in strengths:
        weak = _BIAS_SHRINKAGE * strength
        slopes_before, bias_before, pace = slopes, bias, 1.0
        for _ in range(_ITERATIONS):
            following = 0.5 * (1 + np.sqrt(1 + 4 * pace * pace))
            ahead, pace = (pace - 1) / following, following
            at = slopes + ahead * (slopes - slopes_before)
            at_bias = bias + ahead * (bias - bias_before)
            slopes_before, bias_before = slopes, bias
            wrong = weights[:, None] * (softmax(offsets + features @ at + at_bias) - targets)
            # Slopes and bias move together: twice the bound of half.
            slopes = at - (features.transpose(0, 2, 1) @ wrong + strength * at) / (curvature + strength)
            bias = at_bias - (wrong.sum(1, keepdims=True) + weak * at_bias) / (weights.sum() + weak)
            if np.abs(slopes - slopes_before).max() < 1e-3 * np.abs(slopes).max():
                break
        all_slopes = np.zeros((*slopes.shape[:2], len(EMOTIONS)), np.float32)
        all_bias = np.zeros((len(bias), 1, len(EMOTIONS)), np.float32)
        all_slopes[:, :, present], all_bias[:, :, present] = turn @ slopes, bias
        yield all_slopes, all_bias
