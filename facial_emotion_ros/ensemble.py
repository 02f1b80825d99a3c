"""What the branches say together: scores, valence, arousal and how far they concur."""

from dataclasses import dataclass

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadModel


@dataclass(frozen=True)
class EnsembleEstimates:
    """Estimates of N faces.

    :param scores: (N, 8) float32, mean of the branches' probabilities; rows sum to 1; in the order of EMOTIONS.
    :param valence: (N,) float32 in [-1, 1].
    :param arousal: (N,) float32 in [-1, 1].
    :param agreement: (N,) float32 in [0, 1]: see :func:`mean_overlap`.
    """

    scores: np.ndarray
    valence: np.ndarray
    arousal: np.ndarray
    agreement: np.ndarray

    def __len__(self):
        return len(self.scores)


def softmax(logits):
    """Turn logits into probabilities along the last axis.

    :param logits: (..., K) float.
    :returns: (..., K) float32 that sums to 1 along the last axis.
    """
    logits = np.asarray(logits, np.float64)
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)


def mean_overlap(probabilities):
    """Tell how far the branches concur: the share of probability that two of them have in common, mean of all pairs.

    1 where every branch says the same, be it sure or not; 0 where no two of them hold any class possible together.
    Two branches that are sure of different classes share nothing; how many branches there are does not matter.

    :param probabilities: (N, B, K) float, rows sum to 1.
    :returns: (N,) float32 in [0, 1]; 1 for a single branch.

    Source: Weitzman, "Measures of overlap of income distributions", 1970 (coefficient of overlap: the sum of the lesser
    of both probabilities, which is 1 less the total variation distance). That the branches' discord tells errors:
    Lakshminarayanan et al., NeurIPS 2017, section 3.5.
    """
    probabilities = np.asarray(probabilities, np.float64)
    branches = probabilities.shape[1]
    if branches < 2:
        return np.ones(len(probabilities), np.float32)
    # In falling order, the value of rank r is the lesser one beside each of the r values before it.
    falling = -np.sort(-probabilities, axis=1)
    overlap = (falling * np.arange(branches)[:, None]).sum(axis=(1, 2)) / (0.5 * branches * (branches - 1))
    return np.clip(overlap, 0.0, 1.0).astype(np.float32)


def branch_scores(logits, temperature=1.0, offsets=None):
    """Turn logits into the scores of each branch.

    :param logits: (N, B, 8) float.
    :param temperature: what logits are divided by, above 0: below 1 makes scores surer, above 1 less sure.
    :param offsets: (8,) float, added to the divided logits of each class; None for none.
    :returns: (N, B, 8) float32 that sums to 1 along the last axis.

    Source: Guo et al., ICML 2017 (temperature); Menon et al., ICLR 2021 (offsets from the classes' frequencies).
    """
    logits = np.asarray(logits, np.float64) / temperature
    return softmax(logits if offsets is None else logits + np.asarray(offsets, np.float64))


def combine(logits, affect, temperature=1.0, offsets=None):
    """Combine the branches.

    :param logits: (N, B, 8) float, one row for each branch.
    :param affect: (N, B, 2) float: valence and arousal of each branch, not bounded; their mean is clipped to [-1, 1].
    :param temperature: see :func:`branch_scores`; a bundle's manifest holds it as outputs.logits.temperature.
    :param offsets: see :func:`branch_scores`; a bundle's manifest holds them as outputs.logits.offsets.
    :returns: EnsembleEstimates of N faces; N = 0 gives empty arrays.
    :raises BadModel: if shapes do not fit, or a value is not finite (which would otherwise read as neutral).

    Source: Siqueira et al., AAAI 2020, section 3; mean of probabilities in place of their vote, as it keeps what the
    branches are unsure of.
    """
    logits, affect = np.asarray(logits), np.asarray(affect)
    if logits.ndim != 3 or logits.shape[2] != len(EMOTIONS) or affect.shape != logits.shape[:2] + (2,):
        raise BadModel(
            'logits (N, B, 8) and affect (N, B, 2) expected from the model, got %s and %s; export the bundle again'
            % (logits.shape, affect.shape)
        )
    if not (np.isfinite(logits).all() and np.isfinite(affect).all()):
        raise BadModel('finite outputs expected from the model, got NaN or infinity; check precision and provider')
    probabilities = branch_scores(logits, temperature, offsets)
    clipped = np.clip(affect.mean(axis=1), -1.0, 1.0).astype(np.float32)
    return EnsembleEstimates(probabilities.mean(axis=1), clipped[:, 0], clipped[:, 1], mean_overlap(probabilities))
