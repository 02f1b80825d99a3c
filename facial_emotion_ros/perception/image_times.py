"""Monotonic times of a stream's images from their stamps; invalid stamps; clock steps. Reads no clock itself."""

from typing import NamedTuple, Optional, Tuple

#: Kinds of odd stamps: 0; equal to the previous image's; before the latest; ahead of our clock; long past.
ODD_STAMPS = ('unstamped', 'frozen', 'backwards', 'future', 'past')

#: Tolerance for stamps that go back: images out of order (two at 4 Hz), a driver that estimates the exposure time, or a
#: slewed clock; the scene is the same. With a restarted recording or a clock that is set, stamps go back further.
BACK_S = 0.5
#: Tolerance for stamps ahead of our clock: clocks of two machines differ, and a simulated one goes in steps.
AHEAD_S = 0.5
#: Maximum age of a stamp. Older ones are from another clock, such as the uptime, or from a recording.
PAST_S = 60.0


def not_before(stamp_s: float, latest_s: float) -> float:
    """Return an image's stamp in seconds; the latest stamp where it goes back by BACK_S at most."""
    return latest_s if latest_s - BACK_S <= stamp_s < latest_s else stamp_s


class ImageTime(NamedTuple):
    """The time of an image, in nanoseconds since the first of its stream, never going back.

    :param oddity: of the stamp: '', 'unstamped', 'frozen' or 'backwards'.
    :param back_s: by how much the stamp went back, in seconds.
    :param begins_anew: whether it went back so far that the earlier images must be forgotten.
    """

    time_ns: int
    oddity: str = ''
    back_s: float = 0.0
    begins_anew: bool = False

    @property
    def time_s(self) -> float:
        """`time_ns` in seconds."""
        return self.time_ns / 1e9


class StreamTime:
    """The time of one stream: from the stamps, or from arrival where a stamp is odd; in exact integer nanoseconds."""

    def __init__(self) -> None:
        #: The latest good stamp and its time; time and arrival of the previous image.
        self._latest: Optional[Tuple[int, int, int, int]] = None

    def take(self, stamp_ns: int, arrived_s: float) -> ImageTime:
        """Return the time of the next image.

        :param stamp_ns: its stamp; 0 for none.
        :param arrived_s: monotonic time of its arrival.
        """
        arrived_ns = round(1e9 * arrived_s)
        if self._latest is None:
            image = ImageTime(0, '' if stamp_ns else 'unstamped')
        else:
            image = self._next(stamp_ns, arrived_ns, *self._latest)
            if image.oddity and not image.begins_anew:
                self._latest = self._latest[0], self._latest[1], image.time_ns, arrived_ns
                return image
        self._latest = stamp_ns, image.time_ns, image.time_ns, arrived_ns
        return image

    @staticmethod
    def _next(
        stamp_ns: int, arrived_ns: int, latest_ns: int, anchor_ns: int, time_ns: int, before_ns: int
    ) -> ImageTime:
        by_arrival_ns = time_ns + max(arrived_ns - before_ns, 0)
        if not stamp_ns:
            return ImageTime(by_arrival_ns, 'unstamped')
        if not latest_ns:
            return ImageTime(by_arrival_ns)
        if stamp_ns == latest_ns:
            return ImageTime(by_arrival_ns, 'frozen')
        step_ns, back_ns = stamp_ns - latest_ns, BACK_S * 1e9
        if step_ns < 0:
            begins_anew = step_ns < -back_ns
            return ImageTime(by_arrival_ns if begins_anew else time_ns, 'backwards', -step_ns / 1e9, begins_anew)
        # After a long frozen stamp, stamps lag behind: use the time of arrival.
        by_stamp_ns = anchor_ns + step_ns
        return ImageTime(max(by_stamp_ns, time_ns) if by_stamp_ns >= time_ns - back_ns else by_arrival_ns)


class ClockStepDetector:
    """Detect steps of a clock that may be set, by comparison with a monotonic one."""

    def __init__(self) -> None:
        self._ahead_s: Optional[float] = None

    def step_s(self, set_s: float, steady_s: float) -> float:
        """Compare readings of both clocks.

        :param set_s: time on the clock that may be set, in seconds.
        :param steady_s: monotonic time, in seconds.
        :returns: by how much the first clock was set since the last reading, negative for back; 0 if it was not.
        """
        ahead_s, before_s = set_s - steady_s, self._ahead_s
        self._ahead_s = ahead_s
        if before_s is None or abs(ahead_s - before_s) < BACK_S:  # of a slewed clock, or a slow thread
            return 0.0
        return ahead_s - before_s

    def pause(self) -> None:
        """Forget the last reading."""
        self._ahead_s = None
