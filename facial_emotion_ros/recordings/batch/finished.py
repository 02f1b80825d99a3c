"""Find complete results of earlier runs, so that their recordings are not evaluated again."""

import functools
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from facial_emotion_ros.core.text import public_file
from facial_emotion_ros.recordings.batch.in_threads import Stage, in_threads, silent
from facial_emotion_ros.recordings.batch.metrics import Digest, digest
from facial_emotion_ros.recordings.batch.recording_discovery import identity
from facial_emotion_ros.recordings.batch.result_store import Store

#: Written last into a results folder: identity of the recording, and hash of options and models.
FINISHED = 'finished.json'
SUMMARY = 'summary.json'

#: A results folder without one of these is incomplete; users may delete other files, such as videos.
_NEEDED = {'frames.csv', 'report.html', 'event_times.csv'}


class Known(NamedTuple):
    """Complete results of a recording: folder, hash of the recording's content, digests of the summaries."""

    folder: str
    content_hash: str
    digests: list[Digest]


class FinishedResults:
    """Results of earlier runs in a store, indexed by path and state of the recording."""

    def __init__(self, store: Store, stage: Stage = silent):
        """List all results, and read the finished.json of every folder.

        :param store: results store.
        :param stage: progress display.
        """
        self._store = store
        self._found: dict[tuple[str, str], list[tuple[str, dict[str, Any]]]] = {}
        self._files: dict[str, set[str]] = {}
        for path in store.files('bags'):
            folder, _, name = path.partition('/')
            self._files.setdefault(folder, set()).add(name)
        folders = [name for name, files in self._files.items() if FINISHED in files and not name.startswith('.')]
        read = functools.partial(_read_finished, store)
        for folder, finished in zip(folders, in_threads(stage, 'earlier results', read, folders)):
            for state in _states_of(finished).items():
                self._found.setdefault(state, []).append((folder, finished))

    def find(self, place: str, fingerprint: str, key: str) -> Known | None:
        """Find complete results of a recording without reading it.

        :param place: path or URL of the recording.
        :param fingerprint: of its state, see :func:`.state_of`; '' if unknown.
        :param key: :func:`.key_of` its options.
        :returns: None, so that the recording has to be read, if there are none or several for this fingerprint.
        """
        found = self._found.get((_shown(place), fingerprint), []) if fingerprint else []
        if len(found) != 1:
            return None
        [(folder, finished)] = found
        return _complete(self._store, folder, finished, finished.get('content_hash'), key, self._files[folder])


def find_complete(store: Store, folder: str, content_hash: str, key: str) -> Known | None:
    """Find complete results of a content hash; None if the folder has other or incomplete ones."""
    return _complete(store, folder, _read_finished(store, folder), content_hash, key)


def write_finished(part: str, content_hash: str, key: str, place: str, fingerprint: str) -> list[Digest]:
    """Write finished.json into an otherwise complete results folder, and return the digests of its summaries."""
    summaries = sorted(
        os.path.relpath(os.path.join(home, SUMMARY), part) for home, _, files in os.walk(part) if SUMMARY in files
    )
    if not summaries:
        raise RuntimeError(f'the evaluation wrote no {SUMMARY}')
    finished = {'content_hash': content_hash, 'key': key, 'summaries': summaries, 'states': {}}
    with open(os.path.join(part, FINISHED), 'wb') as file:
        file.write(_with_state(finished, place, fingerprint))
    found = []
    for name in summaries:
        with open(os.path.join(part, name), 'rb') as summary:
            found.append(digest(name, json.load(summary)))
    return found


def note_state(store: Store, folder: str, place: str, fingerprint: str) -> None:
    """Add a recording's path and state to complete results of its content, so that the next run need not read it.

    :param store: results store.
    :param folder: name of the results folder.
    :param place: path or URL of the recording.
    :param fingerprint: of its state before it was read.
    """
    finished = _read_finished(store, folder)
    if fingerprint and finished and _states_of(finished).get(_shown(place)) != fingerprint:
        with suppress(OSError):  # such as a full disk: the next run reads the recording again
            store.write(f'bags/{folder}/{FINISHED}', _with_state(finished, place, fingerprint))


def read_json(content: bytes | None) -> dict[str, Any]:
    """Parse a JSON object; return {} for anything else."""
    try:
        found = json.loads(content or b'')
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read_finished(store, folder):
    return read_json(store.read(f'bags/{folder}/{FINISHED}'))


def _shown(place):
    return public_file(identity(place))


def _states_of(finished) -> dict[str, str]:
    states = finished.get('states')
    # Earlier versions wrote URLs with secrets.
    return {public_file(place): state for place, state in states.items()} if isinstance(states, dict) else {}


def _with_state(finished, place, fingerprint):
    states = dict(_states_of(finished), **({_shown(place): fingerprint} if fingerprint else {}))
    return (json.dumps(dict(finished, states=states), indent=1) + '\n').encode()


def _complete(store, folder, finished, content_hash, key, files=None) -> Known | None:
    names: Sequence[str] = finished.get('summaries') or ()
    if not names or finished.get('content_hash') != content_hash or finished.get('key') != key:
        return None
    summaries = [read_json(store.read(f'bags/{folder}/{name}')) for name in names]
    if not all(summaries):
        return None
    listed = {
        os.path.join(os.path.dirname(name), file)
        for name, each in zip(names, summaries)
        for file in _NEEDED.intersection(each.get('files') or ())
    }
    there = set(store.files(f'bags/{folder}')) if files is None else files
    if listed - there:
        return None
    return Known(folder, content_hash, [digest(name, each) for name, each in zip(names, summaries)])
