"""Statistics of a study: means per condition with 95% intervals, and tests between conditions.

The unit of analysis is the participant: recordings of a participant under the same condition are averaged first.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.evaluation.intervals import least_p, t_interval, t_test, welch_freedom
from facial_emotion_ros.recordings.evaluation.compare import holm
from facial_emotion_ros.recordings.study.face_rows import MEASURES, SHARES

#: {condition: {participant: (K,) averages}}, in the order of their first mention.
Cells = dict[str, dict[str, np.ndarray]]


class ConditionRow(NamedTuple):
    """One measure under one condition: mean over participants, its 95% interval (low, high), their standard deviation.

    None with too few participants; low and high also if all values are equal.
    """

    condition: str
    measure: str
    participants: int
    mean: float
    low: float | None
    high: float | None
    sd: float | None


class ComparisonRow(NamedTuple):
    """Comparison of one measure under two conditions; difference: the condition's mean minus the other's.

    design: 'within' participants that have both conditions, or 'between' participants that have one of them; left_out:
    participants of either condition not used; low, high: 95% interval of the difference; effect_size: Cohen's d, or d_z
    within participants; these three are None if values do not vary; p_holm: p after Holm's correction over all rows.
    """

    measure: str
    condition: str
    other: str
    design: str
    participants: int
    other_participants: int
    left_out: int
    difference: float
    low: float | None
    high: float | None
    effect_size: float | None
    p: float
    p_holm: float


def cells_of(averages: Sequence[tuple[str, str, np.ndarray]]) -> Cells:
    """Average the recordings of each participant under each condition.

    :param averages: (condition, participant, (K,) averages) per recording; those with NaN are skipped.
    """
    gathered: dict[str, dict[str, list[np.ndarray]]] = {}
    for condition, participant, values in averages:
        if np.isfinite(values).all():
            gathered.setdefault(condition, {}).setdefault(participant, []).append(values)
    return {condition: {name: np.mean(each, axis=0) for name, each in of.items()} for condition, of in gathered.items()}


def condition_rows(cells: Cells) -> list[ConditionRow]:
    """Average over the participants of each condition.

    :param cells: averages of SHARES and MEASURES.

    Source: Student's t interval of the mean (Biometrika, 1908).
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


def comparison_rows(cells: Cells, measures: Sequence[str] = MEASURES) -> list[ComparisonRow]:
    """Compare each pair of conditions.

    If at least half of the participants have both conditions, these are compared within participants. Otherwise those
    with only one of them are compared between participants, and those with both are left out. If only one of the two
    designs has two participants for each condition, it is used.

    :param cells: averages of SHARES and MEASURES.
    :param measures: subset of SHARES and MEASURES; p_holm corrects for all of them.
    :returns: rows; none for two conditions with fewer than two participants each.

    Source: within participants Student's t test of the differences; between participants Welch's test (Biometrika,
    1947); for values that do not vary the exact permutation test, see :func:`.least_p`.
    """
    places = [(*SHARES, *MEASURES).index(each) for each in measures]
    found: list[tuple[Any, ...]] = []
    for condition, other in combinations(cells, 2):
        one, two = cells[condition], cells[other]
        both = [name for name in one if name in two]
        pairs = [[of[name] for name in both] for of in (one, two)]
        singles = [[of[name] for name in of if name not in both] for of in (one, two)]
        has_singles = min(map(len, singles)) > 1
        is_within = len(both) > 1 and (2 * len(both) >= len(one.keys() | two) or not has_singles)
        if not is_within and not has_singles:
            continue
        design, compare, chosen = ('within', _within, pairs) if is_within else ('between', _between, singles)
        pair = [np.stack(each)[:, places] for each in chosen]
        used = len(both) if is_within else sum(map(len, pair))
        head = design, *map(len, pair), len(one.keys() | two) - used
        found += [(measure, condition, other, *head, *each) for measure, each in zip(measures, compare(*pair))]
    return [ComparisonRow._make((*row, p)) for row, p in zip(found, holm([row[-1] for row in found]))]


def interval_of_means(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the 95% t interval of each column's mean, ignoring NaN.

    :param matrix: (N, K) float64.
    :returns: low and high, (K,) float64; NaN for fewer than two values or if all are equal.
    """
    known = np.isfinite(matrix)
    count = known.sum(0)
    means = np.where(known, matrix, 0.0).sum(0) / np.maximum(count, 1)
    variances = np.square(np.where(known, matrix - means, 0.0)).sum(0) / np.maximum(count - 1, 1)
    return t_interval(means, variances / np.maximum(count, 1), count - 1.0)


def condition_word(condition: str, others: Iterable[str]) -> str:
    """Return the condition's name for display: an empty one is 'no condition' beside others, 'all' alone."""
    return condition or ('no condition' if any(others) else 'all')


def number(value: float) -> float | None:
    """Round a figure for a table; None if it is not finite."""
    return round(float(value), 6) if np.isfinite(value) else None


def _within(one, two):
    gaps = one - two
    count, variances = len(gaps), gaps.var(0, ddof=1)
    return _compared(gaps.mean(0), variances / count, np.full(len(variances), count - 1.0), least_p(count), variances)


def _between(one, two):
    counts = np.array([[len(one)], [len(two)]])
    variances = np.stack([one.var(0, ddof=1), two.var(0, ddof=1)])
    pooled = ((counts - 1) * variances).sum(0) / (counts.sum() - 2)
    errors = variances / counts
    least = least_p(len(one), len(two))
    return _compared(one.mean(0) - two.mean(0), errors.sum(0), welch_freedom(errors, counts - 1), least, pooled)


def _compared(differences, squared_errors, freedom, least, variances):
    """Return (difference, low, high, effect size, p) of each measure; effect sizes are scaled by `variances`."""
    ends = t_interval(differences, squared_errors, freedom)
    known = np.isfinite(ends[0])
    effects = np.divide(differences, np.sqrt(variances), out=np.full(len(differences), np.nan), where=known)
    p = t_test(differences, squared_errors, freedom, least)
    return [(*map(number, each), float(last)) for *each, last in zip(differences, *ends, effects, p)]
