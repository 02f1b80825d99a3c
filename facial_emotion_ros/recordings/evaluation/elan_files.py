"""Read ELAN files: .eaf and tab-delimited text."""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple
from xml.etree import ElementTree

from facial_emotion_ros.core.csv_rows import number_of
from facial_emotion_ros.core.errors import BadDataset

#: Maximum number of time formats that ELAN writes side by side, and the tolerance in s between them.
_MOST_FORMATS, _SAME_S = 4, 0.0015

_UNKNOWN = (math.nan, math.nan)


class Annotation(NamedTuple):
    """One annotation: tier (or subject), times in s (NaN if the file has none), value; where: its place, for errors."""

    tier: str
    start_s: float
    end_s: float
    value: str
    where: str


def eaf_annotations(path: str) -> Iterator[Annotation]:
    """Read an .eaf file.

    Annotations of a subdivision without times divide their parent's time evenly, as ELAN shows them: time slots without
    a value are interpolated along the chain of annotations that they join, and annotations that refer to one of another
    tier follow each other within it.

    :raises BadDataset: if it cannot be read.
    :raises OSError: if it cannot be opened.

    Source: Max Planck Institute for Psycholinguistics, ELAN Annotation Format 3.0, TIME_SLOT and REF_ANNOTATION.
    """
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # an unknown encoding is a LookupError
        raise BadDataset(f'{path}: expected an ELAN file, but it cannot be read ({error})') from error
    tiers = _parents_first(list(root.iter('TIER')))
    slots = {
        slot.get('TIME_SLOT_ID'): number_of(slot.get('TIME_VALUE', ''), path, 'a time in milliseconds') / 1000
        for slot in root.iter('TIME_SLOT')
        if slot.get('TIME_VALUE') is not None
    }
    times: dict[str | None, tuple[float, float]] = {}
    for tier in tiers:
        ends = {
            each.get('ANNOTATION_ID'): (each.get('TIME_SLOT_REF1'), each.get('TIME_SLOT_REF2'))
            for each in tier.iter('ALIGNABLE_ANNOTATION')
        }
        _fill_slots(list(ends.values()), slots)
        times.update({name: tuple(slots.get(slot, math.nan) for slot in each) for name, each in ends.items()})
        times.update(_divided(list(tier.iter('REF_ANNOTATION')), times))
    for tier in root.iter('TIER'):
        for each in (*tier.iter('ALIGNABLE_ANNOTATION'), *tier.iter('REF_ANNOTATION')):
            name, value = each.get('ANNOTATION_ID'), (each.findtext('ANNOTATION_VALUE') or '').strip()
            if value:
                start_s, end_s = times.get(name, _UNKNOWN)
                where = f'{path}, tier {tier.get("TIER_ID")}'
                where += f', annotation {name}' if math.isnan(start_s) else f' at {start_s:g} s'
                yield Annotation(tier.get('TIER_ID') or '', start_s, end_s, value, where)


def _parents_first(tiers):
    parents = {tier.get('TIER_ID'): tier.get('PARENT_REF') for tier in tiers}

    def depth(tier):
        above, count = tier.get('PARENT_REF'), 0
        while above in parents and count < len(tiers):  # a damaged file may contain a cycle
            above, count = parents[above], count + 1
        return count

    return sorted(tiers, key=depth)


def _fill_slots(ends, slots):
    """Interpolate time slots without a value along the chain of annotations between two slots with one."""
    following = dict(ends)
    for first in [first for first, _ in ends if first in slots]:
        chain = [first]
        while following.get(chain[-1]) not in (None, *chain):
            chain.append(following[chain[-1]])
            if chain[-1] in slots:
                break
        if chain[-1] in slots:
            step_s = (slots[chain[-1]] - slots[first]) / max(len(chain) - 1, 1)
            slots.update({slot: slots[first] + place * step_s for place, slot in enumerate(chain[1:-1], 1)})


def _divided(annotations, times):
    """Compute the times of annotations that refer to another tier's: siblings divide its time evenly."""
    before = {each.get('ANNOTATION_ID'): each.get('PREVIOUS_ANNOTATION') for each in annotations}
    siblings: dict[str | None, list[str | None]] = {}
    for each in annotations:
        siblings.setdefault(each.get('ANNOTATION_REF'), []).append(each.get('ANNOTATION_ID'))

    def place(name):
        count = 0
        while before.get(name) in before and count < len(before):
            name, count = before[name], count + 1
        return count

    found = {}
    for whole, names in siblings.items():
        start_s, end_s = times.get(whole, _UNKNOWN)
        step_s = (end_s - start_s) / len(names)
        for number, name in enumerate(sorted(names, key=place)):
            found[name] = (start_s + number * step_s, start_s + (number + 1) * step_s)
    return found


def text_annotations(content: str, path: str) -> Iterator[Annotation]:
    """Parse ELAN's tab-delimited text: one annotation per line, or with a header one column per tier.

    :param content: text of the file.
    :param path: its name, for errors.
    :raises BadDataset: if a line cannot be read.
    """
    lines = [line.split('\t') for line in content.splitlines()]
    header = lines[0] if lines and any(cell.startswith('Begin Time') for cell in lines[0]) else None
    for number, cells in enumerate(lines, 1):
        where = f'{path}, line {number}'
        if number == 1 and header or not any(cell.strip() for cell in cells):
            continue
        start_s, end_s, found = _by_header(header, cells, where) if header else _by_place(cells, where)
        for tier, value in found:
            if value.strip():
                yield Annotation(tier.strip(), start_s, end_s, value.strip(), where)


def _by_header(header, cells, where):
    if len(cells) != len(header):
        raise BadDataset(f'{where}: expected {len(header)} cells, like the header line, got {len(cells)}')
    row = dict(zip(header, cells))
    ends = [next((row[name] for name in header if name.startswith(kind)), '') for kind in ('Begin', 'End')]
    others = [name for name in header if not re.match('(Begin Time|End Time|Duration|File)', name)]
    values = [(name, row[name]) for name in others if name not in ('Tier', 'Participant')]
    if 'Tier' in header:
        values = [(row['Tier'], row['Annotation' if 'Annotation' in header else others[-1]])]
    return *(_seconds_of(text, where) for text in ends), values


def _by_place(cells, where):
    """Parse tier, participant (optional), begin, end, duration (optional), each in one or more formats, and value."""
    choices = [
        (first, formats, kinds) for first in (2, 1) for formats in range(1, _MOST_FORMATS + 1) for kinds in (3, 2)
    ]
    # Take the longest match: a value may be a number, too.
    for first, formats, kinds in sorted(choices, key=lambda each: -each[1] * each[2]):
        value = first + formats * kinds
        times = _consistent(cells[first:value], formats) if value < len(cells) else None
        if times:
            return *times, [(cells[0], cells[value])]
    raise BadDataset(
        f"{where}: expected tier, participant, begin, end, duration and annotation, with times in ELAN's formats "
        f'(hh:mm:ss.ms, ss.ms or ms) and an end after the begin, got {" ".join(cells)!r}'
    )


def _consistent(cells, formats):
    """Return begin and end in s; None if the formats disagree, or the duration is not their difference."""
    try:
        times = [_seconds_of(cell, '') for cell in cells]
    except BadDataset:
        return None
    kinds = [times[place : place + formats] for place in range(0, len(times), formats)]
    begin_s, end_s = kinds[0][0], kinds[1][0]
    wanted = (begin_s, end_s, end_s - begin_s)
    differs = any(abs(time - each) > _SAME_S for each, of in zip(wanted, kinds) for time in of)
    return None if differs or end_s <= begin_s else (begin_s, end_s)


def _seconds_of(text, where):
    """Parse an ELAN time into s: hh:mm:ss.ms, seconds with a decimal point, or integer milliseconds."""
    try:
        if ':' in text:
            hours, minutes, seconds = (float(part) for part in text.split(':'))
            found = 3600 * hours + 60 * minutes + seconds
        else:
            found = float(text) if '.' in text else int(text) / 1000
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise BadDataset(f'{where}: expected a time as hh:mm:ss.ms, ss.ms or ms, got {text!r}')
    return found
