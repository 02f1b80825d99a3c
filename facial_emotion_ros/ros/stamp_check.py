"""Determine the acquisition time and age of images from their stamps, and count implausible stamps."""

import time
from typing import Any, Dict, Iterable, NamedTuple, Optional

from facial_emotion_ros.perception.image_times import AHEAD_S, PAST_S, StreamTime
from facial_emotion_ros.ros.latest_slot import LatestSlot


class CheckedImage(NamedTuple):
    """The time of an image."""

    #: Acquisition time in seconds, on the clock of its stream.
    time_s: float
    #: Whether earlier faces must be forgotten.
    begins_anew: bool
    #: Age in s when it was taken from the slot; None if unknown: unstamped, frozen, future.
    late_s: Optional[float]
    #: Acquisition time in ns, on the node's clock; None if its stamp is odd.
    stamp_ns: Optional[int]


class StampCheck:
    """Check the stamps of several streams, distinguished by keys. Used by the worker thread only."""

    def __init__(self, clock: Any, slot: LatestSlot):
        """Start without streams.

        :param clock: of the node.
        :param slot: counts odd stamps.
        """
        self._clock, self._slot = clock, slot
        self._streams: Dict[str, StreamTime] = {}

    def take(self, stamp: Any, key: str = '') -> CheckedImage:
        """Check the stamp of the image in work, and count it if it is odd.

        :param stamp: builtin_interfaces/Time.
        :param key: of the stream.
        """
        stamp_ns = stamp.sec * 1000000000 + stamp.nanosec
        now_ns = self._clock.now().nanoseconds
        image = self._streams.setdefault(key, StreamTime()).take(stamp_ns, time.monotonic())
        ahead_s = (stamp_ns - now_ns) * 1e-9
        oddity = image.oddity
        if not oddity and ahead_s > AHEAD_S:
            oddity = 'future'
        elif not oddity and -ahead_s > PAST_S:
            oddity = 'past'
        if oddity:
            self._slot.count(oddity, reason=self._reason(oddity, image, ahead_s, now_ns))
        is_known = oddity in ('', 'past', 'backwards')
        return CheckedImage(
            image.time_s, image.begins_anew, max(-ahead_s, 0.0) if is_known else None, None if oddity else stamp_ns
        )

    def age_s(self, image: CheckedImage) -> Optional[float]:
        """Return the age of an image in seconds; None if its stamp is odd."""
        if image.stamp_ns is None:
            return None
        return max((self._clock.now().nanoseconds - image.stamp_ns) * 1e-9, 0.0)

    def keep(self, keys: Iterable[str]) -> None:
        """Forget all other streams."""
        for lost in set(self._streams) - set(keys):
            del self._streams[lost]

    def _reason(self, oddity, image, ahead_s, now_ns):
        """Describe an odd stamp, and what to do."""
        if oddity == 'unstamped':
            return 'its age is unknown, and the time of arrival is used; correct the driver'
        if oddity == 'frozen':
            return 'its age is unknown, and the time of arrival is used; correct the driver'
        if oddity == 'backwards' and image.begins_anew:
            return (
                'by %.1f s, so the previous faces are forgotten; a recording restarted, or a clock was set'
                % image.back_s
            )
        if oddity == 'backwards':
            return 'by %.3f s; images arrive out of order, or the clock of the camera is corrected' % image.back_s
        if oddity == 'past':
            return (
                'by %.0f s; the driver must stamp with the ROS clock, not its uptime; for a recording, publish its '
                '/clock and set use_sim_time' % -ahead_s
            )
        if self._clock.ros_time_is_active and not now_ns:
            return 'use_sim_time is true, but there is no time on /clock; publish it, or set use_sim_time to false'
        return 'by %.1f s; compare the clocks of camera and node, and check use_sim_time' % ahead_s
