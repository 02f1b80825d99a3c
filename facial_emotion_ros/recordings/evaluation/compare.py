"""Whether one evaluation is better than another, and whether that is more than chance."""

import json
from collections.abc import Mapping
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


class Change(NamedTuple):
    """One figure before and now: change is now - before, low to high its interval of 95%, None where it has none;
    verdict: BETTER, WORSE or ALIKE.
    """

    figure: str
    before: float
    now: float
    low: float | None
    high: float | None
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

    Source: paired and unpaired block bootstrap, percentile interval of the difference (Efron and Tibshirani, 1993).
    """
    step_s = max([each['seconds'] for summary in (before, now) for each in summary['stretches'].values()], default=1.0)
    parts = [_parts(summary, step_s) for summary in (before, now)]
    if before['bag']['sha256'] == now['bag']['sha256']:
        places = sorted(set(parts[0]) | set(parts[1]))
        rows = [resampled_sums([each.get(place, SufficientStatistics()) for place in places]) for each in parts]
    else:
        rows = [resampled_sums(list(each.values()), seed) for seed, each in enumerate(parts)]
    wholes = [compared_figures(add(each.values()).values) for each in parts]
    drawn = [[compared_figures(row) for row in each] for each in rows]
    changes = []
    for name, more_is_better in COMPARED.items():
        old, new = (whole[name] for whole in wholes)
        if old is None or new is None:
            continue
        gaps = [np.nan if None in (a[name], b[name]) else b[name] - a[name] for a, b in zip(*drawn)]
        low, high = percentile_interval(gaps)
        if not (low > 0 or high < 0):
            verdict = ALIKE
        else:
            verdict = BETTER if (low > 0) == more_is_better else WORSE
        is_known = np.isfinite(low)
        changes.append(Change(name, old, new, low if is_known else None, high if is_known else None, verdict))
    return changes


def _parts(summary, step_s):
    """Give the sums of each stretch of step_s: {(camera, place): SufficientStatistics}; shorter ones are added up."""
    parts: dict[tuple[str, int], SufficientStatistics] = {}
    for camera, stretches in summary['stretches'].items():
        for place, sums in stretches['sums'].items():
            key = camera, int(int(place) * stretches['seconds'] / step_s)
            parts[key] = add([parts.get(key, SufficientStatistics()), SufficientStatistics(sums)])
    return parts
