"""Read or create the manifest of a study: a CSV file with the participant and condition of each recording."""

import csv
import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from facial_emotion_ros.core.csv_rows import read_csv, text_of
from facial_emotion_ros.core.errors import BadBag, BadDataset, BadParameter
from facial_emotion_ros.core.text import cell, public_file
from facial_emotion_ros.recordings.batch.recording_discovery import (
    find_bags,
    identity,
    is_url,
    local_path,
    name_of,
    public_path,
)
from facial_emotion_ros.recordings.evaluation.tables import FRAMES
from facial_emotion_ros.recordings.people.people import PEOPLE
from facial_emotion_ros.recordings.study.epochs import EPOCHS
from facial_emotion_ros.recordings.study.study_tables import recordings_columns

#: Required columns, and all columns with a special meaning; others are passed through.
REQUIRED = ('path', 'participant')
KNOWN = (*REQUIRED, 'condition', 'session')

#: Columns that become Hive partitions (folders) of frames/, Hive's name for an empty value, and the maximum length of a
#: folder name.
_PARTITIONS = ('study', 'condition')
_NO_VALUE = '__HIVE_DEFAULT_PARTITION__'
_LONGEST = 255

#: Columns recognized in any spelling, and read as text even if all cells are numbers.
_TEXTS = (*KNOWN, 'study')

#: Numbers that are identifiers: with leading zeros, or more digits than float64 holds.
_NAME = re.compile(r'[+-]?(0\d.*|\d{16,})$')

#: Our own column names, reserved.
_TAKEN = {column.name for column in (*FRAMES, *recordings_columns({}), *EPOCHS, *PEOPLE)}

#: One row of a manifest, {column: value}.
Words = dict[str, str | float | None]


class Study(NamedTuple):
    """A study's manifest.

    path: of the file; types: {column: Parquet type, string or double}; rows: one per recording, None for an empty cell;
    places: path or URL of each recording.
    """

    path: str
    types: dict[str, str]
    rows: list[Words]
    places: list[str]

    def of(self, places: Sequence[str]) -> list[Words]:
        """Return the rows of some recordings.

        :param places: paths or URLs.
        :raises BadDataset: if one has no row.
        """
        known = {identity(place): row for place, row in zip(self.places, self.rows)}
        missing = [place for place in places if identity(place) not in known]
        if missing:
            raise BadDataset(
                f'{self.path}: expected a row for each recording, got none for {missing[0]}'
                + (f' and {len(missing) - 1} more' if len(missing) > 1 else '')
            )
        return [known[identity(place)] for place in places]

    def look_alikes(self) -> list[str]:
        """Describe participants and conditions whose names differ only in case, spaces or Unicode form."""
        found = []
        for column in ('participant', 'condition'):
            spellings: dict[str, dict[str, None]] = {}
            for row in self.rows:
                word = str(row.get(column) or '')
                plain = ''.join(unicodedata.normalize('NFKC', word).casefold().split())
                spellings.setdefault(plain, {})[word] = None
            found += [
                f'{column}s that differ only in spelling are treated as different: {", ".join(map(repr, each))}'
                for each in spellings.values()
                if len(each) > 1
            ]
        return found


def read_study(path: str) -> Study:
    """Read a manifest.

    :param path: CSV file with a header line: path (of a recording, relative to the manifest's folder, or a URL),
        participant, optionally condition and session, and any further columns. A further column is numeric if all its
        cells are numbers or empty, none with a leading zero.
    :raises BadDataset: if it cannot be read, a column or a participant is missing, or a recording is listed twice.
    :raises BadBag: if a recording does not exist.
    """
    names, table = read_csv(text_of(path, "study's CSV file"), path, _TEXTS, None)
    _check_names(path, names)
    places: list[str] = []
    seen: dict[str, int] = {}
    for number, row in table:
        for name in REQUIRED:
            if not row[name]:
                raise BadDataset(f'{path}, line {number}: expected a {name}, got an empty cell')
        for name, folder in partitions_of(path, row).items():
            if len(folder) > _LONGEST:
                own = f'{name} cell' if name in row else 'manifest file name, or a column study,'
                raise BadDataset(
                    f'{path}, line {number}: expected a {own} whose folder name in frames/ has at most {_LONGEST} '
                    f'letters, got {len(folder)}: {folder} (bytes other than A-Z, a-z, 0-9, _ . - ~ take three letters)'
                )
        place = _place(path, number, row['path'])
        if identity(place) in seen:
            raise BadDataset(
                f'{path}, line {number}: expected each recording once, but {row["path"]} is also in line '
                f'{seen[identity(place)]}'
            )
        seen[identity(place)] = number
        places.append(place)
        row['path'] = public_file(row['path'])  # it will be in every table
    if not table:
        raise BadDataset(f'{path}: expected a row for each recording below the header line, got none')
    rows = [row for _, row in table]
    types = {
        name: 'double' if name not in _TEXTS and all(_is_number(row[name]) for row in rows) else 'string'
        for name in names
    }
    typed: list[Words] = [
        {name: (float(cell) if types[name] == 'double' else cell) if cell else None for name, cell in row.items()}
        for row in rows
    ]
    return Study(path, types, typed, places)


def partitions_of(path: str, words: Mapping[str, Any]) -> dict[str, str]:
    """Return the Hive partition folders of a recording's rows in frames/.

    :param path: path of the manifest; its name is the study if it has no such column.
    :param words: the recording's row.
    :returns: {column: folder name, such as condition=rest}.
    """
    named = {'study': os.path.splitext(os.path.basename(path))[0], **words}
    return {
        name: f'{name}={quote(named[name] or _NO_VALUE, safe="", errors="surrogateescape")}'
        for name in _PARTITIONS
        if name in named
    }


def write_template(bags: Sequence[str], path: str) -> int:
    """Write a manifest for the recordings of a folder tree, to be checked by hand.

    Below the root, the first folder is the participant, the last part the condition, and anything between the session:
    p00/day1/baseline. The name of a recording in the root itself is split at its first _: p00_baseline. For several
    recordings, or folders without subfolders, the root is their common folder; so it is for sibling folders with
    subfolders of the same names, which are sessions.

    :param bags: paths or URLs of recordings, or of folders that hold some.
    :param path: new file; the paths in it are relative to its folder.
    :returns: number of recordings.
    :raises BadBag: if a path holds no recording.
    :raises BadParameter: if the file exists.
    """
    folder, lines = os.path.dirname(os.path.abspath(path)), {}
    for place, top in _tops(bags).items():
        *folders, last = _parts(place)[top:]
        participant, _, condition = (folders[0], '', name_of(last)) if folders else name_of(last).partition('_')
        shown = place if is_url(place) else os.path.relpath(place, folder)
        lines[shown] = [shown, participant, condition, '/'.join(folders[1:])]
    try:
        with open(path, 'x', encoding='utf-8', newline='') as file:
            csv.writer(file).writerows([KNOWN, *([cell(each, '\t\n\r') for each in line] for line in lines.values())])
    except FileExistsError:
        raise BadParameter(f'--study-template: expected the name of a new file, but {path} exists') from None
    return len(lines)


def _tops(roots):
    """Find recordings, and how many leading parts of each path precede participant and condition."""
    found, shallow, firsts = {}, {}, []
    for root in roots:
        above = len(_parts(root))
        new = {place: _parts(place) for place in find_bags([root]) if place not in found}
        found.update(dict.fromkeys(new, above))
        shallow.update({place: parts[:-1] for place, parts in new.items() if len(parts) <= above + 1})
        firsts += {parts[above] for parts in new.values() if len(parts) > above + 1}
    parents = {tuple(_parts(root)[:-1]) for root in roots}
    if len(roots) > 1 and len(parents) == 1 and (shallow or len(set(firsts)) < len(firsts)):
        return dict.fromkeys(found, len(parents.pop()))  # sibling folders, as by the shell's rides/*
    top = len(os.path.commonprefix(list(shallow.values())))
    return {place: top if place in shallow else above for place, above in found.items()}


def _parts(place):
    return public_path(place if is_url(place) else os.path.abspath(local_path(place))).split('/')


def _check_names(path, names):
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise BadDataset(
            f'{path}: expected a header line with the columns path, participant and optionally condition and session, '
            f'got {",".join(names) or "nothing"}'
        )
    # Databases do not distinguish Age and age.
    lower = [name.lower() for name in names]
    wrong = [name for name, plain in zip(names, lower) if plain in _TAKEN or not name or lower.count(plain) > 1]
    if wrong:
        raise BadDataset(
            f'{path}: expected column names that are not empty, unique, and different from the columns of the '
            f'results, got {wrong[0]!r}'
        )


def _place(path, number, text):
    place = text if is_url(text) else os.path.join(os.path.dirname(os.path.abspath(path)), local_path(text))
    place = place if is_url(place) else os.path.normpath(place)
    try:
        found = find_bags([place])
    except BadBag as error:
        raise BadBag(f'{path}, line {number}: {error}') from None
    if len(found) > 1:
        raise BadDataset(
            f'{path}, line {number}: expected one recording, but {text} holds {len(found)}: {found[0]}, {found[1]}...'
        )
    return found[0]


def _is_number(text):
    try:
        return not text or not ('_' in text or _NAME.match(text)) and math.isfinite(float(text))
    except ValueError:
        return False
