"""Pool metrics over many recordings from their sufficient statistics, and compose fleet.json."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.recordings.evaluation.raters import pooled_raters
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    SufficientStatistics,
    add,
    compared_figures,
    figures,
    intervals,
    totals_of,
    truth_figures,
)

#: Format of fleet.json; incremented when a field changes its meaning.
FORMAT = 1

_HEADLINE = ('frames', 'bad_frames', 'faces', 'coverage', 'unknown_share', 'flips_per_minute', 'id_switches')
_HEADLINE_OF_TRUTH = ('n', 'accuracy', 'macro_f1', 'macro_f1_all', 'macro_recall', 'kappa')


class Digest(NamedTuple):
    """Part of a summary that a batch keeps: figures for a table, sufficient statistics, and rater agreement."""

    headline: dict[str, Any]
    sums: SufficientStatistics
    raters: Mapping[str, Any] | None


def digest(path: str, summary: Mapping[str, Any]) -> Digest:
    """Extract from a summary what figures over many recordings need.

    :param path: path of the summary in the recording's folder, with /.
    :param summary: content of summary.json.
    """
    return Digest(headline(path, summary), totals_of(summary), summary.get('raters'))


def fleet_summary(records: Sequence[Mapping[str, Any]], run: Mapping[str, Any]) -> dict[str, Any]:
    """Compose the content of fleet.json; docs/columns.md explains its fields.

    :param records: from evaluate_task, in the order of the recordings.
    :param run: seconds, workers, ray, command and so on.
    :returns: bags (records with their `results`: headline figures per bundle), counts, overall (per bundle, figures
        pooled over all recordings, with intervals over recordings, or participants in a study), and run.
    """
    bags: list[dict[str, Any]] = []
    kept: list[tuple[Any, Digest]] = []
    seen: dict[str, dict[str, Any]] = {}
    for record in records:
        bag = dict(record, results=[], error=record['error'] or '')
        digests = bag.pop('digests')
        bags.append(bag)
        if bag['status'] == 'failed':
            continue  # a copy may have succeeded
        first = seen.setdefault(record['content_hash'], bag)
        if first is not bag:
            bag.update(status='twin', twin_of=first['place'])  # a copy must not count twice
        else:
            bag['results'] = [each.headline for each in digests]
            unit = (bag.get('study') or {}).get('participant') or len(bags)
            kept += [(unit, each) for each in digests]
    counts = {status: sum(bag['status'] == status for bag in bags) for status in ('done', 'skipped', 'twin', 'failed')}
    return {
        'format': FORMAT,
        'counts': dict(counts, bags=len(bags)),
        'overall': _overall(kept),
        'run': dict(run, **_speed(bags, run['seconds'])),
        'bags': bags,
    }


def headline(path: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Extract the figures of a recording for a table of many.

    :param path: path of the summary in the recording's folder, with /.
    :param summary: content of summary.json.
    :returns: figures; None where unknown.
    """
    overall, truth, run = (summary.get(key) or {} for key in ('overall', 'truth', 'run'))
    affect = truth.get('affect') or {}
    folder = path.rpartition('/')[0]
    return dict(
        {key: overall.get(key) for key in _HEADLINE},
        **{key: truth.get(key) for key in _HEADLINE_OF_TRUTH},
        **{f'ccc_{side}': (affect.get(side) or {}).get('ccc') for side in ('valence', 'arousal')},
        bundle=summary.get('bundle'),
        report=f'{folder}/report.html'.lstrip('/'),
        summary=path,
        recording_s=(summary.get('bag') or {}).get('seconds'),
        seconds=run.get('seconds'),
        times_real_time=run.get('times_real_time'),
        whole=summary.get('whole'),
        lacks=list(run.get('lacks') or ()),
        faults=list((summary.get('bag') or {}).get('faults') or ()),
        ms={step: each.get('p50') for step, each in (run.get('ms') or {}).items()},
    )


def _overall(kept):
    """Pool the recordings of each bundle and operating point; intervals are over participants or recordings."""
    by_bundle: dict[Any, list[tuple[Any, Digest]]] = {}
    for unit, each in kept:
        bundle = each.headline['bundle'] or {}
        by_bundle.setdefault((bundle.get('sha256'), bundle.get('operating_point')), []).append((unit, each))
    found = []
    for pairs in by_bundle.values():
        cases: dict[Any, list[SufficientStatistics]] = {}
        for unit, each in pairs:
            cases.setdefault(unit, []).append(each.sums)
        parts = [add(case) for case in cases.values()]
        values = add(parts).values
        found.append(
            dict(
                bundle=pairs[0][1].headline['bundle'] or {},
                bags=len(pairs),
                cases=len(parts),
                figures=figures(values),
                truth=truth_figures(values),
                compared=compared_figures(values),
                intervals=intervals(parts),
                raters=pooled_raters(
                    (each.raters for _, each in pairs),
                    sum(each.raters is None and each.headline['n'] is not None for _, each in pairs),
                ),
            )
        )
    return found


def _speed(bags, seconds):
    """Compute the throughput of this run, without results of earlier runs."""
    done = [bag for bag in bags if bag['status'] == 'done']
    recorded = sum(bag['results'][0]['recording_s'] or 0 for bag in done if bag['results'])
    per_s = {'bags_per_second': len(done) / seconds, 'recording_s_per_second': recorded / seconds} if seconds else {}
    return dict(per_s, recording_s=recorded)
