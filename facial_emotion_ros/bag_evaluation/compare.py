"""Whether one evaluation is better than another, and whether that is more than chance."""

import json
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.bag_evaluation.summary import FORMAT
from facial_emotion_ros.bag_evaluation.totals import COMPARED, LENGTH, RESAMPLES, Totals, add, compared_figures, draws
from facial_emotion_ros.errors import BadDataset

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


def read_summary(path):
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
        raise BadDataset(f'expected the summary.json of an evaluation, of format {FORMAT}, {path} is of format '
                         f'{came!r}; evaluate that recording again')
    return summary


def compare(before, now, resamples=RESAMPLES, seed=0):
    """Compare two evaluations.

    Of the same recording, the same stretches of time are drawn for both: what made one hard makes it hard for both.

    :param before, now: dicts as summary.json holds them.
    :returns: list of Change, of the figures that both have.

    Source: paired and unpaired block bootstrap, percentile interval of the difference (Efron and Tibshirani, 1993).
    """
    step_s = max([told['seconds'] for each in (before, now) for told in each['stretches'].values()], default=1.0)
    parts = [_parts(summary, step_s) for summary in (before, now)]
    same = before['bag']['sha256'] == now['bag']['sha256']
    if same:
        places = sorted(set(parts[0]) | set(parts[1]))
        rows = [draws([each.get(place, Totals()) for place in places], resamples, seed) for each in parts]
    else:
        rows = [draws(list(each.values()), resamples, seed + number) for number, each in enumerate(parts)]
    wholes = [compared_figures(add(each.values()).values if each else np.zeros(LENGTH)) for each in parts]
    drawn = [[compared_figures(row) for row in each] for each in rows]
    changes = []
    for name, more_is_better in COMPARED.items():
        if wholes[0][name] is None or wholes[1][name] is None:
            continue
        gaps = [one[name] - other[name] for other, one in zip(*drawn) if None not in (one[name], other[name])]
        low, high = np.percentile(gaps, [2.5, 97.5]) if len(gaps) >= resamples / 2 else (None, None)
        verdict = ALIKE
        if low is not None and (low > 0 or high < 0):
            verdict = BETTER if (low > 0) == more_is_better else WORSE
        changes.append(Change(name, wholes[0][name], wholes[1][name], *(None if end is None else float(end)
                                                                       for end in (low, high)), verdict))
    return changes


def _parts(summary, step_s):
    """Give the sums of each stretch of step_s: {(camera, place): Totals}; shorter ones are added up."""
    parts = {}
    for camera, told in summary['stretches'].items():
        for place, sums in told['sums'].items():
            key = camera, int(int(place) * told['seconds'] / step_s)
            parts[key] = add([parts.get(key, Totals()), Totals(sums)])
    return parts
