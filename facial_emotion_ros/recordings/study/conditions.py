"""Groups of a study: what participants show under each condition, and how the conditions differ.

The unit is the participant: several recordings of one under the same condition are averaged first, and participants,
not images or recordings, are resampled.
"""

import math
from collections.abc import Sequence
from itertools import combinations, product
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.evaluation.intervals import resample
from facial_emotion_ros.recordings.evaluation.compare import holm
from facial_emotion_ros.recordings.study.face_rows import MEASURES, SHARES

#: Permutations that a test draws where there are more; else it takes all, and p is exact. With so many, the smallest p
#: is 1 / (this + 1), so that Holm's correction leaves room for many looks.
_PERMUTATIONS = 9999

#: Permutations at once: all of those of thousands of participants would take a gigabyte.
_BLOCKS = [len(each) for each in np.array_split(np.arange(_PERMUTATIONS), 20)]

#: {condition: {participant: (K,) averages}}, in the order of their first mention.
Cells = dict[str, dict[str, np.ndarray]]


class ConditionRow(NamedTuple):
    """One measure under one condition: mean over participants, its 95% interval, standard deviation of participants.

    None where there are too few participants.
    """

    condition: str
    measure: str
    participants: int
    mean: float
    low: float | None
    high: float | None
    sd: float | None


class ComparisonRow(NamedTuple):
    """One measure under two conditions: difference is the condition's mean - the other's.

    design: 'within' the participants that have both, or 'between' those that have one of them; left_out: participants
    of either condition that do not count here; effect_size: Cohen's d, within participants d_z; p_holm: p after Holm's
    correction over all rows.
    """

    measure: str
    condition: str
    other: str
    design: str
    participants: int
    other_participants: int
    left_out: int
    difference: float
    low: float
    high: float
    effect_size: float | None
    p: float
    p_holm: float


def cells_of(averages: Sequence[tuple[str, str, np.ndarray]]) -> Cells:
    """Average the recordings of each participant under each condition.

    :param averages: (condition, participant, (K,) averages) of each recording; those with NaN are left out.
    """
    gathered: dict[str, dict[str, list[np.ndarray]]] = {}
    for condition, participant, values in averages:
        if np.isfinite(values).all():
            gathered.setdefault(condition, {}).setdefault(participant, []).append(values)
    return {condition: {name: np.mean(each, axis=0) for name, each in of.items()} for condition, of in gathered.items()}


def condition_rows(cells: Cells) -> list[ConditionRow]:
    """Average over the participants of each condition.

    :param cells: of averages of SHARES and MEASURES.

    Source: percentile bootstrap over participants (Efron and Tibshirani, 1993, chapter 13).
    """
    rows = []
    for condition, of in cells.items():
        matrix = np.stack(list(of.values()))
        low, high = interval_of_means(matrix)
        sd = matrix.std(0, ddof=1) if len(matrix) > 1 else np.full(matrix.shape[1], np.nan)
        rows += [
            ConditionRow(condition, measure, len(matrix), round(float(mean), 6), *map(number, each))
            for measure, mean, *each in zip((*SHARES, *MEASURES), matrix.mean(0), low, high, sd)
        ]
    return rows


def comparison_rows(cells: Cells) -> list[ComparisonRow]:
    """Compare each two conditions in each of MEASURES.

    Where two participants or more have both conditions, these are compared within participants; else those who have one
    of them are compared between participants, and those who have both are left out.

    :param cells: of averages of SHARES and MEASURES.
    :returns: nothing for two conditions with fewer than two participants each.

    Source: p-values by permutation (Phipson and Smyth, Statistical Applications in Genetics and Molecular Biology
    2010): of the signs within participants, of the conditions between them.
    """
    found: list[tuple[Any, ...]] = []
    for condition, other in combinations(cells, 2):
        one, two = cells[condition], cells[other]
        both = [name for name in one if name in two]
        design, pair = 'within', [np.stack([of[name] for name in both]) for of in (one, two)] if both else []
        if len(both) < 2:
            singles = [[of[name] for name in of if name not in both] for of in (one, two)]
            if min(map(len, singles)) < 2:
                continue
            design, pair = 'between', [np.stack(each) for each in singles]
        pair = [matrix[:, len(SHARES) :] for matrix in pair]
        used = len(both) if design == 'within' else sum(map(len, pair))
        head = design, *map(len, pair), len(set(one) | set(two)) - used
        compare = _within if design == 'within' else _between
        found += [(measure, condition, other, *head, *each) for measure, each in zip(MEASURES, compare(*pair))]
    return [ComparisonRow._make((*row, p)) for row, p in zip(found, holm([row[-1] for row in found]))]


def interval_of_means(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95% interval of each column's mean by resampling rows.

    :param matrix: (N, K) float64, NaN where a row has no value.
    :returns: low and high, (K,) float64; NaN for fewer than two values.
    """
    known = np.isfinite(matrix)
    if len(matrix) < 2:
        return np.full(matrix.shape[1], np.nan), np.full(matrix.shape[1], np.nan)
    counts = _counts(len(matrix))
    sums, weights = counts @ np.where(known, matrix, 0.0), counts @ known
    means = np.divide(sums, weights, out=np.full(sums.shape, np.nan), where=weights > 0)
    enough = known.sum(0) > 1
    means[:, ~enough] = 0.0
    low, high = np.nanpercentile(means, [2.5, 97.5], axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def number(value: float) -> float | None:
    """Round a figure for a table; None where it is not defined."""
    return round(float(value), 6) if np.isfinite(value) else None


def _counts(rows, seed=0):
    """Draw how often each row is in each resample: (RESAMPLES, rows)."""
    return np.stack([np.bincount(drawn, minlength=rows) for drawn in resample(rows, seed=seed)])


def _within(one, two):
    gaps = one - two
    drawn = _counts(len(gaps)) @ gaps / len(gaps)
    if 2 ** len(gaps) <= _PERMUTATIONS:
        shuffled = np.array(list(product((1.0, -1.0), repeat=len(gaps)))) @ gaps
    else:
        generator = np.random.default_rng(0)
        sums = (generator.choice((-1.0, 1.0), (rows, len(gaps))) @ gaps for rows in _BLOCKS)
        shuffled = np.concatenate([gaps.sum(0, keepdims=True), *sums])
    return _compared(gaps.mean(0), gaps.var(0, ddof=1), drawn, shuffled / len(gaps))


def _between(one, two):
    counts = len(one), len(two)
    drawn = [_counts(len(each), seed) @ each / len(each) for seed, each in enumerate((one, two))]
    whole = np.concatenate([one, two])

    def differences(is_one):
        return is_one @ whole / counts[0] - ~is_one @ whole / counts[1]

    if math.comb(len(whole), counts[0]) <= _PERMUTATIONS:
        chosen = combinations(range(len(whole)), counts[0])
        shuffled = differences(np.array([np.isin(range(len(whole)), each) for each in chosen]))
    else:
        generator, order = np.random.default_rng(0), np.arange(len(whole))
        drawn_orders = (generator.permuted(np.tile(order, (rows, 1)), axis=1) for rows in _BLOCKS)
        is_one = order[None] < counts[0]
        shuffled = np.concatenate([differences(is_one), *(differences(each < counts[0]) for each in drawn_orders)])
    pooled = sum((count - 1) * each.var(0, ddof=1) for count, each in zip(counts, (one, two))) / (sum(counts) - 2)
    return _compared(one.mean(0) - two.mean(0), pooled, drawn[0] - drawn[1], shuffled)


def _compared(differences, variances, drawn, shuffled):
    """Give (difference, low, high, effect size, p) of each measure; the first row of `shuffled` is as observed."""
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    effects = np.divide(differences, np.sqrt(variances), out=np.full(len(differences), np.nan), where=variances > 1e-18)
    # Sums of the same numbers in another order differ in their last digits.
    p = (np.abs(shuffled) >= np.abs(differences) - 1e-12).mean(0)
    return [(*map(number, each), float(last)) for *each, last in zip(differences, low, high, effects, p)]
