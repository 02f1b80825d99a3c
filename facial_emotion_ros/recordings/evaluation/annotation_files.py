"""Read files of human annotations: our CSV of intervals, ELAN's .eaf and tab-delimited text, BORIS's CSV."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from facial_emotion_ros.core.csv_rows import number_of, read_csv, text_of
from facial_emotion_ros.core.emotions import EMOTIONS, EXPRESSION_WORDS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.recordings.evaluation.elan_files import Annotation, eaf_annotations, text_annotations

#: Accepted words for each class: its name here and in ROS4HRI.
WORDS = {emotion: emotion for emotion in EMOTIONS} | {word: emotion for emotion, word in EXPRESSION_WORDS.items()}

#: Times above this are stamps (seconds since 1970), others are relative to the recording's first image.
_STAMPS_FROM_S = 1e8

#: Tolerance for equal times: frames.csv rounds to microseconds, and stamps in seconds are floats.
SAME_S = 1e-6

#: File name endings; #TIER may follow.
ENDINGS = ('.csv', '.eaf', '.txt', '.tsv')

#: Times above this (year 5138 as a stamp in seconds) are stamps in another unit.
_SECONDS_TO_S = 1e11
_UNITS = {'milliseconds': 1000, 'microseconds': 1000000, 'nanoseconds': 1000000000}

_ASKED = ' (times are in seconds: are these milliseconds?)'

_NUMBERS = ('start', 'end', 'valence', 'arousal')
_COLUMNS = ('face', 'emotion', *_NUMBERS)

#: Columns of BORIS's tables.
_OBSERVATION, _BORIS_TIMES = 'observation id', ('time', 'start (s)', 'stop (s)')
_BORIS_COLUMNS = (_OBSERVATION, 'subject', 'behavior', 'status', 'behavior type', *_BORIS_TIMES)

#: BORIS writes metadata above the table, whose header is within this number of lines.
_HEAD_LINES = 100


class GroundTruth(NamedTuple):
    """Annotation of a face: emotion (of EMOTIONS, or ''); valence and arousal in [-1, 1], or None; person: name or id,
    or ''; votes: annotation by each of several raters, None for a rater without one.
    """

    emotion: str = ''
    valence: float | None = None
    arousal: float | None = None
    person: str = ''
    votes: tuple['GroundTruth | None', ...] = ()


#: start, end, face ('' for any) and annotation.
Row = tuple[float, float, str, GroundTruth]


def is_stamp(time_s: float) -> bool:
    """Return whether a time is a stamp (seconds since 1970) rather than seconds since the recording's first image."""
    return time_s > _STAMPS_FROM_S


def refuse_milliseconds(starts: Sequence[float], ends: Sequence[float], length_s: float, source: str) -> None:
    """Refuse relative times that look like milliseconds: whole numbers that, as milliseconds, span the recording.

    Others may be seconds of a longer session; if most of them lie outside, :func:`doubt` asks.

    :param starts: start times of intervals, or times of events.
    :param ends: end times of intervals, or the times of events again.
    :param length_s: length of the recording; 0 if unknown.
    :param source: name of the file.
    :raises BadDataset: if they look like milliseconds.
    """
    begins = any(length_s < time and not is_stamp(time) for time in starts)
    if begins and _may_be_milliseconds([*starts, *ends], length_s):
        raise BadDataset(
            f'{source}: expected times in seconds, got some up to {max(_relative(ends)):.12g} for a recording '
            f'of about {length_s:.1f} s, which look like milliseconds; divide them by 1000 (if they are '
            'seconds, remove those after the end)'
        )


def doubt(outside: Sequence[float], among: int) -> str:
    """Return a question whether times are milliseconds, if most relative times lie outside the recording; else ''.

    :param outside: times outside the recording.
    :param among: number of all times.
    """
    relative = len(_relative(outside))
    stamps = len(outside) - relative
    return _ASKED if 2 * relative > among - stamps else ''


def doubt_of_end(times: Sequence[float], length_s: float) -> str:
    """Return a question whether times are milliseconds, if the last one looks like it; else ''."""
    return _ASKED if _may_be_milliseconds(times, length_s) else ''


def _relative(times):
    return [time for time in times if not is_stamp(time)]


def _may_be_milliseconds(times, length_s):
    times = _relative(times)
    last_s, is_whole = max(times, default=0.0), all(float(time).is_integer() for time in times)
    return length_s > 0 and is_whole and 250 * length_s < last_s <= 1100 * length_s + 1000


def is_annotation_file(text: str) -> bool:
    """Return whether a text names a file of annotations, with or without #TIER, rather than a topic."""
    return text.partition('#')[0].lower().endswith(ENDINGS)


def read_intervals(text: str) -> tuple[list[Row], str, bool]:
    """Read a file of annotations.

    Times are seconds since the recording's first image, or stamps in seconds since 1970.

    :param text: path, optionally followed by #TIER. A CSV file has a header line: start, end, and emotion or valence
        and arousal; optionally face: an id of frames.csv, or any (or empty). From an ELAN file (.eaf or tab-delimited
        text), the tier with emotions is read, and those whose names end with valence and arousal; #TIER is its name, or
        the common beginning of the three. From a BORIS table, behaviours that are emotions are read; #SUBJECT chooses
        one of several subjects, #OBSERVATION or #OBSERVATION#SUBJECT one of several observations.
    :returns: rows in file order; description of what was ignored, or ''; whether the unit of the times is certain, as
        in files of tools.
    :raises BadDataset: if a line cannot be read.
    """
    path, _, tier = text.partition('#')
    if path.lower().endswith('.eaf'):
        try:
            return *_of_tiers(list(eaf_annotations(path)), tier, path), True
        except OSError as error:
            raise BadDataset(f'{path}: expected a file of annotations, but it cannot be read ({error})') from error
    content = _content(path)
    above = _boris_header(content)
    if above is not None:
        return *_of_boris(_boris_table(content, above, path), tier, path), True
    if not path.lower().endswith('.csv'):
        return *_of_tiers(list(text_annotations(content, path)), tier, path), True
    rows = _own(read_csv(content, path, _COLUMNS, _NUMBERS), path)
    if not rows:
        raise BadDataset(f'{path}: expected a row for each interval below the header line, got none')
    return rows, '', False


def emotion_of(word: str, where: str) -> str:
    """Return the class for a word.

    :raises BadDataset: if it is none of WORDS.
    """
    if word.lower() not in WORDS:
        raise BadDataset(f'{where}: expected one of {", ".join(WORDS)}, got {word!r}')
    return WORDS[word.lower()]


def affect_of(number: float | None, where: str) -> float | None:
    """Return a valence or arousal, or raise BadDataset if it is not in [-1, 1]."""
    if number is not None and not -1 <= number <= 1:
        raise BadDataset(f'{where}: expected a number in [-1, 1], got {number}')
    return None if number is None else float(number)


def _content(path):
    return text_of(path, 'CSV file of intervals' if path.lower().endswith('.csv') else 'file of annotations')


def _own(table, path):
    if not {'start', 'end'} <= set(table.names) or not ({'emotion', 'valence'} & set(table.names)):
        raise BadDataset(
            f'{path}: expected a header line with the columns start, end and emotion (or valence, arousal), '
            f'got {",".join(table.names) or "nothing"}'
        )
    return [_own_row(row, f'{path}, line {number}') for number, row in table.rows]


def _own_row(row, where):
    values = {name: row.get(name, '') for name in _COLUMNS}
    start, end = (number_of(values[name], f'{where}: {name}', 'a time in seconds') for name in ('start', 'end'))
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


def _boris_header(content):
    """Return the number of lines above the header of a BORIS table; None for other files."""
    for above, line in enumerate(content.splitlines()[:_HEAD_LINES]):
        names = [cell.strip().strip('"').lower() for cell in re.split('[,;\t]', line)]
        if 'behavior' in names and {'time', 'start (s)'} & set(names):
            return above
    return None


def observations_of(text: str) -> list[str]:
    """List the observations of a BORIS file with several, if the text chooses none; [] for other files.

    :param text: as for :func:`read_intervals`.
    :raises BadDataset: if it cannot be read.
    """
    path, _, named = text.partition('#')
    content = '' if path.lower().endswith('.eaf') else _content(path)
    above = _boris_header(content)
    table = [] if above is None else _boris_table(content, above, path)
    found = list(dict.fromkeys(row.get(_OBSERVATION, '') for _, row in table))
    return found if len(found) > 1 and named.partition('#')[0] not in found else []


def _boris_table(content, above, path):
    return read_csv(content, path, _BORIS_COLUMNS, _BORIS_TIMES, above).rows


def _of_boris(table, named, path):
    """Read tabular events (a row per start and stop) or aggregated events (a row per interval)."""
    observations = list(dict.fromkeys(row.get(_OBSERVATION, '') for _, row in table))
    observation, _, subject = named.partition('#')
    if observation not in observations:
        observation, subject = observations[0] if observations else '', named
        if len(observations) > 1:
            raise BadDataset(
                f'{path}: expected one observation, or one with the name of the recording, got '
                f'{", ".join(observations)}; choose one with {path}#{observations[0]}'
            )
    found: list[Annotation] = []
    others: set[str] = set()
    open_since: dict[tuple[str, str], float] = {}
    for number, cells in table:
        if cells.get(_OBSERVATION, '') != observation:
            continue
        where = f'{path}, line {number}'
        who, word = cells.get('subject', ''), cells.get('behavior', '')
        kind = (cells.get('status') or cells.get('behavior type') or '').upper()
        if word.lower() not in WORDS or kind == 'POINT':
            others |= {word} if word else set()
        elif 'start (s)' in cells:
            start_s, end_s = (
                number_of(cells.get(name, ''), where, 'a time in seconds') for name in ('start (s)', 'stop (s)')
            )
            found.append(Annotation(who, start_s, end_s, word, where))
        else:
            time_s = number_of(cells.get('time', ''), where, 'a time in seconds')
            began = open_since.pop((who, word), None)
            if (began is None) != (kind == 'START'):
                raise BadDataset(
                    f'{where}: expected alternating starts and stops of {word}, got {kind or "no status"!r}'
                )
            if began is None:
                open_since[who, word] = time_s
            else:
                found.append(Annotation(who, began, time_s, word, where))
    if open_since:
        raise BadDataset(f'{path}: expected a stop for each start, got none for {next(iter(open_since))[1]}')
    rows, left_out = _of_tiers(sorted(found, key=lambda each: each.start_s), subject, path)
    texts = [left_out, f'ignored behaviours, not intervals of emotions: {", ".join(sorted(others))}' if others else '']
    return rows, '; '.join(filter(None, texts))


def _of_tiers(annotations: list[Annotation], wanted: str, path: str) -> tuple[list[Row], str]:
    """Read the tier of emotions and those of valence and arousal."""
    tiers: dict[str, list[Annotation]] = {}
    for each in annotations:
        tiers.setdefault(each.tier, []).append(each)
    sides = {name: next((side for side in ('valence', 'arousal') if name.lower().endswith(side)), '') for name in tiers}
    chosen = [name for name in tiers if not wanted or name.lower().startswith(wanted.lower())]
    exact = [name for name in chosen if name == wanted]
    of_words = [name for name, each in tiers.items() if all(one.value.lower() in WORDS for one in each)]
    chosen = [name for name in chosen if sides[name] or (name in exact if exact else wanted or name in of_words)]
    there = ', '.join(tiers) or 'none'
    for side in ('', 'valence', 'arousal'):
        several = [name for name in chosen if sides[name] == side]
        if len(several) > 1:
            raise BadDataset(
                f'{path}: expected one tier (or subject) with {side or "emotions"}, got {", ".join(several)}; choose '
                f'one with {path}#{several[0]}, or use each as a separate rater'
            )
    if not chosen:
        raise BadDataset(
            f'{path}: expected a tier (or subject) {wanted or "with emotions: " + ", ".join(WORDS)}, got {there}'
        )
    rows = [_tier_row(each, sides[name]) for name in chosen for each in tiers[name]]
    left = [name for name in tiers if name not in chosen] if not wanted else []
    return rows, f'ignored tiers without emotions: {", ".join(left)}' if left else ''


def _tier_row(each: Annotation, side: str) -> Row:
    if not each.end_s > each.start_s:
        came = 'no time' if math.isnan(each.end_s) else f'{each.start_s:g} to {each.end_s:g} s'
        raise BadDataset(f'{each.where}: expected an end after the start, got {came}')
    if side:
        value = affect_of(number_of(each.value, each.where, 'a number in [-1, 1]'), each.where)
        truth = GroundTruth(valence=value) if side == 'valence' else GroundTruth(arousal=value)
        return each.start_s, each.end_s, '', truth
    return each.start_s, each.end_s, '', GroundTruth(emotion_of(each.value, each.where))


def _affect(text, where):
    return affect_of(number_of(text, where, 'a number in [-1, 1]'), where) if text else None
