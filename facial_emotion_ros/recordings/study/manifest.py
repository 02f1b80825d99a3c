"""The manifest of a study: a CSV file that says of each recording which participant it is of, and the condition."""

import csv
import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

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
from facial_emotion_ros.recordings.evaluation.csv_rows import read_csv, text_of
from facial_emotion_ros.recordings.evaluation.tables import FRAMES
from facial_emotion_ros.recordings.people.people import PEOPLE
from facial_emotion_ros.recordings.study.epochs import EPOCHS
from facial_emotion_ros.recordings.study.study_tables import recordings_columns

#: Columns that a manifest has to have, and those with a meaning of their own; any others are kept as they are.
REQUIRED = ('path', 'participant')
KNOWN = (*REQUIRED, 'condition', 'session')

#: Columns whose values are folders of frames/, as Hive names them, its name for an empty cell, and the most bytes of a
#: file's name.
_PARTITIONS = ('study', 'condition')
_NO_VALUE = '__HIVE_DEFAULT_PARTITION__'
_LONGEST = 255

#: These are known in any spelling, and are text even where all cells are numbers; others are kept as they are written.
_TEXTS = (*KNOWN, 'study')

#: Numbers that are names: with leading zeros, or more digits than a number of 64 bits holds.
_NAME = re.compile(r'[+-]?(0\d.*|\d{16,})$')

#: Names of our own columns, which a manifest may not use.
_TAKEN = {column.name for column in (*FRAMES, *recordings_columns({}), *EPOCHS, *PEOPLE)}

#: What a manifest says of one recording.
Words = dict[str, str | float | None]


class Study(NamedTuple):
    """A manifest that was read.

    path: of the file; types: {column: its type in a Parquet file, string or double}; rows: what it says of each
    recording, None for an empty cell; places: path or URL of each recording.
    """

    path: str
    types: dict[str, str]
    rows: list[Words]
    places: list[str]

    def of(self, places: Sequence[str]) -> list[Words]:
        """Give what the manifest says of some recordings.

        :param places: paths or URLs.
        :raises BadDataset: if it has no line for one.
        """
        known = {identity(place): row for place, row in zip(self.places, self.rows)}
        missing = [place for place in places if identity(place) not in known]
        if missing:
            raise BadDataset(
                f'{self.path}: expected a line for each recording, got none for {missing[0]}'
                + (f' and {len(missing) - 1} more' if len(missing) > 1 else '')
            )
        return [known[identity(place)] for place in places]

    def look_alikes(self) -> list[str]:
        """Say which participants, or conditions, differ only in case, spaces or the encoding of letters."""
        found = []
        for column in ('participant', 'condition'):
            spellings: dict[str, dict[str, None]] = {}
            for row in self.rows:
                word = str(row.get(column) or '')
                plain = ''.join(unicodedata.normalize('NFKC', word).casefold().split())
                spellings.setdefault(plain, {})[word] = None
            found += [
                f'{column}s that differ only in spelling count as different ones: {", ".join(map(repr, each))}'
                for each in spellings.values()
                if len(each) > 1
            ]
        return found


def read_study(path: str) -> Study:
    """Read a manifest.

    :param path: CSV file with a header line: path (of a recording, relative to the manifest's folder, or a URL),
        participant, optionally condition and session, and any further columns, whose names are kept as they are. A
        further column is of numbers where all its cells are numbers or empty, none of them with a leading zero.
    :raises BadDataset: if it cannot be read, a column or a participant is missing, or two lines are of one recording.
    :raises BadBag: if a recording is not there.
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
                own = 'cell' if name in row else 'name of the file, or a column study,'
                raise BadDataset(
                    f'{path}, line {number}: expected a {own} whose folder in frames/ has {_LONGEST} letters at most, '
                    f'got {len(folder)}: {folder} (all but A to Z, a to z, digits, _, ., - and ~ take three a byte)'
                )
        place = _place(path, number, row['path'])
        if identity(place) in seen:
            raise BadDataset(
                f'{path}, line {number}: expected each recording once, {row["path"]} is in line '
                f'{seen[identity(place)]} too'
            )
        seen[identity(place)] = number
        places.append(place)
        row['path'] = public_file(row['path'])  # it will be in every table
    if not table:
        raise BadDataset(f'{path}: expected a line for each recording below the first, got none')
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
    """Name the folders of frames/ that a recording's rows lie in.

    :param path: of the manifest, whose name is the study where it has no such column.
    :param words: what it says of the recording.
    :returns: {column: its folder, as Hive names it}.
    """
    named = {'study': os.path.splitext(os.path.basename(path))[0], **words}
    return {
        name: f'{name}={quote(named[name] or _NO_VALUE, safe="", errors="surrogateescape")}'
        for name in _PARTITIONS
        if name in named
    }


def write_template(bags: Sequence[str], path: str) -> int:
    """Write a manifest for the recordings of a folder tree, to be checked by hand.

    Below the tree's root, the first folder is the participant, the last name the condition, what lies between the
    session: p00/day1/baseline. Of a recording in the root itself, the name is divided at its first _: p00_baseline.
    Several recordings, or folders that hold them without further folders, are of the tree that has them all; so are
    folders of one folder that have further folders of the same names, which are sessions.

    :param bags: paths or URLs of recordings, or of folders that hold some.
    :param path: of a file that is not there yet; the paths in it are relative to its folder.
    :returns: number of recordings.
    :raises BadBag: if a place holds no recording.
    :raises BadParameter: if the file is there.
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
        raise BadParameter(f'--study-template: expected the name of a new file, {path} is there already') from None
    return len(lines)


def _tops(roots):
    """Find recordings, and how many parts of each path precede those that name participant and condition."""
    found, shallow, firsts = {}, {}, []
    for root in roots:
        above = len(_parts(root))
        new = {place: _parts(place) for place in find_bags([root]) if place not in found}
        found.update(dict.fromkeys(new, above))
        shallow.update({place: parts[:-1] for place, parts in new.items() if len(parts) <= above + 1})
        firsts += {parts[above] for parts in new.values() if len(parts) > above + 1}
    parents = {tuple(_parts(root)[:-1]) for root in roots}
    if len(roots) > 1 and len(parents) == 1 and (shallow or len(set(firsts)) < len(firsts)):
        return dict.fromkeys(found, len(parents.pop()))  # folders that were named one by one, as by rides/*
    top = len(os.path.commonprefix(list(shallow.values())))
    return {place: top if place in shallow else above for place, above in found.items()}


def _parts(place):
    return public_path(place if is_url(place) else os.path.abspath(local_path(place))).split('/')


def _check_names(path, names):
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise BadDataset(
            f'{path}: expected a first line that names the columns path and participant, and condition and session '
            f'where there are some, got {",".join(names) or "nothing"}'
        )
    # Databases take Age and age for one.
    lower = [name.lower() for name in names]
    wrong = [name for name, plain in zip(names, lower) if plain in _TAKEN or not name or lower.count(plain) > 1]
    if wrong:
        raise BadDataset(
            f'{path}: expected columns that have a name, differ from each other and from the columns of the results, '
            f'got {wrong[0]!r}'
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
            f'{path}, line {number}: expected one recording, {text} holds {len(found)}: {found[0]}, {found[1]}...'
        )
    return found[0]


def _is_number(text):
    try:
        return not text or not ('_' in text or _NAME.match(text)) and math.isfinite(float(text))
    except ValueError:
        return False
