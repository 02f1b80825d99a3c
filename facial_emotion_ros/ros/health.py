"""Compute the node's health as (level, message, values) for the diagnostics. No ROS."""

import math
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

from facial_emotion_ros.perception.image_times import ODD_STAMPS
from facial_emotion_ros.ros.latest_slot import EVENTS, OUTCOMES

# Levels of diagnostic_msgs/DiagnosticStatus.
OK, WARN, ERROR = 0, 1, 2

#: A fault is reported for this long after it happened.
RECENT_S = 10.0

#: Window of the rates.
RATE_S = 5.0

#: States in which images are not processed, and their messages.
_NOT_READING = {
    'inactive': 'Inactive: no image is processed until the node is activated.',
    'unconfigured': 'Unconfigured: no image is processed until the node is configured and activated.',
    'configuring': 'Configuring: models are being loaded; building TensorRT engines takes minutes.',
    'finalized': 'Finalized: this node was shut down; start it again.',
    'disabled': 'Disabled: no image is processed until ~/enable is called with true.',
}

#: Faults of the input although images arrive.
_INPUT_WARNINGS = {
    'bad': 'A malformed image was dropped %.1f s ago: %s',
    'expired': 'An image was dropped for its age %.1f s ago: %s',
    'unstamped': 'An image without a stamp arrived %.1f s ago: %s',
    'frozen': 'An image with the stamp of the previous one arrived %.1f s ago: %s',
    'backwards': 'The image stamps went back %.1f s ago: %s',
    'future': 'An image with a stamp in the future arrived %.1f s ago: %s',
    'past': 'An image with a stamp far in the past arrived %.1f s ago: %s',
    'flat': 'An image without contrast arrived %.1f s ago: %s',
    'corrupt': 'An image with damaged pixels arrived %.1f s ago: %s',
    'refused_ids': 'Listed faces were ignored %.1f s ago: %s',
}

#: Counters of the input in the diagnostics; see LatestSlot.
_COUNTS = ('received',) + OUTCOMES + ('waiting', 'in_work') + ODD_STAMPS + EVENTS

#: Usual cause of an image that stays in a stage for too long, and what to do.
_SLOW_STAGES = {
    'decoding': 'it is very large, or malicious; check its publisher',
    'detecting faces': 'the detector is slow or hangs; if this persists, restart the node',
    'reading emotions': 'the model is slow or hangs; if this persists, restart the node',
    'publishing': 'the middleware blocks; if this persists, restart the node',
}

#: Level, message, and values by name.
Condition = Tuple[int, str, Dict[str, Any]]


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile by the nearest-rank method.

    :param values: in any order; NaN if empty.
    :param share: in [0, 1]: 0.5 for the median, 1 for the maximum.
    """
    if not values:
        return float('nan')
    ordered = sorted(values)
    rank = math.ceil(round(share * len(ordered), 6))  # without rounding, 0.07 of a hundred would be eight
    return ordered[min(max(rank, 1), len(ordered)) - 1]


def rate(times_s: Sequence[float], now_s: float) -> float:
    """Return the recent rate of events.

    :param times_s: of the events, ascending, covering at least the last RATE_S.
    :param now_s: on the same clock.
    :returns: events per second; 0 for a single one.
    """
    recent = [time_s for time_s in times_s if now_s - time_s <= RATE_S]
    if len(recent) < 2 or recent[0] == recent[-1]:
        return 0.0
    # Once the time since the last event exceeds the usual gap, the rate falls.
    gaps = len(recent) - 1
    usual_s = (recent[-1] - recent[0]) / gaps
    return gaps / (recent[-1] - recent[0] + max(0.0, now_s - recent[-1] - usual_s))


def _latest_fault(now_s, faults, kinds):
    """Return (seconds ago, kind, reason) of the latest recent fault of these kinds, or None."""
    found = ((now_s - at_s, kind, reason) for kind, (at_s, reason) in faults.items() if kind in kinds)
    return min((fault for fault in found if fault[0] <= RECENT_S), default=None)


def input_health(
    now_s: float,
    counts: Mapping[str, Any],
    topic: str,
    subscribed_since_s: Optional[float],
    publishers: Sequence[str],
    max_silence_s: float = 2.0,
    state: str = 'active',
    unread: str = '',
    cameras: Sequence[str] = (),
    clock_stands: bool = False,
) -> Condition:
    """Assess the input.

    :param now_s: monotonic time in seconds, as all times here.
    :param counts: snapshot of LatestSlot.
    :param topic: the image topic, for the message.
    :param subscribed_since_s: time of the subscription; None without one (not active, or no subscribers).
    :param publishers: names of the nodes that publish on the topic now.
    :param max_silence_s: no image for longer than this is an error.
    :param state: 'active', or a key of _NOT_READING.
    :param unread: why published images cannot be received, and what to do; '' otherwise.
    :param cameras: names of the publishing nodes if several cameras share the topic.
    :param clock_stands: whether simulated time is paused: no image is due then.
    :returns: OK (not active, idle, paused, waiting for the first image, or receiving), WARN (several cameras, or images
        that are malformed, too old, damaged, without contrast or with an odd stamp), ERROR (subscribed, but no images).
    """
    arrivals_s = counts['arrivals_s']
    values = {name: counts[name] for name in _COUNTS}
    values['topic'] = topic
    values['publishers'] = len(publishers)
    values['rate_hz'] = rate(arrivals_s, now_s)
    values['silence_s'] = now_s - arrivals_s[-1] if arrivals_s else float('nan')
    if state in _NOT_READING:
        return OK, _NOT_READING[state], values
    if subscribed_since_s is None:
        return OK, 'Idle: no output has a subscriber.', values
    latest_s = max([subscribed_since_s] + list(arrivals_s[-1:]))
    silence_s = now_s - latest_s
    if silence_s > max_silence_s:
        if clock_stands:
            message = f'No image for {silence_s:.1f} s, and /clock has stopped: a pause, or the end of a recording.'
            return OK, message, values
        count = len(publishers)
        cause = unread or (
            f'nothing publishes on {topic}; start the camera or correct the topic'
            if not count
            else f'{count} publisher{"s" * (count > 1)} on {topic}; check QoS, shared memory and driver'
        )
        return ERROR, f'No image for {silence_s:.1f} s: {cause}.', values
    if latest_s == subscribed_since_s:
        return OK, 'Waiting for the first image.', values
    if cameras:
        message = (
            f'{len(cameras)} publishers on {topic} ({", ".join(cameras)}): faces are mixed up and keep getting new '
            'ids; give each camera its own topic and node.'
        )
        return WARN, message, values
    fault = _latest_fault(now_s, counts['faults'], _INPUT_WARNINGS)
    if fault:
        ago_s, kind, reason = fault
        return WARN, _INPUT_WARNINGS[kind] % (ago_s, reason), values
    return OK, f'Receiving images at {values["rate_hz"]:.1f} Hz.', values


def inference_health(
    now_s: float,
    counts: Mapping[str, Any],
    provider: str,
    degraded: str,
    max_work_s: float = 5.0,
    active: bool = True,
) -> Condition:
    """Assess the processing of the images.

    :param now_s: monotonic time in seconds, as all times here.
    :param counts: snapshot of LatestSlot.
    :param provider: execution provider in use; '' while no model is loaded.
    :param degraded: why it is not the requested one, or ''.
    :param max_work_s: an image in work for longer than this is an error.
    :param active: whether images are processed at all.
    :returns: OK (idle or working), WARN (on another provider than requested), ERROR (failed recently, or hangs).
    """
    values = {'provider': provider or 'none', 'degraded': degraded or 'no', 'processed': counts['processed']}
    for name in ('age', 'work'):
        for word, share in (('p50', 0.5), ('p99', 0.99), ('max', 1.0)):
            values[f'{name}_{word}_ms'] = 1000 * percentile(counts[name + 's_s'], share)
    work_s = 0.0 if counts['taken_s'] is None else now_s - counts['taken_s']
    if work_s > max_work_s:
        stage, stage_s = counts['stage'], now_s - counts['stage_since_s']
        message = (
            f'One image has been in work for {work_s:.0f} s, for {stage_s:.0f} s in {stage}: {_SLOW_STAGES[stage]}.'
        )
        return ERROR, message, values
    fault = _latest_fault(now_s, counts['faults'], ('failed',))
    if fault:
        return ERROR, f'Processing an image failed {fault[0]:.1f} s ago: {fault[2]}', values
    if degraded:
        return WARN, degraded, values
    if not provider:
        return OK, 'Idle: no model is loaded.', values
    if not counts['works_s'] or not active:
        return OK, f'Ready on {provider}.', values
    return OK, f'{values["work_p50_ms"]:.0f} ms per image on {provider}.', values
