"""What the branches say together: scores, valence, arousal and how far they agree."""

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
    :param agreement: (N,) float32 in [0, 1]: share of the branches whose own first class is the ensemble's.
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


def combine(logits, affect):
    """Combine the branches.

    :param logits: (N, B, 8) float, one row for each branch.
    :param affect: (N, B, 2) float: valence and arousal of each branch, not bounded; their mean is clipped to [-1, 1].
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
    probabilities = softmax(logits)
    scores = probabilities.mean(axis=1)
    clipped = np.clip(affect.mean(axis=1), -1.0, 1.0).astype(np.float32)
    votes = probabilities.argmax(axis=2) == scores.argmax(axis=1)[:, None]
    return EnsembleEstimates(scores, clipped[:, 0], clipped[:, 1], votes.mean(axis=1).astype(np.float32))
