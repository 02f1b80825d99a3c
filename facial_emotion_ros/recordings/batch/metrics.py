"""Figures over many recordings: sums add up, so pooled figures are as exact as those of one recording."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.batch.task import FINISHED, Record
from facial_emotion_ros.recordings.evaluation.raters import pooled_raters
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    add,
    compared_figures,
    figures,
    intervals,
    totals_of,
    truth_figures,
)

#: Of fleet.json; raised when a field changes its meaning.
FORMAT = 1

_HEADLINE = ('frames', 'bad_frames', 'faces', 'coverage', 'unknown_share', 'flips_per_minute', 'id_switches')
_HEADLINE_OF_TRUTH = ('n', 'accuracy', 'macro_f1', 'macro_f1_all', 'macro_recall', 'kappa')


def fleet_summary(
    records: Sequence[Record], summaries: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]], run: Mapping[str, Any]
) -> dict[str, Any]:
    """Make the content of fleet.json; docs/columns.md explains each field.

    :param records: of evaluate_task, in the order of the recordings.
    :param summaries: {folder: (path of each summary in that folder, summary)}.
    :param run: seconds, workers, ray, command and so on.
    :returns: bags (each record with its `results`: headline figures for each bundle), counts, overall (for each bundle
        the figures of all recordings together, with intervals over recordings), and run.
    """
    bags: list[dict[str, Any]] = []
    seen: dict[str, str] = {}
    for record in records:
        bag = dict(record, results=[], error=record['error'] or '')
        bags.append(bag)
        if bag['status'] == 'failed':
            continue  # a copy may have succeeded
        first = seen.setdefault(record['content_hash'], record['place'])
        if first != record['place']:
            bag.update(status='twin', twin_of=first)  # the same recording twice would count twice
        else:
            bag['results'] = [headline(path, summary) for path, summary in summaries[record['folder']]]
    kept = [summary for bag in bags if bag['results'] for _, summary in summaries[bag['folder']]]
    counts = {status: sum(bag['status'] == status for bag in bags) for status in ('done', 'skipped', 'twin', 'failed')}
    return {
        'format': FORMAT,
        'counts': dict(counts, bags=len(bags)),
        'overall': _overall(kept),
        'run': dict(run, **_speed(bags, run['seconds'])),
        'bags': bags,
    }


def headline(path: str, summary: Mapping[str, Any]) -> dict[str, Any]:
    """Pick the figures of a recording for a table of many.

    :param path: of the summary in the recording's folder, with /.
    :param summary: content of summary.json.
    :returns: None where a figure is not known.
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


def read_summaries(store: Store, record: Record) -> list[tuple[str, dict[str, Any]]]:
    """Read the summaries of one recording.

    :param store: of the results.
    :param record: of the recording.
    :returns: (path in its folder, content) of each.
    """
    folder = f'bags/{record["folder"]}'
    listed = json.loads(store.read(f'{folder}/{FINISHED}') or '')['summaries']
    return [(path, json.loads(store.read(f'{folder}/{path}') or '')) for path in listed]


def _overall(summaries):
    """Pool the recordings of each bundle and operating point."""
    by_bundle: dict[Any, Any] = {}
    for summary in summaries:
        bundle = summary.get('bundle') or {}
        key = bundle.get('sha256'), bundle.get('operating_point')
        _, parts, raters = by_bundle.setdefault(key, (bundle, [], []))
        parts.append(totals_of(summary))
        raters.append(summary.get('raters'))
    pooled = [(bundle, parts, add(parts).values, raters) for bundle, parts, raters in by_bundle.values()]
    return [
        dict(
            bundle=bundle,
            bags=len(parts),
            figures=figures(values),
            truth=truth_figures(values),
            compared=compared_figures(values),
            intervals=intervals(parts),
            raters=pooled_raters(raters),
        )
        for bundle, parts, values, raters in pooled
    ]


def _speed(bags, seconds):
    """Compute the throughput of this run; results that were there before do not count."""
    done = [bag for bag in bags if bag['status'] == 'done']
    recorded = sum(bag['results'][0]['recording_s'] or 0 for bag in done if bag['results'])
    per_s = {'bags_per_second': len(done) / seconds, 'recording_s_per_second': recorded / seconds} if seconds else {}
    return dict(per_s, recording_s=recorded)
