"""The node's condition as (level, message, values), computed from `now`, so that silence shows. Pure Python."""

import math
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from facial_emotion_ros.image_stamps import ODD_STAMPS

# The levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR = 0, 1, 2

#: A fault shows for this long after it happened.
RECENT_S = 10.0

#: Rates are taken over this long.
RATE_S = 5.0

#: What keeps a node in that state from reading images, whoever listens, and the next step.
_NOT_READING = {
    'inactive': 'Inactive: no image is read until the node is activated.',
    'unconfigured': 'Unconfigured: no image is read until the node is configured and activated.',
    'configuring': 'Configuring: models are being loaded; building the engines of TensorRT takes minutes.',
    'finalized': 'Finalized: this node was shut down for good; start it anew.',
    'disabled': 'Disabled: no image is read until ~/enable is called with true.',
}

#: What the input suffers from, though images come.
_SUFFERS = {
    'bad': 'A malformed image was dropped %.1f s ago: %s',
    'expired': 'An image that was too old was dropped %.1f s ago: %s',
    'unstamped': 'An image without a stamp came %.1f s ago: %s',
    'frozen': 'An image with the stamp of the one before came %.1f s ago: %s',
    'backwards': 'The stamps of the images went back %.1f s ago: %s',
    'future': 'An image with a stamp in the future came %.1f s ago: %s',
    'past': 'An image with a stamp far in the past came %.1f s ago: %s',
    'flat': 'An image without contrast came %.1f s ago: %s',
    'refused_ids': 'Faces of a list were left out %.1f s ago: %s',
}

#: The numbers that diagnostics show of the input; see FrameTally.
_COUNTS = ('received', 'processed', 'replaced', 'bad', 'expired', 'failed', 'waiting', 'in_work') + ODD_STAMPS + (
    'flat', 'refused_ids', 'refused_requests', 'clock_jumps')

#: What usually keeps an image in a stage, and the next step.
_SLOW_STAGES = {
    'decoding': 'it is very large, or made to be slow; look at who publishes it',
    'detecting faces': 'the detector is slow or hangs; if it goes on, restart the node',
    'reading emotions': 'the model is slow or hangs; if it goes on, restart the node',
    'publishing': 'the middleware does not take the answer; if it goes on, restart the node',
}

#: How a part is: level, a sentence, and values by name.
Condition = Tuple[int, str, Dict[str, Any]]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least of the values that at least that share of them does not exceed (nearest rank).

    :param values: any order; none gives NaN.
    :param share: in [0, 1]: 0.5 the median, 0.99, 1 the largest.
    :returns: one of the values.
    """
    if not values:
        return float('nan')
    ordered = sorted(values)
    rank = math.ceil(round(share * len(ordered), 6))  # else 0.07 of a hundred were eight
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def rate(times_s: Sequence[float], now_s: float) -> float:
    """Return how many events a second there were lately.

    :param times_s: when they were, rising; those kept must reach back RATE_S, or to the first event.
    :param now_s: on the same clock.
    :returns: events per second; one alone has no rate and gives 0.
    """
    lately = [time_s for time_s in times_s if now_s - time_s <= RATE_S]
    if len(lately) < 2 or lately[0] == lately[-1]:
        return 0.0
    # After the last event the time since counts as well, once it is longer than the usual gap: the rate then falls.
    gaps = len(lately) - 1
    usual_s = (lately[-1] - lately[0]) / gaps
    return gaps / (lately[-1] - lately[0] + max(0.0, now_s - lately[-1] - usual_s))


def _latest_fault(now_s, faults, kinds):
    """Return (kind, seconds ago, reason) of the latest recent fault of some kinds, or None."""
    recent = [(now_s - at_s, kind, reason) for kind, (at_s, reason) in faults.items()
              if kind in kinds and now_s - at_s <= RECENT_S]
    if not recent:
        return None
    ago_s, kind, reason = min(recent)
    return kind, ago_s, reason


def input_health(now_s: float, counts: Mapping[str, Any], topic: str, listening_since_s: Optional[float],
                 publishers: Sequence[str], faults: Mapping[str, Tuple[float, str]], max_silence_s: float = 2.0,
                 state: str = 'active', unread: str = '', rivals: Sequence[str] = ()) -> Condition:
    """Judge what comes in.

    :param now_s: monotonic time, seconds, as all times here.
    :param counts: the numbers of _COUNTS, and 'arrivals_s' (times of the latest images, rising).
    :param topic: the image topic, for the message.
    :param listening_since_s: when the subscription was made; None while there is none (not active, or nobody looks).
    :param publishers: names of the nodes that publish on the topic now.
    :param faults: outcome ('bad', 'expired', ...) -> when it happened last, and why.
    :param max_silence_s: no image for longer than this is an error.
    :param state: 'active', or a key of _NOT_READING.
    :param unread: what is published that is not read, and the cure; ''.
    :param rivals: names of the nodes of several cameras on the one topic.
    :returns: OK (not active, idle, waiting for the first image, or images come), WARN (images come from several
        cameras, or are malformed, too old, without contrast or with an odd stamp), ERROR (silence although someone
        listens).
    """
    arrivals_s = counts['arrivals_s']
    values = {name: counts[name] for name in _COUNTS}
    values['topic'] = topic
    values['publishers'] = len(publishers)
    values['rate_hz'] = rate(arrivals_s, now_s)
    values['silence_s'] = now_s - arrivals_s[-1] if arrivals_s else float('nan')
    if state in _NOT_READING:
        return OK, _NOT_READING[state], values
    if listening_since_s is None:
        return OK, 'Idle: nobody listens.', values
    heard_s = max([listening_since_s] + list(arrivals_s[-1:]))
    silence_s = now_s - heard_s
    if silence_s > max_silence_s:
        count = len(publishers)
        cause = unread or (
            f'nothing publishes on {topic}; start the camera or correct the topic' if not count else
            f'{count} publisher{"s" * (count > 1)} on {topic}; look at QoS, shared memory and driver')
        return ERROR, f'No image for {silence_s:.1f} s: {cause}.', values
    if heard_s == listening_since_s:
        return OK, 'Waiting for the first image.', values
    if rivals:
        return WARN, (f'{len(rivals)} publishers on {topic} ({", ".join(rivals)}): faces are mixed up and get new ids '
                      'all the time; give each camera a topic and a node of its own.'), values
    fault = _latest_fault(now_s, faults, tuple(_SUFFERS))
    if fault:
        kind, ago_s, reason = fault
        return WARN, _SUFFERS[kind] % (ago_s, reason), values
    return OK, f'Images come at {values["rate_hz"]:.1f} Hz.', values


def inference_health(now_s: float, counts: Mapping[str, Any], provider: str, degraded: str,
                     faults: Mapping[str, Tuple[float, str]], max_work_s: float = 5.0,
                     active: bool = True) -> Condition:
    """Judge the work on the images.

    :param now_s: monotonic time, seconds, as all times here.
    :param counts: 'processed' (number), 'ages_s' and 'works_s' (ages of the latest answers and the time that each
        took), 'taken_s' (since when an image is in work, or None), 'stage' and 'stage_since_s' (what is done with it,
        since when).
    :param provider: execution provider that really runs; '' while no model is loaded.
    :param degraded: why that is not the one asked for, or ''.
    :param faults: outcome ('failed', ...) -> when it happened last, and why.
    :param max_work_s: an image in work for longer than this is an error.
    :param active: whether images are worked on at all.
    :returns: OK (idle or working), WARN (on another provider than was asked for), ERROR (failed lately, or hangs).
    """
    values = {'provider': provider or 'none', 'degraded': degraded or 'no', 'processed': counts['processed']}
    values.update(_milliseconds('age', counts['ages_s']))
    values.update(_milliseconds('work', counts['works_s']))
    work_s = 0.0 if counts['taken_s'] is None else now_s - counts['taken_s']
    if work_s > max_work_s:
        stage, stage_s = counts['stage'], now_s - counts['stage_since_s']
        return ERROR, (f'One image has been in work for {work_s:.0f} s, for {stage_s:.0f} s in {stage}: '
                       f'{_SLOW_STAGES[stage]}.'), values
    fault = _latest_fault(now_s, faults, ('failed',))
    if fault:
        return ERROR, f'Work on an image failed {fault[1]:.1f} s ago: {fault[2]}', values
    if degraded:
        return WARN, degraded, values
    if not provider:
        return OK, 'Idle: no model is loaded.', values
    if not counts['works_s'] or not active:
        return OK, f'Ready on {provider}.', values
    return OK, f'{values["work_p50_ms"]:.0f} ms an image on {provider}.', values


def _milliseconds(name: str, seconds: List[float]) -> Dict[str, float]:
    return {f'{name}_{word}_ms': 1000 * percentile(seconds, share)
            for word, share in (('p50', 0.5), ('p99', 0.99), ('max', 1.0))}
