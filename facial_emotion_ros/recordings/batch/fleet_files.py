"""Track which files of the output a batch wrote, so that it replaces and deletes only its own."""

import json
import os
from collections.abc import Iterable
from contextlib import suppress

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.files import refuse_foreign
from facial_emotion_ros.core.text import public_file
from facial_emotion_ros.evaluation.page import PLOTLY_FILE, plotly_script
from facial_emotion_ros.recordings.batch.finished import read_json
from facial_emotion_ros.recordings.batch.recording_discovery import is_url, local_path
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.results_folder import OR_FORCE
from facial_emotion_ros.recordings.people.merges import MERGES
from facial_emotion_ros.recordings.study.study_tables import DICTIONARY

#: Report and figures over all recordings.
INDEX, FLEET = 'index.html', 'fleet.json'

#: List of the files about to be written, by which the run after an interruption recognizes them.
_BEGUN = '.begun.json'


def _both(*names):
    return {name + ending for name in names for ending in ('.csv', '.parquet')}


_STUDY = _both('recordings', 'conditions', 'comparisons') | {DICTIONARY}
_EVENTS = _both('events', 'event_averages')
_PEOPLE = _both('people')
_TABLES = _STUDY | _EVENTS | _PEOPLE


def tables_of(study: bool, events: bool, people: bool) -> set[str]:
    """Return the names of the tables that a run writes; not merges.csv, which holds the user's decisions."""
    return (_STUDY if study else set()) | (_EVENTS if events else set()) | (_PEOPLE if people else set())


class FleetFiles:
    """Files that earlier runs wrote, by their fleet.json or the list of an interrupted run."""

    def __init__(self, store: Store, tables: set[str]):
        """Read both.

        :param store: results store.
        :param tables: names of the tables that this run will write.
        """
        fleet, begun = read_json(store.read(FLEET)), read_json(store.read(_BEGUN))
        is_ours = isinstance(fleet.get('bags'), list) and isinstance(fleet.get('counts'), dict)
        run = fleet.get('run')
        self._listed = {INDEX, FLEET, *_names(run if isinstance(run, dict) else {})} if is_ours else set()
        if is_ours and fleet.get('overall'):
            self._listed.add(PLOTLY_FILE)
        self._own = self._listed | _names(begun)
        self._wanted = {INDEX, FLEET, PLOTLY_FILE, *tables}
        self._store, self._has_note = store, bool(begun)

    def refuse_inputs(self, output: str, inputs: Iterable[str]) -> None:
        """Refuse to replace or delete an input file of this run.

        :param output: path or URL of the results.
        :param inputs: paths of files, optionally with #TIER; topics are ignored.
        :raises BadParameter: naming the first such file.
        """
        if is_url(output):
            return
        names = {*self._wanted, *self._own, MERGES}
        paths = {os.path.realpath(os.path.join(local_path(output), name)) for name in names}
        found = sorted(path for path in {each.partition('#')[0] for each in inputs} if os.path.realpath(path) in paths)
        if found:
            raise BadParameter(
                f'expected input files outside the results, got {found[0]}, which would be replaced or deleted in '
                f'--output {output}; rename it, or choose another --output'
            )

    def refuse_foreign(self, output: str) -> None:
        """Refuse to replace files that no batch wrote.

        :param output: path or URL of the results.
        :raises BadParameter: naming them.
        """
        foreign = self._wanted - self._own
        there = foreign.intersection(self._store.names('')) if foreign else set()
        if PLOTLY_FILE in there and self._store.read(PLOTLY_FILE) == plotly_script().encode():
            there.remove(PLOTLY_FILE)  # identical, so not replaced
        refuse_foreign(public_file(output), there, OR_FORCE)

    def begin(self) -> None:
        """List the files about to be written, if fleet.json does not."""
        if not self._wanted <= self._listed:
            self._store.write(_BEGUN, json.dumps({'files': sorted(self._wanted | self._own)}).encode())
            self._has_note = True

    def remove_former(self) -> list[str]:
        """Delete the tables that earlier runs wrote and this one did not; never merges.csv.

        :returns: names of the tables written, and of the plotly script if this run or an earlier one wrote it.
        """
        for name in (self._own & _TABLES) - self._store.written:
            with suppress(FileNotFoundError):
                self._store.remove(name)
        return sorted(_TABLES & self._store.written | {PLOTLY_FILE} & (self._own | self._store.written))

    def end(self) -> None:
        """Delete the list, after fleet.json was written."""
        if self._has_note:
            self._store.remove(_BEGUN)


def _names(of):
    """Return the listed files that have names of ours: nothing else may be deleted, whatever the list says."""
    files = of.get('files')
    return {INDEX, FLEET, PLOTLY_FILE, *_TABLES}.intersection(map(str, files if isinstance(files, list) else ()))
