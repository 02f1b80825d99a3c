"""The files of a batch beside the folders of its recordings: what it replaces and deletes is its own."""

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

#: The page and the figures of all recordings together.
INDEX, FLEET = 'index.html', 'fleet.json'

#: Names of what is about to be written: when that is interrupted, the next run knows these files.
_BEGUN = '.begun.json'


def _both(*names):
    return {name + ending for name in names for ending in ('.csv', '.parquet')}


_STUDY = _both('recordings', 'conditions', 'comparisons') | {DICTIONARY}
_EVENTS = _both('events', 'event_averages')
_PEOPLE = _both('people')
_TABLES = _STUDY | _EVENTS | _PEOPLE


def tables_of(study: bool, events: bool, people: bool) -> set[str]:
    """Name the tables that a run writes, by what was asked for; merges.csv, which holds decisions, is none."""
    return (_STUDY if study else set()) | (_EVENTS if events else set()) | (_PEOPLE if people else set())


class FleetFiles:
    """Which files earlier runs wrote, as their fleet.json lists them, or the note of an interrupted one."""

    def __init__(self, store: Store, tables: set[str]):
        """Read both.

        :param store: of the results.
        :param tables: that this run will write.
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
        """Refuse to replace, or to delete as a table of an earlier run, what this run reads.

        :param output: path or URL of the results.
        :param inputs: paths of files, each with #TIER or not; others are ignored.
        :raises BadParameter: naming the first such file.
        """
        if is_url(output):
            return
        names = {*self._wanted, *self._own, MERGES}
        paths = {os.path.realpath(os.path.join(local_path(output), name)) for name in names}
        found = sorted(path for path in {each.partition('#')[0] for each in inputs} if os.path.realpath(path) in paths)
        if found:
            raise BadParameter(
                f'expected files to read that are none of the results, got {found[0]}, which has the name of a table '
                f'in --output {output} that is replaced or deleted; rename it, or name another --output'
            )

    def refuse_foreign(self, output: str) -> None:
        """Refuse to replace files of our names that no batch wrote.

        :param output: path or URL of the results.
        :raises BadParameter: naming them.
        """
        foreign = self._wanted - self._own
        there = foreign.intersection(self._store.names('')) if foreign else set()
        if PLOTLY_FILE in there and self._store.read(PLOTLY_FILE) == plotly_script().encode():
            there.remove(PLOTLY_FILE)  # it is not replaced
        refuse_foreign(public_file(output), there, OR_FORCE)

    def begin(self) -> None:
        """Note the files that are about to be written, where fleet.json does not list them."""
        if not self._wanted <= self._listed:
            self._store.write(_BEGUN, json.dumps({'files': sorted(self._wanted | self._own)}).encode())
            self._has_note = True

    def remove_former(self) -> list[str]:
        """Delete the tables that earlier runs wrote and this one did not; decisions in merges.csv are never deleted.

        :returns: for fleet.json, names of the tables that it wrote, and the pages' script if this run or an earlier one
            wrote it.
        """
        for name in (self._own & _TABLES) - self._store.written:
            with suppress(FileNotFoundError):
                self._store.remove(name)
        return sorted(_TABLES & self._store.written | {PLOTLY_FILE} & (self._own | self._store.written))

    def end(self) -> None:
        """Delete the note, after fleet.json was written."""
        if self._has_note:
            self._store.remove(_BEGUN)


def _names(of):
    """List our names among the files that are listed: whatever another origin lists, nothing else is deleted."""
    files = of.get('files')
    return {INDEX, FLEET, PLOTLY_FILE, *_TABLES}.intersection(map(str, files if isinstance(files, list) else ()))
