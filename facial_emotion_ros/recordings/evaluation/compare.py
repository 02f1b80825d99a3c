"""Compare two evaluations, with confidence intervals and significance tests."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation.intervals import least_p, t_interval, t_test, welch_freedom
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    COMPARED,
    Estimate,
    SufficientStatistics,
    add,
    compared_figures,
    estimate,
)
from facial_emotion_ros.recordings.evaluation.summary import FORMAT

BETTER, WORSE, ALIKE = 'better', 'worse', 'no clear difference'


#: Significance level (family-wise error rate over all figures of a comparison).
_ALPHA = 0.05


class Change(NamedTuple):
    """One figure before and now.

    low, high: 95% interval of the change (now - before); effect_size: Cohen's d over stretches of time (d_z if paired);
    these are None if undefined, as when all stretches change equally. p: two-sided p-value after Holm's correction over
    all figures, or None. verdict: BETTER or WORSE if p is below 0.05, else ALIKE.
    """

    figure: str
    before: float
    now: float
    low: float | None
    high: float | None
    effect_size: float | None
    p: float | None
    verdict: str


def read_summary(path: str) -> dict[str, Any]:
    """Read a summary.json.

    :raises BadDataset: if the file cannot be read, or has another format.
    """
    try:
        with open(path, encoding='utf-8') as file:
            summary = json.load(file)
    except (OSError, ValueError) as error:
        raise BadDataset(f'expected the summary.json of an evaluation, but {path} cannot be read ({error})') from error
    if not isinstance(summary, dict) or summary.get('format') != FORMAT or not {'bag', 'stretches'} <= set(summary):
        came = summary.get('format') if isinstance(summary, dict) else type(summary).__name__
        raise BadDataset(
            f'expected the summary.json of an evaluation in format {FORMAT}, but {path} has format '
            f'{came!r}; evaluate that recording again'
        )
    return summary


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Compare two evaluations; for the same recording, paired by stretches of time.

    :param before, now: contents of summary.json.
    :returns: changes of the figures that both have.

    Source: Student's t test with jackknife standard errors, see :func:`.sufficient_statistics.estimate`; Welch's test
    (Biometrika, 1947) for different recordings; Holm, Scandinavian Journal of Statistics 1979.
    """
    step_s = max([each['seconds'] for summary in (before, now) for each in summary['stretches'].values()], default=1.0)
    parts = [_parts(summary, step_s) for summary in (before, now)]
    if before['bag']['sha256'] == now['bag']['sha256']:
        places = sorted(set(parts[0]) | set(parts[1]))
        found = estimate(*([each.get(place, SufficientStatistics()) for place in places] for each in parts))
        variances, counts = found.squared_errors * found.counts, [found.counts]
    else:
        pair = [estimate(list(each.values())) for each in parts]
        found = _difference(*pair)
        variances = np.mean([each.squared_errors * each.counts for each in pair], 0)
        counts = [each.counts for each in pair]
    wholes = [compared_figures(add(each.values()).values) for each in parts]
    errors = found.squared_errors, found.freedom
    scales = np.array([max(1.0, *(abs(whole[name] or 0.0) for whole in wholes)) for name in COMPARED])
    least = [least_p(*map(int, each)) for each in zip(*counts)]
    ends, p_values = t_interval(found.values, *errors, scales), t_test(found.values, *errors, least, scales)
    changes = []
    for name, low, high, change, variance, p in zip(COMPARED, *ends, found.values, variances, p_values):
        old, new = (whole[name] for whole in wholes)
        if old is None or new is None:
            continue
        known: tuple[float | None, float | None, float | None] = (None, None, None)
        if np.isfinite(low):
            known = float(low), float(high), float(change / math.sqrt(variance))
        changes.append(Change(name, old, new, *known, None if np.isnan(p) else float(p), ALIKE))
    return _corrected(changes)


def _difference(old, new):
    """Estimate changes between different recordings."""
    errors = np.stack([old.squared_errors, new.squared_errors])
    freedom = welch_freedom(errors, np.stack([old.freedom, new.freedom]))
    return Estimate(new.values - old.values, errors.sum(0), old.counts + new.counts, freedom)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple testing, keeping their order.

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    largest, found = 0.0, [0.0] * len(p_values)
    for rank, place in enumerate(np.argsort(p_values, kind='stable')):
        largest = max(largest, min((len(p_values) - rank) * p_values[place], 1.0))
        found[place] = float(largest)
    return found


def _corrected(changes):
    """Correct the p-values, and set the verdicts."""
    known = [each for each in changes if each.p is not None]
    found = {}
    for each, p in zip(known, holm([each.p for each in known])):
        better = (each.now > each.before) == COMPARED[each.figure]
        verdict = ALIKE if p >= _ALPHA else BETTER if better else WORSE
        found[each.figure] = each._replace(p=p, verdict=verdict)
    return [found.get(each.figure, each) for each in changes]


def _parts(summary, step_s):
    """Return the statistics by (camera, index of stretch), with stretches of step_s merged from shorter ones."""
    parts: dict[tuple[str, int], SufficientStatistics] = {}
    for camera, stretches in summary['stretches'].items():
        for place, sums in stretches['sums'].items():
            key = camera, int(int(place) * stretches['seconds'] / step_s)
            parts[key] = add([parts.get(key, SufficientStatistics()), SufficientStatistics(sums)])
    return parts
