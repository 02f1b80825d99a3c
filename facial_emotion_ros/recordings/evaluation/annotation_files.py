"""Files of human annotation: our CSV of intervals, ELAN's tiers and its tab-delimited text, BORIS's CSV."""

import csv
import io
import math
import re
from collections.abc import Iterable
from typing import NamedTuple
from xml.etree import ElementTree

from facial_emotion_ros.core.emotions import EMOTIONS, EXPRESSION_WORDS
from facial_emotion_ros.core.errors import BadDataset

#: Words for a class: its own name, and ROS4HRI's.
WORDS = {emotion: emotion for emotion in EMOTIONS} | {word: emotion for emotion, word in EXPRESSION_WORDS.items()}

#: Times above this are stamps (seconds since 1970), those below count from the recording's first image.
_STAMPS_FROM_S = 1e8

#: Endings of files; any may be followed by #TIER.
ENDINGS = ('.csv', '.eaf', '.txt', '.tsv')

#: Times above this are no seconds, but stamps in another unit: the year 5138 is far away.
_SECONDS_TO_S = 1e11
_UNITS = {'milliseconds': 1000, 'microseconds': 1000000, 'nanoseconds': 1000000000}

_COLUMNS = ('start', 'end', 'face', 'emotion', 'valence', 'arousal')

#: BORIS writes what it knows of an observation first; its table begins in one of the first lines.
_HEAD_LINES = 100


class GroundTruth(NamedTuple):
    """What a face shows: emotion (of EMOTIONS, '' where only affect is known), valence and arousal in [-1, 1] or None;
    person: who it is, '' where that is not annotated; votes: what each of several raters says, None for one without.
    """

    emotion: str = ''
    valence: float | None = None
    arousal: float | None = None
    person: str = ''
    votes: tuple['GroundTruth | None', ...] = ()


#: start, end, face ('' for any) and what it shows.
Row = tuple[float, float, str, GroundTruth]


class _Annotation(NamedTuple):
    """One annotation of a tool: its tier (or subject), times in seconds, value, and where it stands."""

    tier: str
    start_s: float
    end_s: float
    value: str
    where: str


def is_stamp(time_s: float) -> bool:
    """Tell whether a time is a stamp (seconds since 1970), and not seconds since the recording's first image."""
    return time_s > _STAMPS_FROM_S


def is_annotation_file(text: str) -> bool:
    """Tell whether a text names a file of annotations, with or without a tier, and not a topic."""
    return text.partition('#')[0].lower().endswith(ENDINGS)


def read_intervals(text: str) -> tuple[list[Row], str]:
    """Read a file of annotations.

    Times are seconds since the recording's first image, or stamps in seconds since 1970.

    :param text: its path, which may be followed by #TIER. A CSV file with a header line: start, end, and emotion or
        valence and arousal; optionally face: an id as in frames.csv, or any (or empty). Or an .eaf file or
        tab-delimited text of ELAN, of whose tiers the one with emotions is read, and those whose names end with valence
        and arousal; #TIER names it, or the beginning of the three. Or a table of BORIS, whose behaviours that are
        emotions are read; #SUBJECT names one of several.
    :returns: rows in the order of the file; what of it was left out, '' for nothing.
    :raises BadDataset: if a line cannot be read, with its number.
    """
    path, _, tier = text.partition('#')
    try:
        if path.lower().endswith('.eaf'):
            return _of_tiers(list(_elan_tiers(path)), tier, path)
        with open(path, newline='', encoding='utf-8-sig') as file:
            content = file.read()
        boris = _boris_table(content)
        if boris:
            return _of_boris(boris, tier, path)
        if not path.lower().endswith('.csv'):
            return _of_tiers(list(_elan_text(content, path)), tier, path)
        rows = _own(csv.DictReader(io.StringIO(content, newline='')), path)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        kind = 'CSV file of intervals in UTF-8' if path.lower().endswith('.csv') else 'file of annotations'
        raise BadDataset(f'{path}: expected a {kind}, it cannot be read ({error})') from error
    if not rows:
        raise BadDataset(f'{path}: expected a line for each interval below the first, got none')
    return rows, ''


def emotion_of(word: str, where: str) -> str:
    """Give the class that a word names.

    :raises BadDataset: if it names none.
    """
    if word.lower() not in WORDS:
        raise BadDataset(f'{where}: expected one of {", ".join(WORDS)}, got {word!r}')
    return WORDS[word.lower()]


def affect_of(number: float | None, where: str) -> float | None:
    """Check a valence or arousal.

    :raises BadDataset: if it is not in [-1, 1].
    """
    if number is not None and not -1 <= number <= 1:
        raise BadDataset(f'{where}: expected a number in [-1, 1], got {number}')
    return None if number is None else float(number)


def _own(rows, path):
    rows.fieldnames = names = [name.strip().lower() for name in rows.fieldnames or []]
    if not {'start', 'end'} <= set(names) or not ({'emotion', 'valence'} & set(names)):
        hint = '; separate them by commas' if ';' in ''.join(names) else ''
        raise BadDataset(
            f'{path}: expected a first line that names the columns start, end and emotion (or valence, arousal), '
            f'got {",".join(names) or "nothing"}{hint}'
        )
    # A spreadsheet leaves separators of an empty line.
    return [
        _own_row(row, f'{path}, line {rows.line_num}')
        for row in rows
        if any((cell or '').strip() for cell in row.values() if not isinstance(cell, list))
    ]


def _own_row(row, where):
    values = {name: (row.get(name) or '').strip() for name in _COLUMNS}
    start, end = (_number(values[name], f'{where}: {name}', 'a time in seconds') for name in ('start', 'end'))
    if end > _SECONDS_TO_S:
        unit = 'milliseconds' if end < 1e14 else 'microseconds' if end < 1e17 else 'nanoseconds'
        raise BadDataset(
            f'{where}: expected times in seconds, got {values["end"]}, which looks like a stamp in {unit}; '
            f'divide all times by {_UNITS[unit]:,}'
        )
    if end <= start:
        raise BadDataset(f'{where}: expected an end after the start, got {values["start"]} to {values["end"]}')
    face = '' if values['face'].lower() in ('', 'any', '*') else values['face']
    valence, arousal = (_affect(values[name], f'{where}: {name}') for name in ('valence', 'arousal'))
    emotion = emotion_of(values['emotion'], where) if values['emotion'] else ''
    if not emotion and valence is None and arousal is None:
        raise BadDataset(f'{where}: expected an emotion, or valence and arousal, got neither')
    return start, end, face, GroundTruth(emotion, valence, arousal)


def _elan_tiers(path):
    """Read an .eaf file; annotations without times of their own have those of the one that they refer to."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # an unknown encoding is a LookupError
        raise BadDataset(f'{path}: expected a file of ELAN, it cannot be read ({error})') from error
    slots = {slot.get('TIME_SLOT_ID'): slot.get('TIME_VALUE') for slot in root.iter('TIME_SLOT')}
    times: dict[str | None, tuple[float, float]] = {}
    for each in root.iter('ALIGNABLE_ANNOTATION'):
        start, end = (slots.get(each.get(name)) for name in ('TIME_SLOT_REF1', 'TIME_SLOT_REF2'))
        if start is not None and end is not None:
            where = f'{path}, annotation {each.get("ANNOTATION_ID")}'
            start_s, end_s = (_number(text, where, 'a time in milliseconds') / 1000 for text in (start, end))
            times[each.get('ANNOTATION_ID')] = (start_s, end_s)
    refers = {each.get('ANNOTATION_ID'): each.get('ANNOTATION_REF') for each in root.iter('REF_ANNOTATION')}
    for tier in root.iter('TIER'):
        for each in (*tier.iter('ALIGNABLE_ANNOTATION'), *tier.iter('REF_ANNOTATION')):
            name, value = each.get('ANNOTATION_ID'), (each.findtext('ANNOTATION_VALUE') or '').strip()
            for _ in range(100):  # a damaged file may refer in a circle
                if name in times or name not in refers:
                    break
                name = refers[name]
            if name in times and value:
                where = f'{path}, tier {tier.get("TIER_ID")} at {times[name][0]:g} s'
                yield _Annotation(tier.get('TIER_ID') or '', *times[name], value, where)


def _elan_text(content, path):
    """Read ELAN's tab-delimited text: a line an annotation, or with a header that names a column for each tier."""
    lines = [line.split('\t') for line in content.splitlines()]
    header = lines[0] if lines and any(cell.startswith('Begin Time') for cell in lines[0]) else None
    for number, cells in enumerate(lines, 1):
        where = f'{path}, line {number}'
        if number == 1 and header or not any(cell.strip() for cell in cells):
            continue
        if header:
            row = dict(zip(header, cells))
            ends = [
                next((row.get(name, '') for name in header if name.startswith(kind)), '') for kind in ('Begin', 'End')
            ]
            others = [name for name in header if not re.match('(Begin Time|End Time|Duration)', name)]
            found = [(name, row.get(name, '')) for name in others if name not in ('Tier', 'Participant')]
            found = found if 'Tier' not in header else [(row.get('Tier', ''), row.get(others[-1], ''))]
        else:
            places = [place for place, cell in enumerate(cells) if place and re.fullmatch(r'[\d:.]+', cell.strip())]
            times = [cells[place] for place in places[: -1 if places and places[-1] == len(cells) - 1 else None]]
            # Begin, end and duration, each in one format or several.
            third, half = len(times) // 3, len(times) // 2
            is_three = len(times) % 3 == 0 and third and _lasts(times[0], times[third], times[2 * third])
            ends = [times[0], times[third if is_three else half]] if len(times) > 1 else ['', '']
            found = [(cells[0], cells[-1])]
        start_s, end_s = (_elan_time(text, where) for text in ends)
        for tier, value in found:
            if value.strip():
                yield _Annotation(tier.strip(), start_s, end_s, value.strip(), where)


def _elan_time(text, where):
    """Read a time of ELAN in seconds: hh:mm:ss.ms, seconds with a point, or milliseconds."""
    try:
        if ':' in text:
            hours, minutes, seconds = (float(part) for part in text.split(':'))
            return 3600 * hours + 60 * minutes + seconds
        return float(text) if '.' in text else int(text) / 1000
    except ValueError:
        raise BadDataset(f'{where}: expected a time of ELAN (hh:mm:ss.ms, ss.ms or ms), got {text!r}') from None


def _lasts(begin, end, duration):
    begin_s, end_s, duration_s = (_elan_time(text, '') for text in (begin, end, duration))
    return abs(end_s - begin_s - duration_s) < 0.0015


def _boris_table(content):
    """Give BORIS's table as (line number, row); [] for any other file."""
    lines = content.splitlines()
    for place, line in enumerate(lines[:_HEAD_LINES]):
        delimiter = '\t' if '\t' in line else ','
        names = [cell.strip().strip('"').lower() for cell in line.split(delimiter)]
        if 'behavior' in names and {'time', 'start (s)'} & set(names):
            rows = csv.DictReader(lines[place + 1 :], names, delimiter=delimiter)
            return [(place + 1 + rows.line_num, row) for row in rows]
    return []


def _of_boris(table, subject, path):
    """Read tabular events (a line for each start and stop) or aggregated ones (a line for each interval)."""
    found: list[_Annotation] = []
    others: set[str] = set()
    open_since: dict[tuple[str, str], float] = {}
    for number, row in table:
        where = f'{path}, line {number}'
        cells = {name: (cell or '').strip() for name, cell in row.items() if isinstance(name, str)}
        who, word = cells.get('subject', ''), cells.get('behavior', '')
        kind = (cells.get('status') or cells.get('behavior type') or '').upper()
        if word.lower() not in WORDS or kind == 'POINT':
            others |= {word} if word else set()
        elif 'start (s)' in cells:
            start_s, end_s = (
                _number(cells.get(name, ''), where, 'a time in seconds') for name in ('start (s)', 'stop (s)')
            )
            found.append(_Annotation(who, start_s, end_s, word, where))
        else:
            time_s = _number(cells.get('time', ''), where, 'a time in seconds')
            began = open_since.pop((who, word), None)
            if (began is None) != (kind == 'START'):
                raise BadDataset(f'{where}: expected starts and stops of {word} in turn, got {kind or "no status"!r}')
            if began is None:
                open_since[who, word] = time_s
            else:
                found.append(_Annotation(who, began, time_s, word, where))
    if open_since:
        raise BadDataset(f'{path}: expected a stop of each start, got none of {next(iter(open_since))[1]}')
    rows, left_out = _of_tiers(sorted(found, key=lambda each: each.start_s), subject, path)
    texts = [left_out, f'behaviours that are no intervals of emotions: {", ".join(sorted(others))}' if others else '']
    return rows, '; '.join(filter(None, texts))


def _of_tiers(annotations: list[_Annotation], wanted: str, path: str) -> tuple[list[Row], str]:
    """Choose the tier of emotions and those of valence and arousal."""
    tiers: dict[str, list[_Annotation]] = {}
    for each in annotations:
        tiers.setdefault(each.tier, []).append(each)
    sides = {name: next((side for side in ('valence', 'arousal') if name.lower().endswith(side)), '') for name in tiers}
    chosen = [name for name in tiers if not wanted or name.lower().startswith(wanted.lower())]
    exact = [name for name in chosen if name == wanted]
    chosen = [name for name in chosen if sides[name] or (name in exact if exact else wanted or _all_words(tiers[name]))]
    there = ', '.join(tiers) or 'none'
    for side in ('', 'valence', 'arousal'):
        several = [name for name in chosen if sides[name] == side]
        if len(several) > 1:
            raise BadDataset(
                f'{path}: expected one tier (or subject) with {side or "emotions"}, got {", ".join(several)}; name one '
                f'as {path}#{several[0]}, or each of them as a rater of its own'
            )
    if not chosen:
        raise BadDataset(
            f'{path}: expected a tier (or subject) {wanted or "with emotions: " + ", ".join(WORDS)}, got {there}'
        )
    rows = [_tier_row(each, sides[name]) for name in chosen for each in tiers[name]]
    left = [name for name in tiers if name not in chosen] if not wanted else []
    return rows, f'tiers without emotions are left out: {", ".join(left)}' if left else ''


def _all_words(annotations: Iterable[_Annotation]) -> bool:
    return all(each.value.lower() in WORDS for each in annotations)


def _tier_row(each: _Annotation, side: str) -> Row:
    if each.end_s <= each.start_s:
        raise BadDataset(f'{each.where}: expected an end after the start, got {each.start_s:g} to {each.end_s:g} s')
    if side:
        value = affect_of(_number(each.value, each.where, 'a number in [-1, 1]'), each.where)
        truth = GroundTruth(valence=value) if side == 'valence' else GroundTruth(arousal=value)
        return each.start_s, each.end_s, '', truth
    return each.start_s, each.end_s, '', GroundTruth(emotion_of(each.value, each.where))


def _affect(text, where):
    return affect_of(_number(text, where, 'a number in [-1, 1]'), where) if text else None


def _number(text, where, expected):
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = '; write the decimal point as a point' if ',' in text else ''
        raise BadDataset(f'{where}: expected {expected}, got {text!r}{hint}')
    return number
