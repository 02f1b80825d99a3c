"""What a recording's page says in words: times, counts, and the few sentences that tell what happened."""

import math
from datetime import datetime, timezone

from facial_emotion_ros.emotions import UNKNOWN

_NUMBERS = ('no', 'one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight', 'nine', 'ten', 'eleven', 'twelve')

#: An emotion that takes at least this share of what was told names the whole recording.
_MOSTLY = 0.5


def clock(seconds):
    """Write a time of the recording as m:ss, from an hour on as h:mm:ss."""
    whole = int(seconds + 1e-6)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f'{hours}:{minutes:02d}:{whole % 60:02d}' if hours else f'{minutes}:{whole % 60:02d}'


def duration(seconds):
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


def percentage(share):
    """Write a share as whole percents, of less than one as '<1%'; a dash where there is none."""
    if share is None or not math.isfinite(share):
        return '–'
    if 0 < share < 0.01:
        return '<1%'
    return f'{100 * share:.0f}%' if share <= 0.99 or share == 1 else '>99%'


def number(value, digits=2):
    """Write a number; a dash where there is none."""
    return '–' if value is None or not math.isfinite(value) else f'{value:,.{digits}f}'


def counted(count, noun):
    """Write a count with its noun, small ones in words: 'three faces'."""
    word = _NUMBERS[count] if 0 <= count < len(_NUMBERS) else f'{count:,}'
    if noun == 'person' and count != 1:
        return f'{word} people'
    return f'{word} {noun}' + ('' if count == 1 else 's')


def many(count, noun):
    """Write a count in digits with its noun: '1 recording', '40 recordings'."""
    return f'{count:,} {noun}' + ('' if count == 1 else 's')


def interval(bounds, to=' to '):
    """Write the two ends of an interval of shares; one of them where both read the same."""
    low, high = (percentage(each) for each in bounds)
    return low if low == high else f'{low}{to}{high}'


def moment_of(start):
    """Write when a recording was begun.

    :param start: text as it is, or seconds or nanoseconds since 1970.
    :returns: str; '' where nothing is known.
    """
    if isinstance(start, (int, float)) and start > 0:
        seconds = start / 1e9 if start > 1e12 else start
        return datetime.fromtimestamp(seconds, timezone.utc).strftime('%Y-%m-%d %H:%M:%S UTC')
    return str(start or '')


def headline(summary, length_s):
    """Say in one line what happened.

    :param summary: as summary.json holds it; what is absent is left out.
    :param length_s: seconds from the first to the last image.
    :returns: str.
    """
    overall = summary.get('overall') or {}
    if not overall.get('frames'):
        return 'No image of this recording could be read'
    if not overall.get('faces'):
        return f'No face was seen in {duration(length_s)}'
    # A person who leaves and comes back is a new face; how many people that were is known from a truth alone.
    who = counted(overall['persons'], 'person') if overall.get('persons') else counted(overall['faces'], 'face')
    said = f'{who.capitalize()} in {duration(length_s)}'
    ranked = _ranked(overall)
    if not ranked:
        return f'{said}, none of which could be read'
    if len(ranked) > 1 and ranked[0][1] < _MOSTLY:
        return f'{said}: most often {ranked[0][0]}, then {ranked[1][0]}'
    return f'{said}: {"nothing but" if len(ranked) == 1 else "mostly"} {ranked[0][0]}'


def story_in_words(summary):
    """Say in a few sentences what was read, and how well.

    :param summary: as summary.json holds it.
    :returns: list of str; empty where there is nothing to say.
    """
    overall, truth = summary.get('overall') or {}, summary.get('truth') or {}
    said = []
    ranked = _ranked(overall)
    if ranked:
        rest = [f'{word} {percentage(share)}' for word, share in ranked[1:4] if share >= 0.005]
        said.append(f'Of all that was told, {percentage(ranked[0][1])} was {ranked[0][0]}'
                    + (f', then {", ".join(rest)}' if rest else '') + '.')
    if overall.get('unknown_share'):
        said.append(f'In {percentage(overall["unknown_share"])} of the views of a face the network did not commit '
                    'itself: too small, too blurred, cut off, in bad light, or unsure.')
    if truth.get('accuracy') is not None:
        bounds = (truth.get('intervals') or {}).get('accuracy')
        within = f' (95%: {interval(bounds)})' if bounds else ''
        said.append(f'Against the truth, {percentage(truth["accuracy"])} of the answers are right{within}.')
        if truth.get('missed'):
            said.append(f'Of the faces that the truth names, {percentage(truth.get("found"))} were found.')
    elif overall.get('faces') and not truth:
        said.append('No truth came with the recording: how often the answers are right cannot be told.')
    return said


def _ranked(overall):
    """List (emotion, share of what was told) by falling share."""
    shares = {word: share for word, share in (overall.get('emotions') or {}).items() if word != UNKNOWN and share}
    known = sum(shares.values())
    return sorted(((word, share / known) for word, share in shares.items()), key=lambda each: -each[1])
