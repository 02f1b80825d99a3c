"""Format numbers, times, the headline and the summary sentences of a recording's report."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.evaluation import markdown
from facial_emotion_ros.evaluation.markdown import percent

_NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve')

#: Minimum share of an emotion for "mostly" in the headline.
_MOSTLY = 0.5

#: If slow steps between images exceed this multiple of fast ones, a note says that shares count images, not time.
#: Single lost images, which double a step, are allowed.
_UNEVEN = 2.05


def clock(seconds: float) -> str:
    """Format a time of the recording as m:ss, or h:mm:ss from one hour on."""
    whole = int(seconds + 1e-6)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f'{hours}:{minutes:02d}:{whole % 60:02d}' if hours else f'{minutes}:{whole % 60:02d}'


def duration(seconds: float | None) -> str:
    """Format a duration with units and no-break spaces; a dash for None."""
    if seconds is None or not math.isfinite(seconds):
        return '–'
    if seconds < 9.95:
        return f'{seconds:.1f}\u00a0s'
    whole = round(seconds)
    if whole < 120:
        return f'{whole}\u00a0s'
    if whole < 7200:
        return f'{whole // 60}\u00a0min' + (f'\u00a0{whole % 60}\u00a0s' if whole % 60 and whole < 1200 else '')
    return f'{whole // 3600}\u00a0h' + (f'\u00a0{whole % 3600 // 60}\u00a0min' if whole % 3600 // 60 else '')


def percentage(share: float | None) -> str:
    """Format a share as whole percents, '<1%' or '>99%'; a dash for None."""
    if share is not None and 0 < share < 0.01:
        return '<1%'
    return '>99%' if share is not None and 0.99 < share < 1 else percent(share)


def number(value: float | None, digits: int = 2) -> str:
    """Format a number; a dash for None."""
    return markdown.number(value, f',.{digits}f')


def whole(count: int | None) -> str:
    """Format a count; a dash for None."""
    return '–' if count is None else f'{count:,}'


def counted(count: int, noun: str) -> str:
    """Format a count with its noun, up to twelve in words: 'three faces'."""
    word = _NUMBERS[count] if 0 <= count < len(_NUMBERS) else f'{count:,}'
    return f'{word} {_plural(count, noun)}'


def many(count: int, noun: str) -> str:
    """Format a count in digits with its noun: '1 recording', '40 recordings'."""
    return f'{count:,} {_plural(count, noun)}'


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else 'people' if noun == 'person' else f'{noun}s'


def interval(bounds: Sequence[float], to: str = ' to ') -> str:
    """Format an interval of shares; as a single number if both ends round to the same."""
    low, high = (percentage(each) for each in bounds)
    return low if low == high else f'{low}{to}{high}'


def moment_of(start_ns: int) -> str:
    """Format the start time of a recording, in ns since 1970; '' for 0 (unknown)."""
    moment = datetime.fromtimestamp(start_ns / 1e9, timezone.utc)
    return moment.strftime('%Y-%m-%d %H:%M:%S UTC') if start_ns > 0 else ''


def headline(summary: dict[str, Any], length_s: float) -> str:
    """Summarize a recording in one line.

    :param summary: content of summary.json.
    :param length_s: seconds from the first to the last image.
    """
    overall = summary['overall']
    if not overall['faces']:
        return f'No face was found in {duration(length_s)}'
    # A person who comes back may get a new face id; only ground truth has the number of people.
    who = counted(overall['persons'], 'person') if overall['persons'] else counted(overall['faces'], 'face')
    lead = f'{who.capitalize()} in {duration(length_s)}'
    ranked = _ranked(overall)
    if not ranked:
        return f'{lead}, emotions all unknown'
    if len(ranked) > 1 and ranked[0][1] < _MOSTLY:
        return f'{lead}: most often {ranked[0][0]}, then {ranked[1][0]}'
    mostly = 'most views' if _uneven(summary) else 'mostly'
    return f'{lead}: {"only" if len(ranked) == 1 else mostly} {ranked[0][0]}'


def sentences(summary: dict[str, Any]) -> list[str]:
    """Summarize emotions and accuracy in a few sentences.

    :param summary: content of summary.json.
    """
    overall, truth = summary['overall'], summary['truth'] or {}
    sentences = []
    ranked = _ranked(overall)
    if ranked:
        rest = [f'{word} {percentage(share)}' for word, share in ranked[1:4] if share >= 0.005]
        sentences.append(
            f'Of the views with an emotion, {percentage(ranked[0][1])} are {ranked[0][0]}'
            + (f', then {", ".join(rest)}' if rest else '')
            + '.'
        )
    if overall['unknown_share']:
        sentences.append(
            f'In {percentage(overall["unknown_share"])} of the views of a face the emotion is unknown: '
            'too small, blurred, cut off, in bad light, or uncertain.'
        )
    if truth.get('accuracy') is not None:
        bounds = truth['intervals'].get('accuracy')
        within = f' (95%: {interval(bounds)})' if bounds else ''
        sentences.append(f'Accuracy against the ground truth: {percentage(truth["accuracy"])}{within}.')
        if truth['missed']:
            sentences.append(f'Of the annotated faces, {percentage(truth["found"])} were found.')
    elif overall['faces'] and not truth:
        sentences.append('The recording has no ground truth, so the accuracy is unknown.')
    return sentences + [f'{each}.' for each in _uneven(summary)]


def uneven_rate(camera: str, figures: Mapping[str, Any]) -> str:
    """Return a note if a camera's images are unevenly spaced in time; else ''.

    :param camera: its topic.
    :param figures: its figures in summary.json.
    """
    fast_s, slow_s = figures['steps_s'] or (0.0, 0.0)
    if slow_s <= _UNEVEN * fast_s:
        return ''
    return (
        f'{camera}: the time between images varies from {fast_s:.2g} to {slow_s:.2g} s; shares and means count '
        'images and are not weighted by time, unlike those of people.csv (--people)'
    )


def _uneven(summary: dict[str, Any]) -> list[str]:
    return [text for each in summary['cameras'].items() if (text := uneven_rate(*each))]


def _ranked(overall: dict[str, Any]) -> list[tuple[str, float]]:
    """List (emotion, share without unknown) by descending share."""
    shares = {word: share for word, share in overall['emotions'].items() if word != UNKNOWN and share}
    known = sum(shares.values())
    return sorted(((word, share / known) for word, share in shares.items()), key=lambda each: -each[1])


def steps_in_words(steps: Collection[str]) -> dict[str, str]:
    """Return the display names of processing steps, in order.

    :param steps: steps with times; without 'detect', the last one includes detection.
    """
    names = {
        'read': 'reading the recording',
        'decode': 'decoding images',
        'detect': 'face detection',
        'estimate': ('' if 'detect' in steps else 'face detection, ') + 'tracking and estimation',
    }
    return {step: name for step, name in names.items() if step in steps}


def named(bundle: dict[str, Any]) -> str:
    """Format a bundle of summary.json: name, version, operating point, hash."""
    text = ' '.join(str(bundle[key]) for key in ('name', 'version') if bundle.get(key))
    text += f', operating point {bundle["operating_point"]}' if bundle.get('operating_point') else ''
    return text + (f', sha256 {bundle["sha256"]}' if bundle.get('sha256') else '')
