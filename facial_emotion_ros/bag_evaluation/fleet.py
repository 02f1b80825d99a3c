"""Many recordings: each is evaluated once, whatever happens to the others, and all are told of together."""

import json
import os
import sys
import time

from facial_emotion_ros.bag_evaluation.bag_places import find_bags, is_recording, is_url, local_path, titles_of
from facial_emotion_ros.bag_evaluation.evaluate import evaluate_bag
from facial_emotion_ros.bag_evaluation.fleet_figures import fleet_summary, read_summaries
from facial_emotion_ros.bag_evaluation.fleet_frames import gather_frames
from facial_emotion_ros.bag_evaluation.fleet_report import fleet_html
from facial_emotion_ros.bag_evaluation.fleet_task import FINISHED, FleetTask, key_of, read_json
from facial_emotion_ros.bag_evaluation.fleet_truth import options_of_each
from facial_emotion_ros.bag_evaluation.local_fleet import run_locally
from facial_emotion_ros.bag_evaluation.ray_fleet import run_on_ray
from facial_emotion_ros.bag_evaluation.report_words import many
from facial_emotion_ros.bag_evaluation.result_store import open_store
from facial_emotion_ros.errors import BadBag, BadParameter
from facial_emotion_ros.plain_text import show

#: What tells of all recordings together: the page, and the figures.
INDEX, FLEET = 'index.html', 'fleet.json'


def evaluate_fleet(bags, output, options, workers=1, ray_address=None, evaluate=evaluate_bag, progress=None,
                   command='', force=False):
    """Evaluate recordings, and gather what they say.

    Each has a folder of its own in output/bags, named by its name and content. What is in there and whole, with the
    same options and models, is not done again, so an interrupted run is finished by its repetition. Beside these:
    frames/ (Parquet, a part for each recording), index.html and, last, fleet.json.

    :param bags: paths or URLs of recordings, and of folders that hold some.
    :param output: path or URL of a folder. With Ray on several machines: one that all of them see.
    :param options: Options; its truth may be a folder of CSV files, see :func:`options_of_each`.
    :param workers: processes on this machine.
    :param ray_address: address of a Ray cluster to use in their stead; see :func:`ray_fleet.run_on_ray`.
    :param evaluate: function like :func:`evaluate_bag` that every process can import.
    :param progress: called with (recordings done, recordings in all, record of the one that has just ended).
    :param command: what was typed, for the record.
    :param force: replace an index.html or fleet.json that no such run wrote.
    :returns: dict, as fleet.json holds it; a recording that failed has the status 'failed' and an error.
    :raises FacialEmotionError: if there is nothing to evaluate, a bundle is missing, a file of truth cannot be read,
        another run has the output, a recording or something foreign is in it, the cluster cannot be reached, or the
        pages and figures of all cannot be written; the results of each recording are kept then.
    :raises KeyboardInterrupt: after all processes have ended; what is done is kept.
    """
    if workers < 1:
        raise BadParameter(f'expected 1 worker or more, got {workers}')
    _refuse_recording(output)
    places = find_bags(bags, without=output)
    _refuse_recording(output, places)
    chosen = options_of_each(options, places)
    key, keys = key_of(options), {each: key_of(each) for each in set(chosen)}
    store, titles = open_store(output), titles_of(places)
    tasks = [FleetTask(place, output, each, keys[each], evaluate) for place, each in zip(places, chosen)]
    records = [None] * len(tasks)

    def take(number, record):
        records[number] = record = dict(record, title=titles[number])
        if progress is not None:
            progress(sum(each is not None for each in records), len(records), record)

    began_s = time.perf_counter()
    with store.locked():
        if not force:
            _refuse_foreign(store, output)
        if ray_address:
            run_on_ray(tasks, ray_address, take)
        else:
            run_locally(tasks, workers, take)
        run = {'command': command, 'made': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
               'seconds': time.perf_counter() - began_s, 'workers': None if ray_address else workers,
               'ray': ray_address or None, 'key': key, 'options': json.loads(options.text())}
        try:
            return _gather(store, records, run, {task.place: task.key for task in tasks})
        except OSError as error:
            raise BadBag(f'the figures of all recordings together cannot be written to {output} ('
                         f'{error.strerror or error}); each recording that is done is kept: free some space, then run '
                         'the same command again') from error


def _refuse_foreign(store, output):
    """Refuse to replace files that have our names and that no run wrote."""
    known = read_json(store.read(FLEET))
    if isinstance(known.get('bags'), list) and isinstance(known.get('counts'), dict):
        return
    there = [name for name in (INDEX, FLEET) if store.read(name) is not None]
    if there:
        raise BadBag(f'{output}: expected a folder that is new, empty, or holds earlier results of many recordings, '
                     f'got one with {" and ".join(there)} that no evaluation wrote; name another --output, or replace '
                     f'{"it" if len(there) == 1 else "them"} by --force')


def _refuse_recording(output, places=()):
    """Refuse to write into a recording: it would be another one then."""
    folder = '' if is_url(output) else os.path.realpath(local_path(output))
    local = [os.path.realpath(local_path(place)) for place in places if not is_url(place)]
    if folder and (is_recording(folder) or any(f'{folder}/'.startswith(f'{place}/') for place in local)):
        raise BadParameter(f'expected an --output outside of the recordings, got {output}, which is one or is in one')


def _gather(store, records, run, keys):
    summaries = {}
    for record in records:
        if record['status'] != 'failed' and record['folder'] not in summaries:
            summaries[record['folder']] = read_summaries(store, record, FINISHED)
    fleet = fleet_summary(records, summaries, run)
    fleet['run']['frame_parts'] = gather_frames(store, fleet['bags'], keys)
    store.write(INDEX, fleet_html(fleet).encode('utf-8'))
    store.write(FLEET, (json.dumps(fleet, indent=1, allow_nan=False) + '\n').encode('utf-8'))
    return fleet


def fleet_progress(done, wanted, record):
    """Print a line on stderr for each recording that has ended."""
    said = {'done': f'{record["seconds"]:.1f} s', 'skipped': 'was there'}.get(record['status'], record['error'])
    show(f'[{done} of {wanted}] {record["title"]}: {said}', file=sys.stderr, flush=True)


def fleet_text(fleet):
    """Say in a few lines what came of a fleet.

    :param fleet: dict, as fleet.json holds it.
    :returns: str.
    """
    counts, run = fleet['counts'], fleet['run']
    lines = [f'{many(counts["bags"], "recording")}: {counts["done"]} evaluated, {counts["skipped"]} '
             f'{"was" if counts["skipped"] == 1 else "were"} there, {counts["twin"]} '
             f'{"is a copy of another" if counts["twin"] == 1 else "are copies of others"}, {counts["failed"]} failed']
    if counts['done']:
        lines.append(f'{run["seconds"]:.1f} s: {run["bags_per_second"]:.2f} recordings and '
                     f'{run["recording_s_per_second"]:.1f} s of recording a second')
    if run['frame_parts'] is None:
        lines.append('frames/ is left out, for pyarrow is not installed (pip install pyarrow); the frames are in the '
                     'frames.csv of each recording')
    for pooled in fleet['overall']:
        told = ', '.join(f'{name.replace("_", " ")} {value:.3f}' for name, value in pooled['compared'].items()
                         if value is not None)
        lines.append(f'{(pooled["bundle"] or {}).get("name")}, {many(pooled["bags"], "recording")} together: {told}')
    return '\n'.join(lines)
