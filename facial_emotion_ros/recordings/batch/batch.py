"""Evaluate many recordings, each independently of failures of the others, and aggregate the results."""

import functools
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.text import show
from facial_emotion_ros.evaluation.page import PLOTLY_FILE, plotly_script
from facial_emotion_ros.evaluation.provenance import made_at
from facial_emotion_ros.recordings.batch.around_events import Around
from facial_emotion_ros.recordings.batch.finished import FinishedResults
from facial_emotion_ros.recordings.batch.fleet_files import FLEET, INDEX, FleetFiles, tables_of
from facial_emotion_ros.recordings.batch.frames import gather_frames
from facial_emotion_ros.recordings.batch.in_threads import Stage, in_threads, silent
from facial_emotion_ros.recordings.batch.local_runner import run_locally
from facial_emotion_ros.recordings.batch.metrics import fleet_summary
from facial_emotion_ros.recordings.batch.ray_runner import run_on_ray
from facial_emotion_ros.recordings.batch.recording_discovery import (
    find_bags,
    is_recording,
    is_url,
    local_path,
    state_of,
    titles_of,
)
from facial_emotion_ros.recordings.batch.result_store import open_store
from facial_emotion_ros.recordings.batch.task import Evaluate, FleetTask, Record, failed_record, key_of, known_record
from facial_emotion_ros.recordings.batch.truths import options_of_each, refuse_mistyped, refused_copies
from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.results_folder import disk_errors
from facial_emotion_ros.recordings.evaluation.summary_text import rater_lines
from facial_emotion_ros.recordings.people.merges import EDITED, MERGES, not_followed_text, read_merges
from facial_emotion_ros.recordings.people.people import faces_of_participant, gather_people
from facial_emotion_ros.recordings.report.batch_report import fleet_html
from facial_emotion_ros.recordings.report.formatting import many
from facial_emotion_ros.recordings.report.people_panel import people_panel
from facial_emotion_ros.recordings.study.manifest import Study
from facial_emotion_ros.recordings.study.results import Result, results_of
from facial_emotion_ros.recordings.study.study import write_study

#: Reports of recordings are two folders deep and share one copy of plotly.
_EVALUATE = functools.partial(evaluate_bag, of_many=True)


def evaluate_fleet(
    bags: Sequence[str],
    output: str,
    options: Options,
    workers: int = 1,
    ray_address: str | None = None,
    evaluate: Evaluate = _EVALUATE,
    progress: Callable[[int, int, Record], None] | None = None,
    command: str = '',
    force: bool = False,
    study: Study | None = None,
    verify: bool = False,
    participants_only: bool = False,
    stage: Stage = silent,
    measures: Sequence[str] = (),
) -> dict[str, Any]:
    """Evaluate recordings, and aggregate the results.

    Each recording has a folder in output/bags, named by its name and content hash. Complete results with the same
    options and models are reused, so the same call resumes an interrupted run. Further outputs: frames/ (Parquet),
    plotly.min.js, index.html and, last, fleet.json.

    :param bags: paths or URLs of recordings, or of folders that hold some; () for those of the study.
    :param output: path or URL of a folder; with Ray on several machines, one that all of them can access.
    :param options: options of the evaluation; `truth` may be a folder of CSV files, see :func:`options_of_each`.
    :param workers: number of processes on this machine.
    :param ray_address: Ray cluster to use instead; see :func:`ray_runner.run_on_ray`.
    :param evaluate: function like :func:`evaluate_bag` that every process can import.
    :param progress: called with (recordings done, all recordings, record of the one just finished).
    :param command: command line, stored in fleet.json.
    :param force: overwrite an index.html, fleet.json or tables that no batch wrote.
    :param study: manifest of the recordings; its columns are added to every table, and the tables of
        :func:`.study.write_study` are written too.
    :param verify: read each recording again, even if size, modification time, first and last block of its files are
        unchanged; and each file of frames/ at a URL.
    :param participants_only: restrict the tables of study and events to the participants' own faces; needs a study and
        options.people.
    :param stage: progress display before and after the evaluation; see :data:`.in_threads.Stage`.
    :param measures: measures to compare conditions in; see :func:`.study.write_study`.
    :returns: content of fleet.json; a failed recording has the status 'failed' and an error.
    :raises FacialEmotionError: if there is nothing to evaluate, a bundle is missing, ground truth cannot be read, the
        output is in use by another run, is a recording, or holds foreign files that would be replaced, the cluster
        cannot be reached, or files cannot be written; complete results are kept.
    :raises KeyboardInterrupt: after all processes have ended; complete results are kept.
    """
    if workers < 1:
        raise BadParameter(f'expected at least 1 worker, got {workers}')
    if participants_only and not (study and options.people):
        raise BadParameter("--participants-only needs --study and --people to identify participants' faces")
    refuse_mistyped(options)
    _refuse_recording(output)
    places = find_bags(bags, without=output) if bags or study is None else study.places
    words = study.of(places) if study else []
    _refuse_recording(output, places)
    around = Around(options, places)
    # Events of a file, window and baseline can change without evaluating recordings again.
    options = replace(options, events=around.topic, event_window=(), baseline=())
    chosen = options_of_each(options, places)
    key, keys = key_of(options), {each: key_of(each) for each in set(chosen)}
    store, titles = open_store(output), [str(each['path']) for each in words] or titles_of(places)
    records: dict[int, Record] = {}

    def take(number, record):
        records[number] = dict(record, title=titles[number], **({'study': words[number]} if words else {}))
        if progress is not None:
            progress(len(records), len(places), records[number])

    began_s = time.perf_counter()
    with store.locked():
        truths = {text for each in set(chosen) for text in each.truths()}
        files = _own_files(store, output, study, around.options, truths, force)
        states = in_threads(stage, 'recordings', state_of, places)
        tasks = [
            FleetTask(place, output, each, keys[each], evaluate, fingerprint)
            for place, each, (_, fingerprint) in zip(places, chosen, states)
        ]
        known = [None] * len(tasks) if verify else _known(store, tasks, stage)
        _evaluate_rest(tasks, [size_bytes for size_bytes, _ in states], known, workers, ray_address, take, stage)
        run = {
            'command': command,
            'made': made_at(),
            'seconds': time.perf_counter() - began_s,
            'workers': None if ray_address else workers,
            'ray': ray_address or None,
            'key': key,
            'options': json.loads(options.text()),
            'study': study.path if study else None,
            'study_notes': study.look_alikes() if study else [],
            'participants_only': participants_only,
            'measures': list(measures),
            'events': around.options.events or None,
            'people': None,
        }
        fleet = fleet_summary([records.pop(number) for number in range(len(tasks))], run)
        made_of = {bag['folder']: each.key for bag, each in zip(fleet['bags'], tasks) if bag['results']}
        with disk_errors('the aggregated results', output, 'the results of each recording are kept'):
            files.begin()
            return _gather(store, files, fleet, made_of, study, around, stage, verify)


def _own_files(store, output, study, options, truths, force):
    """Return the files of earlier runs; raise if foreign files would be replaced or merges.csv cannot be read."""
    files = FleetFiles(store, tables_of(bool(study), bool(options.events), options.people))
    files.refuse_inputs(output, {options.events, *truths} | ({study.path} if study else set()))
    if not force:
        files.refuse_foreign(output)
    if options.people:
        read_merges(store.read(MERGES))  # raise its errors before the evaluation
    return files


def _refuse_recording(output, places=()):
    """Refuse to write into a recording's folder."""
    folder = '' if is_url(output) else os.path.realpath(local_path(output))
    local = [os.path.realpath(local_path(place)) for place in places if not is_url(place)]
    if folder and (is_recording(folder) or any(f'{folder}/'.startswith(f'{place}/') for place in local)):
        raise BadParameter(f'expected an --output outside the recordings, got {output}, which is or is in a recording')


def _known(store, tasks, stage):
    """Find each recording's complete results; None for a recording that has to be read."""
    finished = FinishedResults(store, stage)

    def find(task):
        return finished.find(task.place, task.fingerprint, task.key)

    return in_threads(stage, 'recordings looked up', find, tasks)


def _evaluate_rest(tasks, sizes_bytes, known, workers, ray_address, take, stage):
    """Take the known results, and evaluate the other recordings except refused copies, the largest first."""
    refused = refused_copies(tasks, sizes_bytes, known, stage)
    for number, found in enumerate(known):
        if number in refused:
            take(number, dict(failed_record(tasks[number], refused[number]), attempts=0))
        elif found:
            take(number, known_record(tasks[number], found))
    left = [number for number, found in enumerate(known) if not found and number not in refused]
    left.sort(key=lambda number: -sizes_bytes[number])  # large ones last would leave workers idle
    if not left:
        return
    tasks_left = [tasks[number] for number in left]
    if ray_address:
        run_on_ray(tasks_left, ray_address, lambda place, record: take(left[place], record))
    else:
        run_locally(tasks_left, workers, lambda place, record: take(left[place], record))


def _gather(store, files, fleet, keys, study, around, stage, verify):
    results = results_of(store, fleet['bags'])
    gathered = gather_frames(store, results, keys, study, stage, verify)
    fleet['run']['frame_parts'], fleet['run']['frames_lost'] = gathered or (None, None)
    people, tables, faces_of = None, around.tables, Result.faces
    if fleet['run']['options']['people']:
        found, is_edited = gather_people(store, results, study.types if study else {})
        people = people_panel(found, store)
        fleet['run']['people'] = {
            name: people[name] for name in ('persons', 'to_confirm', 'not_followed', 'look_alikes')
        }
        fleet['run']['people']['edited'] = is_edited
        tables = *tables, 'people.csv', MERGES
        if fleet['run']['participants_only']:
            faces_of = functools.partial(faces_of_participant, found.persons)
    groups = []
    if study:
        groups = write_study(store, study, results, faces_of, tables, stage, fleet['run']['measures'])
    script = plotly_script().encode()
    if fleet['overall'] and store.read(PLOTLY_FILE) != script:  # without `overall` there are no charts
        store.write(PLOTLY_FILE, script)
    events = around.write(store, results, study, faces_of, stage)
    fleet['run']['events_left_out'] = events['left_out'] if events else ''
    store.write(INDEX, fleet_html(fleet, groups, events, people).encode('utf-8'))
    fleet['run']['files'] = files.remove_former()
    store.write(FLEET, _fleet_json(fleet))
    files.end()
    return fleet


def _fleet_json(fleet):
    """Format a line per recording: one indented dump of everything would take ten times the memory."""
    bags = ',\n'.join(json.dumps(bag, allow_nan=False) for bag in fleet['bags'])
    others = json.dumps({key: value for key, value in fleet.items() if key != 'bags'}, indent=1, allow_nan=False)
    return f'{others[:-2]},\n "bags": [\n{bags}\n]}}\n'.encode()


def fleet_progress(done: int, wanted: int, record: Record) -> None:
    """Print a line on stderr for a finished recording."""
    outcome = {'done': f'{record["seconds"]:.1f} s', 'skipped': 'up to date'}.get(record['status'], record['error'])
    show(f'[{done} of {wanted}] {record["title"]}: {outcome}', file=sys.stderr, flush=True)


def fleet_text(fleet: Mapping[str, Any]) -> str:
    """Summarize fleet.json in a few lines."""
    counts, run = fleet['counts'], fleet['run']
    lines = [
        f'{many(counts["bags"], "recording")}: {counts["done"]} evaluated, {counts["skipped"]} up to date, '
        f'{counts["twin"]} {"is a copy of another" if counts["twin"] == 1 else "are copies of others"}, '
        f'{counts["failed"]} failed'
    ]
    if counts['done']:
        lines.append(
            f'{run["seconds"]:.1f} s: {run["bags_per_second"]:.2f} recordings and '
            f'{run["recording_s_per_second"]:.1f} s of recording per second'
        )
    if run['frame_parts'] is None:
        lines.append(
            'frames/ is not written because pyarrow is not installed (pip install pyarrow); each recording has a '
            'frames.csv'
        )
    if run['frames_lost']:
        lines.append(
            f'frames/ lacks {many(run["frames_lost"], "table")} of frames that cannot be read; delete the '
            'folders of bags/ whose frames.csv is missing or damaged, then run the same command again'
        )
    if run.get('people'):
        found = run['people']
        lines.append(
            f'{many(found["persons"], "person")}; merges.csv has {many(found["to_confirm"], "pair")} to confirm'
        )
        lines += filter(None, [not_followed_text(found['not_followed']), EDITED if found['edited'] else ''])
        lines += [f'check the study: {each}' for each in found['look_alikes']]
    known = _lacks(fleet)
    lines += [
        f'{topic} is in {sum(topic not in each for each in known)} of {many(len(known), "recording")}'
        for topic in sorted(set().union(*known))
    ]
    lines += filter(None, [run.get('events_left_out')])
    for pooled in fleet['overall']:
        values = ', '.join(
            f'{name.replace("_", " ")} {value:.3f}' for name, value in pooled['compared'].items() if value is not None
        )
        lines.append(f'{(pooled["bundle"] or {}).get("name")}, {many(pooled["bags"], "recording")} together: {values}')
        lines += rater_lines(pooled.get('raters'))
    return '\n'.join(lines)


def topics_of_none(fleet: Mapping[str, Any]) -> list[str]:
    """List the requested topics that no recording has.

    :param fleet: content of fleet.json.
    """
    known = _lacks(fleet)
    return sorted(set(known[0]).intersection(*known)) if known else []


def _lacks(fleet):
    return [bag['results'][0]['lacks'] for bag in fleet['bags'] if bag['results']]
