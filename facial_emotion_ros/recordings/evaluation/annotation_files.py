"""Files of human annotation: our CSV of intervals, ELAN's tiers and its tab-delimited text, BORIS's CSV."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from facial_emotion_ros.core.emotions import EMOTIONS, EXPRESSION_WORDS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.recordings.evaluation.csv_rows import number_of, read_csv, text_of
from facial_emotion_ros.recordings.evaluation.elan_files import Annotation, eaf_annotations, text_annotations

#: Words for a class: its own name, and ROS4HRI's.
WORDS = {emotion: emotion for emotion in EMOTIONS} | {word: emotion for emotion, word in EXPRESSION_WORDS.items()}

#: Times above this are stamps (seconds since 1970), those below count from the recording's first image.
_STAMPS_FROM_S = 1e8

#: Times are the same where they differ by less: frames.csv rounds to microseconds, and a stamp in seconds is a float.
SAME_S = 1e-6

#: Endings of files; any may be followed by #TIER.
ENDINGS = ('.csv', '.eaf', '.txt', '.tsv')

#: Times above this are no seconds, but stamps in another unit: the year 5138 is far away.
_SECONDS_TO_S = 1e11
_UNITS = {'milliseconds': 1000, 'microseconds': 1000000, 'nanoseconds': 1000000000}

_ASKED = ' (times are in seconds: are these milliseconds?)'

_NUMBERS = ('start', 'end', 'valence', 'arousal')
_COLUMNS = ('face', 'emotion', *_NUMBERS)

#: Of BORIS's tables.
_OBSERVATION, _BORIS_TIMES = 'observation id', ('time', 'start (s)', 'stop (s)')
_BORIS_COLUMNS = (_OBSERVATION, 'subject', 'behavior', 'status', 'behavior type', *_BORIS_TIMES)

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


def is_stamp(time_s: float) -> bool:
    """Tell whether a time is a stamp (seconds since 1970), and not seconds since the recording's first image."""
    return time_s > _STAMPS_FROM_S


def refuse_milliseconds(starts: Sequence[float], ends: Sequence[float], length_s: float, source: str) -> None:
    """Refuse relative times that look like milliseconds: whole numbers, which as such cover much of the recording.

    Others may be seconds of a longer protocol; where most of them lie outside, :func:`doubt` asks.

    :param starts: of intervals, or times of events.
    :param ends: of intervals, or the same again.
    :param length_s: of the recording; 0 where that is not known.
    :param source: name of the file.
    :raises BadDataset: with what to do.
    """
    begins = any(length_s < time and not is_stamp(time) for time in starts)
    if begins and _may_be_milliseconds([*starts, *ends], length_s):
        raise BadDataset(
            f'{source}: expected times in seconds, got some up to {max(_relative(ends)):.12g} for a recording '
            f'of about {length_s:.1f} s, which look like milliseconds; divide them by 1000 (if they are '
            'seconds, leave out what lies beyond the end)'
        )


def doubt(outside: Sequence[float], among: int) -> str:
    """Ask whether times are milliseconds, where most that are no stamps lie outside of the recording; else ''.

    :param outside: those that do.
    :param among: number of all.
    """
    relative = len(_relative(outside))
    stamps = len(outside) - relative
    return _ASKED if 2 * relative > among - stamps else ''


def doubt_of_end(times: Sequence[float], length_s: float) -> str:
    """Ask whether times are milliseconds, where the last one looks like that; else ''."""
    return _ASKED if _may_be_milliseconds(times, length_s) else ''


def _relative(times):
    return [time for time in times if not is_stamp(time)]


def _may_be_milliseconds(times, length_s):
    times = _relative(times)
    last_s, is_whole = max(times, default=0.0), all(float(time).is_integer() for time in times)
    return length_s > 0 and is_whole and 250 * length_s < last_s <= 1100 * length_s + 1000


def is_annotation_file(text: str) -> bool:
    """Tell whether a text names a file of annotations, with or without a tier, and not a topic."""
    return text.partition('#')[0].lower().endswith(ENDINGS)


def read_intervals(text: str) -> tuple[list[Row], str, bool]:
    """Read a file of annotations.

    Times are seconds since the recording's first image, or stamps in seconds since 1970.

    :param text: its path, which may be followed by #TIER. A CSV file with a header line: start, end, and emotion or
        valence and arousal; optionally face: an id as in frames.csv, or any (or empty). Or an .eaf file or
        tab-delimited text of ELAN, of whose tiers the one with emotions is read, and those whose names end with valence
        and arousal; #TIER names it, or the beginning of the three. Or a table of BORIS, whose behaviours that are
        emotions are read; #SUBJECT names one of several, #OBSERVATION or #OBSERVATION#SUBJECT one of several
        observations.
    :returns: rows in the order of the file; what of it was left out, '' for nothing; whether the unit of its times is
        known, as that of a tool's.
    :raises BadDataset: if a line cannot be read, with its number.
    """
    path, _, tier = text.partition('#')
    if path.lower().endswith('.eaf'):
        try:
            return *_of_tiers(list(eaf_annotations(path)), tier, path), True
        except OSError as error:
            raise BadDataset(f'{path}: expected a file of annotations, it cannot be read ({error})') from error
    content = _content(path)
    above = _boris_header(content)
    if above is not None:
        return *_of_boris(_boris_table(content, above, path), tier, path), True
    if not path.lower().endswith('.csv'):
        return *_of_tiers(list(text_annotations(content, path)), tier, path), True
    rows = _own(read_csv(content, path, _COLUMNS, _NUMBERS), path)
    if not rows:
        raise BadDataset(f'{path}: expected a line for each interval below the first, got none')
    return rows, '', False


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


def _content(path):
    return text_of(path, 'CSV file of intervals' if path.lower().endswith('.csv') else 'file of annotations')


def _own(table, path):
    if not {'start', 'end'} <= set(table.names) or not ({'emotion', 'valence'} & set(table.names)):
        raise BadDataset(
            f'{path}: expected a first line that names the columns start, end and emotion (or valence, arousal), '
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
    """Give the number of lines above the header of BORIS's table; None for any other file."""
    for above, line in enumerate(content.splitlines()[:_HEAD_LINES]):
        names = [cell.strip().strip('"').lower() for cell in re.split('[,;\t]', line)]
        if 'behavior' in names and {'time', 'start (s)'} & set(names):
            return above
    return None


def observations_of(text: str) -> list[str]:
    """List the observations of a file of BORIS that has several and names none; [] for any other file.

    :param text: as of :func:`read_intervals`.
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
    """Read tabular events (a line for each start and stop) or aggregated ones (a line for each interval)."""
    observations = list(dict.fromkeys(row.get(_OBSERVATION, '') for _, row in table))
    observation, _, subject = named.partition('#')
    if observation not in observations:
        observation, subject = observations[0] if observations else '', named
        if len(observations) > 1:
            raise BadDataset(
                f'{path}: expected one observation, or one that has the name of the recording, got '
                f'{", ".join(observations)}; name one as {path}#{observations[0]}'
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
                raise BadDataset(f'{where}: expected starts and stops of {word} in turn, got {kind or "no status"!r}')
            if began is None:
                open_since[who, word] = time_s
            else:
                found.append(Annotation(who, began, time_s, word, where))
    if open_since:
        raise BadDataset(f'{path}: expected a stop of each start, got none of {next(iter(open_since))[1]}')
    rows, left_out = _of_tiers(sorted(found, key=lambda each: each.start_s), subject, path)
    texts = [left_out, f'behaviours that are no intervals of emotions: {", ".join(sorted(others))}' if others else '']
    return rows, '; '.join(filter(None, texts))


def _of_tiers(annotations: list[Annotation], wanted: str, path: str) -> tuple[list[Row], str]:
    """Choose the tier of emotions and those of valence and arousal."""
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
