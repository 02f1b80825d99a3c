"""Make scores say how often they are right: one temperature, and one strength for rare classes, from held-out faces."""

from typing import NamedTuple

import numpy as np

from facial_emotion_ros import metrics
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.ensemble import branch_scores
from facial_emotion_ros.errors import BadDataset, BadParameter

#: Temperatures outside these ends mean that something else is wrong.
TEMPERATURES = (0.05, 20.0)

#: Strengths that are tried; 1 would give every class the same weight, whatever its frequency.
STRENGTHS = tuple(round(0.05 * step, 2) for step in range(21))

_LEAST_FACES = 100


class Calibration(NamedTuple):
    """What the robot does with logits before the softmax, and what that was worth on the held-out faces.

    :param temperature: what they are divided by.
    :param offsets: (8,) what is added then, or None.
    :param strength: how strongly offsets favour rare classes, 0 for not at all.
    :param n: number of held-out faces with a label.
    :param before: dict of accuracy, macro_recall, ece and nll without temperature and offsets.
    :param after: the same with them.
    """

    temperature: float
    offsets: list | None
    strength: float
    n: int
    before: dict
    after: dict


def pooled_scores(logits, temperature=1.0, offsets=None):
    """Mean of the branches' scores: (N, 8), as the robot computes it."""
    return branch_scores(logits, temperature, offsets).mean(axis=1)


def fit_temperature(logits, labels):
    """Find the temperature that makes the right classes most likely.

    What is minimised is the negative log-likelihood of the labels under the mean of the branches' scores, not the
    calibration error: that one jumps from bin to bin, and a constant score can make it 0.

    :param logits: (N, B, 8) float, of faces that the network was not trained on.
    :param labels: (N,) int.
    :returns: float within TEMPERATURES.
    :raises BadDataset: if there are fewer than a hundred faces.

    Source: Guo et al., ICML 2017, section 4.2, which has one network; here each branch's logits are divided.
    """
    if len(labels) < _LEAST_FACES:
        raise BadDataset(
            f'at least {_LEAST_FACES} held-out faces with a label expected to fit a temperature, got {len(labels)}'
        )

    def cost(logarithm):
        return metrics.negative_log_likelihood(pooled_scores(logits, np.exp(logarithm)), labels)

    grid = np.linspace(*np.log(TEMPERATURES), 25)
    best = int(np.argmin([cost(each) for each in grid]))
    return float(np.exp(_least(cost, grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)])))


def frequency_offsets(counts, strength):
    """Favour rare classes: add -strength x log(frequency) to each class's logits, less the commonest one's.

    :param counts: (8,) how often each class occurs in training, each at least 1.
    :param strength: 0 (as trained) to 1 (as if all classes were equally frequent).
    :returns: (8,) float64, 0 for the commonest class.
    :raises BadDataset: if a class does not occur.

    Source: Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, section 4.
    """
    counts = np.asarray(counts, np.float64)
    if counts.shape != (len(EMOTIONS),) or (counts < 1).any():
        raise BadDataset(
            f'every class expected at least once to weigh classes by frequency, got {counts.astype(int).tolist()}'
        )
    return strength * np.log(counts.max() / counts)


def choose_strength(logits, labels, counts, temperature, cost):
    """Find the greatest strength in favour of rare classes that costs no more accuracy than allowed.

    One number is chosen on all held-out faces; the direction comes from the frequencies alone. A free offset for each
    class would be fitted on a handful of rare faces, and fit those.

    :param logits: (N, B, 8) float, of held-out faces.
    :param labels: (N,) int.
    :param counts: (8,) how often each class occurs in training.
    :param temperature: what logits are divided by.
    :param cost: share of the held-out faces that may be lost, such as 0.005.
    :returns: float, one of STRENGTHS: all up to it keep to the bound.
    :raises BadParameter: if the cost is none.
    """
    if not 0 <= cost < 1:
        raise BadParameter(f'a cost in accuracy from 0 to below 1 expected, got {cost!r}')

    def right(strength):
        scores = pooled_scores(logits, temperature, frequency_offsets(counts, strength))
        return metrics.accuracy(labels, scores.argmax(1))

    least = right(0.0) - cost
    chosen = 0.0
    for strength in STRENGTHS:
        if right(strength) < least - 1e-9:
            break
        chosen = strength
    return chosen


def calibrate(logits, labels, counts=None, cost=None):
    """Fit a temperature, and where a cost is allowed offsets in favour of rare classes, and tell what both were worth.

    :param logits: (N, B, 8) float, of faces that the network was not trained on.
    :param labels: (N,) int.
    :param counts: (8,) how often each class occurs in training; needed with `cost`.
    :param cost: accuracy on these faces that offsets may cost; None for no offsets.
    :returns: Calibration.
    :raises BadDataset: if there are too few faces, or a class does not occur in training.
    :raises BadParameter: if the cost is none.
    """
    temperature, offsets, strength = fit_temperature(logits, labels), None, 0.0
    if cost is not None:
        strength = choose_strength(logits, labels, counts, temperature, cost)
    if strength:
        offsets = frequency_offsets(counts, strength)
        # Dividing both by one more number makes scores true again, and leaves every branch's choice as it is.
        further = fit_temperature(np.asarray(logits) / temperature + offsets, labels)
        temperature, offsets = temperature * further, [round(float(each), 4) for each in offsets / further]
    temperature = round(temperature, 4)
    before, after = _worth(logits, labels), _worth(logits, labels, temperature, offsets)
    return Calibration(temperature, offsets, strength, len(labels), before, after)


def _worth(logits, labels, temperature=1.0, offsets=None):
    scores = pooled_scores(logits, temperature, offsets)
    predictions = scores.argmax(1)
    return {
        'accuracy': metrics.accuracy(labels, predictions),
        'macro_recall': metrics.macro_recall(metrics.confusion(labels, predictions)),
        'ece': metrics.expected_calibration_error(scores.max(1), predictions == labels),
        'nll': metrics.negative_log_likelihood(scores, labels),
    }


def _least(cost, low, high, steps=40):
    """Find the place of the least cost between two ends, where there is one dip (golden section)."""
    ratio = (np.sqrt(5.0) - 1.0) / 2.0
    inner = [high - ratio * (high - low), low + ratio * (high - low)]
    costs = [cost(each) for each in inner]
    for _ in range(steps):
        if costs[0] <= costs[1]:
            high, inner = inner[1], [inner[1] - ratio * (inner[1] - low), inner[0]]
            costs = [cost(inner[0]), costs[0]]
        else:
            low, inner = inner[0], [inner[1], inner[0] + ratio * (high - inner[0])]
            costs = [costs[1], cost(inner[1])]
        if high - low < 1e-4:
            break
    return (low + high) / 2
