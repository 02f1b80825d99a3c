"""Numbers, times and the few sentences of a recording's page."""

import math
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from facial_emotion_ros.core.emotions import UNKNOWN
from facial_emotion_ros.evaluation import markdown
from facial_emotion_ros.evaluation.markdown import percent

_NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve')

#: An emotion with at least this share of the answers names the whole recording.
_MOSTLY = 0.5

#: Where the slow images are more times as far apart as the fast ones, it is said that images are counted, not time. One
#: image that is lost now and then makes steps of twice the usual length.
_UNEVEN = 2.05


def clock(seconds: float) -> str:
    """Write a time of the recording as m:ss, from an hour on as h:mm:ss."""
    whole = int(seconds + 1e-6)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f'{hours}:{minutes:02d}:{whole % 60:02d}' if hours else f'{minutes}:{whole % 60:02d}'


def duration(seconds: float | None) -> str:
    """Write a duration as people say it, not to be broken into two lines; a dash where there is none."""
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
    """Write a share as whole percents, of less than one as '<1%'; a dash where there is none."""
    if share is not None and 0 < share < 0.01:
        return '<1%'
    return '>99%' if share is not None and 0.99 < share < 1 else percent(share)


def number(value: float | None, digits: int = 2) -> str:
    """Write a number; a dash where there is none."""
    return markdown.number(value, f',.{digits}f')


def whole(count: int | None) -> str:
    """Write a count; a dash where there is none."""
    return '–' if count is None else f'{count:,}'


def counted(count: int, noun: str) -> str:
    """Write a count with its noun, small ones in words: 'three faces'."""
    word = _NUMBERS[count] if 0 <= count < len(_NUMBERS) else f'{count:,}'
    return f'{word} {_plural(count, noun)}'


def many(count: int, noun: str) -> str:
    """Write a count in digits with its noun: '1 recording', '40 recordings'."""
    return f'{count:,} {_plural(count, noun)}'


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else 'people' if noun == 'person' else f'{noun}s'


def interval(bounds: Sequence[float], to: str = ' to ') -> str:
    """Write the two ends of an interval of shares; one of them where both read the same."""
    low, high = (percentage(each) for each in bounds)
    return low if low == high else f'{low}{to}{high}'


def moment_of(start_ns: int) -> str:
    """Write when a recording was begun, in nanoseconds since 1970; '' for 0, where that is not known."""
    moment = datetime.fromtimestamp(start_ns / 1e9, timezone.utc)
    return moment.strftime('%Y-%m-%d %H:%M:%S UTC') if start_ns > 0 else ''


def headline(summary: dict[str, Any], length_s: float) -> str:
    """Say in one line what happened.

    :param summary: as summary.json holds it.
    :param length_s: seconds from the first to the last image.
    """
    overall = summary['overall']
    if not overall['faces']:
        return f'No face was seen in {duration(length_s)}'
    # A person who leaves and comes back is a new face; only ground truth says how many people that were.
    who = counted(overall['persons'], 'person') if overall['persons'] else counted(overall['faces'], 'face')
    lead = f'{who.capitalize()} in {duration(length_s)}'
    ranked = _ranked(overall)
    if not ranked:
        return f'{lead}, none of which could be read'
    if len(ranked) > 1 and ranked[0][1] < _MOSTLY:
        return f'{lead}: most often {ranked[0][0]}, then {ranked[1][0]}'
    mostly = 'most views' if _uneven(summary) else 'mostly'
    return f'{lead}: {"nothing but" if len(ranked) == 1 else mostly} {ranked[0][0]}'


def sentences(summary: dict[str, Any]) -> list[str]:
    """Say in a few sentences what was read, and how well.

    :param summary: as summary.json holds it.
    :returns: empty where there is nothing to say.
    """
    overall, truth = summary['overall'], summary['truth'] or {}
    sentences = []
    ranked = _ranked(overall)
    if ranked:
        rest = [f'{word} {percentage(share)}' for word, share in ranked[1:4] if share >= 0.005]
        sentences.append(
            f'Of all answers, {percentage(ranked[0][1])} were {ranked[0][0]}'
            + (f', then {", ".join(rest)}' if rest else '')
            + '.'
        )
    if overall['unknown_share']:
        sentences.append(
            f'In {percentage(overall["unknown_share"])} of the views of a face the network did not commit '
            'itself: too small, too blurred, cut off, in bad light, or unsure.'
        )
    if truth.get('accuracy') is not None:
        bounds = truth['intervals'].get('accuracy')
        within = f' (95%: {interval(bounds)})' if bounds else ''
        sentences.append(f'Against the truth, {percentage(truth["accuracy"])} of the answers are right{within}.')
        if truth['missed']:
            sentences.append(f'Of the faces that the truth names, {percentage(truth["found"])} were found.')
    elif overall['faces'] and not truth:
        sentences.append('The recording has no ground truth, so the accuracy is unknown.')
    return sentences + [f'{each}.' for each in _uneven(summary)]


def uneven_rate(camera: str, figures: Mapping[str, Any]) -> str:
    """Say that a camera's images are not evenly spaced in time, and what that means; '' where they are.

    :param camera: its topic.
    :param figures: of it, as summary.json has them.
    """
    fast_s, slow_s = figures['steps_s'] or (0.0, 0.0)
    if slow_s <= _UNEVEN * fast_s:
        return ''
    return (
        f'{camera}: the time from one image to the next varies from {fast_s:.2g} to {slow_s:.2g} s; shares and means '
        'count images, whatever time they stand for, and those of people.csv (--people) time'
    )


def _uneven(summary: dict[str, Any]) -> list[str]:
    return [text for each in summary['cameras'].items() if (text := uneven_rate(*each))]


def _ranked(overall: dict[str, Any]) -> list[tuple[str, float]]:
    """List (emotion, share of the answers) by falling share."""
    shares = {word: share for word, share in overall['emotions'].items() if word != UNKNOWN and share}
    known = sum(shares.values())
    return sorted(((word, share / known) for word, share in shares.items()), key=lambda each: -each[1])


def steps_in_words(steps: Collection[str]) -> dict[str, str]:
    """Name the steps of the work with a frame.

    :param steps: names of those that took time of their own; without 'detect', faces are found in the last step.
    :returns: those that are there, in the order of the work.
    """
    names = {
        'read': 'reading the recording',
        'decode': 'decoding the picture',
        'detect': 'finding faces',
        'estimate': ('' if 'detect' in steps else 'finding, ') + 'following and reading faces',
    }
    return {step: name for step, name in names.items() if step in steps}


def named(bundle: dict[str, Any]) -> str:
    """Name a bundle, its operating point and its hash, as summary.json has them."""
    text = ' '.join(str(bundle[key]) for key in ('name', 'version') if bundle.get(key))
    text += f', operating point {bundle["operating_point"]}' if bundle.get('operating_point') else ''
    return text + (f', sha256 {bundle["sha256"]}' if bundle.get('sha256') else '')
