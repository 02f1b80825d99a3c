"""Combine an ensemble's branches into scores, valence, arousal and agreement."""

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Sequence

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel


class OperatingPoint(NamedTuple):
    """Calibration of the scores, and bounds of the quality gate.

    :param name: in the model bundle; '' for a bundle without named points.
    :param temperature: divides the logits, above 0; below 1 sharpens the scores.
    :param offsets: (8,) added to the divided logits; None for none.
    :param prior_exponent: the scores are divided by (training prior ** this): 0 leaves them as trained, 1 assumes
        equally frequent classes.
    :param class_weights: (8,) factors of the scores, from `prior_exponent` or the user's prior; None for none.
    :param prior: (8,) the user's prior; None for none.
    :param min_confidence: minimum score of the best class.
    :param min_agreement: minimum agreement of the branches.
    """

    name: str = ''
    temperature: float = 1.0
    offsets: Optional[Sequence[float]] = None
    prior_exponent: float = 0.0
    class_weights: Optional[Sequence[float]] = None
    prior: Optional[Sequence[float]] = None
    min_confidence: float = 0.45
    min_agreement: float = 0.73


#: Lower bound of scores before they are multiplied by class weights.
_LEAST = 1e-30

#: The plain softmax.
UNCALIBRATED = OperatingPoint()


@dataclass(frozen=True)
class EnsembleEstimates:
    """Estimates of N faces.

    :param scores: (N, 8) float32, mean of the branches' probabilities times the class weights; rows sum to 1; in the
        order of EMOTIONS.
    :param valence: (N,) float32 in [-1, 1].
    :param arousal: (N,) float32 in [-1, 1].
    :param agreement: (N,) float32 in [0, 1]: see :func:`mean_overlap`.
    """

    scores: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    agreement: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)


def softmax(logits: Any) -> np.ndarray:
    """Softmax along the last axis, in the precision of the logits."""
    logits = np.asarray(logits)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def mean_overlap(probabilities: Any) -> np.ndarray:
    """Agreement of the branches: overlap coefficient of two branches' distributions, averaged over all pairs.

    1 if all branches have the same distribution, confident or not; 0 if no two share a class. Comparable between
    ensembles of different size.

    :param probabilities: (N, B, K) float, rows sum to 1.
    :returns: (N,) float32 in [0, 1]; 1 for a single branch.

    Source: Weitzman, "Measures of overlap of income distributions", 1970 (sum of the smaller probabilities, 1 minus the
    total variation distance). Disagreement as a sign of errors: Lakshminarayanan et al., NeurIPS 2017, section 3.5.
    """
    probabilities = np.asarray(probabilities, np.float64)
    branches = probabilities.shape[1]
    if branches < 2:
        return np.ones(len(probabilities), np.float32)
    # In descending order, the value of rank r is the smaller one in its pairs with the r values before it.
    falling = -np.sort(-probabilities, axis=1)
    overlap = (falling * np.arange(branches)[:, None]).sum(axis=(1, 2)) / (0.5 * branches * (branches - 1))
    return np.clip(overlap, 0.0, 1.0).astype(np.float32)


def branch_scores(logits: Any, point: OperatingPoint = UNCALIBRATED) -> np.ndarray:
    """Scores of each branch, with temperature and offsets and without class weights.

    :param logits: (N, B, 8) float.
    :param point: the operating point.
    :returns: (N, B, 8) float32 that sums to 1 along the last axis.

    Source: Guo et al., ICML 2017 (temperature); Menon et al., ICLR 2021 (offsets from the classes' frequencies).
    """
    logits = np.asarray(logits, np.float64) / point.temperature
    if point.offsets is not None:
        logits = logits + np.asarray(point.offsets, np.float64)
    return softmax(logits).astype(np.float32)


def reweighted(scores: np.ndarray, point: OperatingPoint) -> np.ndarray:
    """Multiply scores by an operating point's class weights, and normalise them.

    :param scores: (..., 8) float that sum to 1 along the last axis.
    :param point: the operating point; without class weights the scores are returned unchanged.
    :returns: (..., 8) float32.

    Source: Saerens, Latinne and Decaestecker, "Adjusting the outputs of a classifier to new a priori probabilities",
    Neural Computation 14(1), 2002, equation 2.4.
    """
    if point.class_weights is None:
        return scores
    # All scores but one may be 0 in single precision; if the prior excludes that class, one must still be the best.
    weighted = np.maximum(np.asarray(scores, np.float64), _LEAST) * np.asarray(point.class_weights, np.float64)
    return (weighted / weighted.sum(axis=-1, keepdims=True)).astype(np.float32)


def combine(logits: Any, affect: Any, point: OperatingPoint = UNCALIBRATED) -> EnsembleEstimates:
    """Combine the branches of N faces.

    :param logits: (N, B, 8) float.
    :param affect: (N, B, 2) float: valence and arousal of each branch, unbounded; their mean is clipped to [-1, 1].
    :param point: its class weights act on the mean of the branches, and on each branch for the agreement.
    :raises BadModel: if shapes do not match, or a value is not finite (argmax of NaN would be neutral).

    Source: Siqueira et al., AAAI 2020, section 3; but with the mean of probabilities instead of a vote, to keep the
    branches' uncertainty.
    """
    logits, affect = np.asarray(logits), np.asarray(affect)
    if logits.ndim != 3 or logits.shape[2] != len(EMOTIONS) or affect.shape != logits.shape[:2] + (2,):
        raise BadModel(
            'expected logits (N, B, 8) and affect (N, B, 2) from the model, got %s and %s; export the bundle again'
            % (logits.shape, affect.shape)
        )
    if not (np.isfinite(logits).all() and np.isfinite(affect).all()):
        raise BadModel('expected finite outputs from the model, got NaN or infinity; check precision and provider')
    probabilities = branch_scores(logits, point)
    clipped = np.clip(affect.mean(axis=1), -1.0, 1.0).astype(np.float32)
    return EnsembleEstimates(
        reweighted(probabilities.mean(axis=1), point),
        clipped[:, 0],
        clipped[:, 1],
        mean_overlap(reweighted(probabilities, point)),
    )
