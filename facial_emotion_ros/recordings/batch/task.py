"""Evaluate one recording of a batch, in a local process or on a cluster node."""

import hashlib
import json
import os
import socket
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from facial_emotion_ros import __version__
from facial_emotion_ros.core.errors import BadModel, FacialEmotionError, one_line
from facial_emotion_ros.core.text import public_file, without_secrets
from facial_emotion_ros.inference.model_bundle import MANIFEST_FILE, resolve_bundle
from facial_emotion_ros.inference.precision import bundle_for
from facial_emotion_ros.recordings.batch.finished import FINISHED, Known, find_complete, note_state, write_finished
from facial_emotion_ros.recordings.batch.recording_discovery import local_copy, name_of
from facial_emotion_ros.recordings.batch.result_store import open_store
from facial_emotion_ros.recordings.evaluation.options import DETECTOR, ESR, Options
from facial_emotion_ros.recordings.io.content_hash import hash_of

#: Format of the results; a change invalidates existing results.
_FORMAT = 3

#: A function like :func:`.evaluate.evaluate_bag`, which every process must be able to import.
Evaluate = Callable[[str, str, Options], object]

#: Outcome of a recording: see :func:`evaluate_task`.
Record = dict[str, Any]


class FleetTask(NamedTuple):
    """A recording to evaluate; place: its path or URL; output: folder or URL of the batch; key: :func:`key_of` the
    options; fingerprint: of its state at the start of the run, '' if unknown.
    """

    place: str
    output: str
    options: Options
    key: str
    evaluate: Evaluate
    fingerprint: str = ''


def key_of(options: Options) -> str:
    """Hash all that results depend on besides the recording: version of this package, options, models, ground truth.

    :returns: SHA-256 in hex.
    :raises BadModel: if a bundle does not exist.
    """
    # Default bundles depend on the CPU, as in the node.
    plan = options.plan()
    names = [*(options.bundles or [bundle_for(ESR, plan)]), options.detector or bundle_for(DETECTOR, plan)]
    truths = [_truth_key(each) for each in options.truths()]
    settings = dict(asdict(options), truth=truths, more_truths=None)
    models, dependencies = {}, {'format': _FORMAT, 'version': __version__, 'options': settings}
    for name in names:
        # A manifest holds its model's hash and the calibration.
        path = os.path.join(resolve_bundle(name), MANIFEST_FILE)
        if not os.path.isfile(path):
            raise BadModel(f'expected a model bundle, got {name!r}, which has no {MANIFEST_FILE}')
        models[name] = hash_of(path)
    text = json.dumps({**dependencies, 'models': models}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _truth_key(text):
    """Describe ground truth by the content of its file, independently of its path; a topic by its name."""
    path, _, tier = text.partition('#')
    return [os.path.splitext(path)[1], tier, hash_of(path)] if os.path.isfile(path) else text


def evaluate_task(task: FleetTask) -> Record:
    """Evaluate a recording into its folder of the output, unless complete results exist.

    :param task: the recording.
    :returns: place, name, status ('done', 'skipped' or 'failed'), folder, content_hash (None if the recording could not
        be read), seconds, host, error ('' or one line), digests (of its summaries) and, for an unexpected error,
        traceback. Errors are returned, not raised.
    """
    began_s, urls = time.perf_counter(), (task.place, task.output)
    record = failed_record(task, '', socket.gethostname())
    try:
        _evaluate(task, record)
    except (FacialEmotionError, OSError, ImportError, MemoryError) as error:
        record['error'] = one_line(error, *urls)
    except Exception as error:  # a bug, or damage that a library cannot handle: other recordings continue
        record.update(error=one_line(error, *urls), traceback=without_secrets(traceback.format_exc(), *urls))
    record['seconds'] = time.perf_counter() - began_s
    return record


def failed_record(task: FleetTask, error: str, host: str = '') -> Record:
    """Create the record of a recording that was not evaluated.

    :param task: the recording.
    :param error: one line.
    :param host: name of the process's host; '' if unknown.
    """
    return {
        'place': public_file(task.place),
        'name': name_of(task.place),
        'status': 'failed',
        'folder': None,
        'content_hash': None,
        'seconds': 0.0,
        'host': host,
        'error': without_secrets(error, task.place, task.output),
        'digests': [],
    }


def known_record(task: FleetTask, known: Known) -> Record:
    """Create the record of a recording with results of an earlier run."""
    return dict(failed_record(task, ''), status='skipped', attempts=0, **known._asdict())


def _evaluate(task, record):
    store = open_store(task.output)
    if key_of(task.options) != task.key:
        raise BadModel(
            f'expected the same models and ground truth on {record["host"]} as where the run was started, got others; '
            'install the same version and files there, and name --bundle and --detector if CPUs '
            'differ, as the default (int8 or not) depends on the CPU'
        )
    with local_copy(task.place) as path:
        content_hash = hash_of(path)
        folder = f'{record["name"]}-{content_hash[:12]}'
        record.update(content_hash=content_hash, folder=folder)
        known = find_complete(store, folder, content_hash, task.key)
        if known:
            note_state(store, folder, task.place, task.fingerprint)
            record.update(known._asdict(), status='skipped')
            return
        with store.new_folder(f'bags/{folder}', FINISHED) as part:
            task.evaluate(path, part, task.options)
            record['digests'] = write_finished(part, content_hash, task.key, task.place, task.fingerprint)
    record['status'] = 'done'
