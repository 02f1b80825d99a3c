"""Whether one evaluation is better than another, and whether that is more than chance."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation.intervals import percentile_interval
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    COMPARED,
    SufficientStatistics,
    add,
    compared_figures,
    resampled_sums,
)
from facial_emotion_ros.recordings.evaluation.summary import FORMAT

BETTER, WORSE, ALIKE = 'better', 'worse', 'no clear difference'


#: Share of false alarms, over all figures of one comparison, when nothing has changed.
_ALPHA = 0.05


class Change(NamedTuple):
    """One figure before and now.

    change is now - before, low to high its 95% interval, effect_size the change in standard deviations of the stretches
    (Cohen's d; d_z where the stretches are paired), p its two-sided p-value after Holm's correction over all figures of
    the comparison. None where there is none. verdict: BETTER, WORSE or ALIKE, the latter unless p is below 0.05.
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

    :param path: of the file.
    :returns: dict.
    :raises BadDataset: if it is none, or of another format.
    """
    try:
        with open(path, encoding='utf-8') as file:
            summary = json.load(file)
    except (OSError, ValueError) as error:
        raise BadDataset(f'expected the summary.json of an evaluation, {path} cannot be read ({error})') from error
    if not isinstance(summary, dict) or summary.get('format') != FORMAT or not {'bag', 'stretches'} <= set(summary):
        came = summary.get('format') if isinstance(summary, dict) else type(summary).__name__
        raise BadDataset(
            f'expected the summary.json of an evaluation, of format {FORMAT}, {path} is of format '
            f'{came!r}; evaluate that recording again'
        )
    return summary


def compare(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[Change]:
    """Compare two evaluations.

    Of the same recording, the same stretches of time are drawn for both: what made one hard makes it hard for both.

    :param before, now: as summary.json holds them.
    :returns: a change of each figure that both have.

    Source: paired and unpaired block bootstrap, percentile interval of the difference (Efron and Tibshirani, 1993);
    p-values that are never 0 (Davison and Hinkley, 1997, equation 4.11); Holm, Scandinavian Journal of Statistics 1979.
    """
    step_s = max([each['seconds'] for summary in (before, now) for each in summary['stretches'].values()], default=1.0)
    parts = [_parts(summary, step_s) for summary in (before, now)]
    paired = before['bag']['sha256'] == now['bag']['sha256']
    if paired:
        places = sorted(set(parts[0]) | set(parts[1]))
        stretches = [[each.get(place, SufficientStatistics()) for place in places] for each in parts]
        rows = [resampled_sums(each) for each in stretches]
    else:
        stretches = [list(each.values()) for each in parts]
        rows = [resampled_sums(each, seed) for seed, each in enumerate(stretches)]
    wholes = [compared_figures(add(each.values()).values) for each in parts]
    drawn = [[compared_figures(row) for row in each] for each in rows]
    changes = []
    for name in COMPARED:
        old, new = (whole[name] for whole in wholes)
        if old is None or new is None:
            continue
        samples = np.array([[np.nan if each[name] is None else each[name] for each in side] for side in drawn])
        gaps = samples[1] - samples[0]
        low, high = percentile_interval(gaps)
        if not np.isfinite(low):
            changes.append(Change(name, old, new, None, None, None, None, ALIKE))
            continue
        counts = [len(each) for each in stretches]
        effect = _effect_size(new - old, gaps[None] if paired else samples, counts)
        gaps = gaps[np.isfinite(gaps)]
        beyond = min((gaps <= 0).sum(), (gaps >= 0).sum())
        p = min(float(2 * (1 + beyond) / (1 + len(gaps))), 1.0)
        changes.append(Change(name, old, new, low, high, effect, p, ALIKE))
    return _corrected(changes)


def _effect_size(change, samples, counts):
    """Return a change in standard deviations of the stretches, which resampling shrinks by the root of their number."""
    variances = [np.nanvar(each) * count for each, count in zip(samples, counts)]
    deviation = float(np.sqrt(np.mean(variances)))
    return change / deviation if deviation > 1e-12 else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number.

    :param p_values: of all looks at the same recordings.
    :returns: corrected ones, in the same order.

    Source: Holm, Scandinavian Journal of Statistics 1979.
    """
    largest, found = 0.0, [0.0] * len(p_values)
    for rank, place in enumerate(np.argsort(p_values, kind='stable')):
        largest = max(largest, min((len(p_values) - rank) * p_values[place], 1.0))
        found[place] = float(largest)
    return found


def _corrected(changes):
    """Correct the p-values for their number, and give the verdicts."""
    known = [each for each in changes if each.p is not None]
    found = {}
    for each, p in zip(known, holm([each.p for each in known])):
        better = (each.now > each.before) == COMPARED[each.figure]
        verdict = ALIKE if p >= _ALPHA else BETTER if better else WORSE
        found[each.figure] = each._replace(p=p, verdict=verdict)
    return [found.get(each.figure, each) for each in changes]


def _parts(summary, step_s):
    """Give the sums of each stretch of step_s: {(camera, place): SufficientStatistics}; shorter ones are added up."""
    parts: dict[tuple[str, int], SufficientStatistics] = {}
    for camera, stretches in summary['stretches'].items():
        for place, sums in stretches['sums'].items():
            key = camera, int(int(place) * stretches['seconds'] / step_s)
            parts[key] = add([parts.get(key, SufficientStatistics()), SufficientStatistics(sums)])
    return parts
