"""What many recordings say together: sums add up, so pooled figures are as exact as a recording's own."""

import json

from facial_emotion_ros.bag_evaluation.totals import (
    add,
    compared_figures,
    figures,
    intervals,
    totals_of,
    truth_figures,
)

#: Of fleet.json; raised when a field changes its meaning.
FORMAT = 1


def fleet_summary(records, summaries, run):
    """Put together what fleet.json holds.

    :param records: list of records, as evaluate_task gives them, in the order of the recordings.
    :param summaries: {folder: list of (path of the summary in that folder, summary)}.
    :param run: dict: seconds, workers, ray, command and what else there is to say of the run.
    :returns: dict: bags (each record with its `results`: a dict of headline figures for each bundle), counts, overall
        (a list: for each bundle the figures of all recordings together, with intervals over recordings), and run.
    """
    bags, seen = [], {}
    for record in records:
        bag = dict(record, results=[], error=record['error'] or '')
        bags.append(bag)
        if bag['status'] == 'failed':
            continue  # an equal one may have gone well
        first = seen.setdefault(record['content_hash'], record['place'])
        if first != record['place']:
            bag.update(status='twin', twin_of=first)  # the same recording twice would count twice
        else:
            bag['results'] = [headline(path, summary) for path, summary in summaries[record['folder']]]
    kept = [summary for bag in bags if bag['results'] for _, summary in summaries[bag['folder']]]
    counts = {status: sum(bag['status'] == status for bag in bags) for status in ('done', 'skipped', 'twin', 'failed')}
    return {'format': FORMAT, 'counts': dict(counts, bags=len(bags)), 'overall': _overall(kept),
            'run': dict(run, **_speed(bags, run['seconds'])), 'bags': bags}


def headline(path, summary):
    """Pick the figures of a recording that a table of many has room for.

    :param path: of the summary in the recording's folder, with /.
    :param summary: dict, as summary.json holds it.
    :returns: dict; None where a figure is not known.
    """
    overall, truth, run = (summary.get(key) or {} for key in ('overall', 'truth', 'run'))
    folder = path.rpartition('/')[0]
    found = {key: overall.get(key) for key in ('frames', 'bad_frames', 'faces', 'coverage', 'unknown_share',
                                               'flips_per_minute', 'id_switches')}
    found.update({key: truth.get(key) for key in ('n', 'accuracy', 'macro_f1', 'macro_f1_all', 'macro_recall',
                                                 'kappa')})
    found.update({f'ccc_{side}': ((truth.get('affect') or {}).get(side) or {}).get('ccc')
                  for side in ('valence', 'arousal')})
    return dict(
        found, bundle=summary.get('bundle'), report=f'{folder}/report.html'.lstrip('/'), summary=path,
        recording_s=(summary.get('bag') or {}).get('seconds'), seconds=run.get('seconds'),
        times_real_time=run.get('times_real_time'), whole=summary.get('whole'),
        faults=list((summary.get('bag') or {}).get('faults') or ()),
        ms={step: each.get('p50') for step, each in (run.get('ms') or {}).items()})


def read_summaries(store, record, finished):
    """Read the summaries of one recording.

    :param store: LocalStore or UrlStore.
    :param record: of the recording.
    :param finished: name of the file that lists them.
    :returns: list of (path in its folder, dict).
    """
    folder = f'bags/{record["folder"]}'
    listed = json.loads(store.read(f'{folder}/{finished}'))['summaries']
    return [(path, json.loads(store.read(f'{folder}/{path}'))) for path in listed]


def _overall(summaries):
    """Pool the recordings, apart for each bundle."""
    by_bundle = {}
    for summary in summaries:
        bundle = summary.get('bundle') or {}
        by_bundle.setdefault(bundle.get('sha256'), (bundle, []))[1].append(totals_of(summary))
    pooled = [(bundle, parts, add(parts).values) for bundle, parts in by_bundle.values()]
    return [dict(bundle=bundle, bags=len(parts), figures=figures(values), truth=truth_figures(values),
                 compared=compared_figures(values), intervals=intervals(parts)) for bundle, parts, values in pooled]


def _speed(bags, seconds):
    """Tell what this run did in its time; what was there before does not count."""
    done = [bag for bag in bags if bag['status'] == 'done']
    recorded = sum(bag['results'][0]['recording_s'] or 0 for bag in done if bag['results'])
    per_s = {'bags_per_second': len(done) / seconds, 'recording_s_per_second': recorded / seconds} if seconds else {}
    return dict(per_s, recording_s=recorded)
