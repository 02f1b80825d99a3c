"""What the stamps of a stream's images say of time, and which of them are odd. No clock is read in here."""

from typing import NamedTuple

#: What may be odd about a stamp: 0; that of the image before; before the latest; ahead of our clock; long past.
ODD_STAMPS = ('unstamped', 'frozen', 'backwards', 'future', 'past')

#: Stamps go back by up to this much where images are out of order (two at 4 Hz), or where a driver estimates the time
#: of exposure or its clock is slewed: the scene is the same. A recording that begins again goes back further, and so
#: does a clock that is set (ClockWatch draws the line there, too).
BACK_S = 0.5
#: A stamp may lie this far ahead of our clock: clocks of two machines differ, and a simulated one goes in steps.
AHEAD_S = 0.5
#: No camera is later. Older stamps are those of another clock, the uptime for example, or of a recording.
PAST_S = 60.0


def not_before(stamp_s: float, latest_s: float) -> float:
    """Order an image that comes a little late: it counts as taken when the latest one was.

    :param stamp_s: of the image, in seconds.
    :param latest_s: the latest stamp before it.
    :returns: the stamp; where it goes back by BACK_S at most, the latest one.
    """
    return latest_s if latest_s - BACK_S <= stamp_s < latest_s else stamp_s


class ImageTime(NamedTuple):
    """When an image was taken, in seconds since the first of its stream and never going back; what is odd of its stamp.

    `oddity`: '', 'unstamped', 'frozen' or 'backwards'; `back_s`: how far it went back; `begins_anew`: whether that is
    so far that what was seen before must be forgotten.
    """

    time_s: float
    oddity: str = ''
    back_s: float = 0.0
    begins_anew: bool = False


class StreamTime:
    """The time of one stream: that of the stamps, and where they say nothing, that of arrival."""

    def __init__(self):
        """Begin with the next image."""
        self._latest = None

    def take(self, stamp_ns: int, arrived_s: float) -> ImageTime:
        """Find out when the next image was taken.

        :param stamp_ns: its stamp; 0 for none.
        :param arrived_s: when it came, by a monotonic clock.
        :returns: ImageTime.
        """
        if self._latest is None:
            image = ImageTime(0.0, '' if stamp_ns else 'unstamped')
        else:
            image = self._next(stamp_ns, arrived_s)
            if image.oddity and not image.begins_anew:
                self._latest = self._latest[:2] + (image.time_s, arrived_s)
                return image
        self._latest = stamp_ns, image.time_s, image.time_s, arrived_s
        return image

    def _next(self, stamp_ns, arrived_s):
        # The latest stamp and its time; time and arrival of the image before, whose stamp may have been odd.
        latest_ns, anchor_s, time_s, before_s = self._latest
        by_arrival_s = time_s + max(arrived_s - before_s, 0.0)
        if not stamp_ns:
            return ImageTime(by_arrival_s, 'unstamped')
        if not latest_ns:
            return ImageTime(by_arrival_s)
        if stamp_ns == latest_ns:
            return ImageTime(by_arrival_s, 'frozen')
        step_s = (stamp_ns - latest_ns) / 1e9
        if step_s < 0:
            begins_anew = step_s < -BACK_S
            return ImageTime(by_arrival_s if begins_anew else time_s, 'backwards', -step_s, begins_anew)
        # Behind by much is a stamp that had been frozen for long: it says nothing of the time since.
        return ImageTime(max(anchor_s + step_s, time_s) if anchor_s + step_s >= time_s - BACK_S else by_arrival_s)
