"""Limits for log lines that a message, a request or a peer can cause: whatever comes, the log stays readable."""

import time
from collections import deque

from rclpy.clock import Clock, ClockType

#: One clock for all: rclpy refuses a line of code whose throttling changes between two calls, its clock included.
_STEADY = Clock(clock_type=ClockType.STEADY_TIME)

#: Keyword arguments of a logger's methods for a line that may come with every message.
FAULT = {'throttle_duration_sec': 5.0, 'throttle_time_source_type': _STEADY}

#: The same for a line that says what is wrong for as long as it is.
RIVALS = {'throttle_duration_sec': 60.0, 'throttle_time_source_type': _STEADY}


class BurstLimit:
    """Allows a burst of lines, then a few at a time: for changes of state, which are told one by one unless they flood.

    Two threads at the same moment may get one line more.
    """

    def __init__(self, lines=50, period_s=60.0):
        """
        Allow everything at first.

        :param lines: at most this many are allowed within the period.
        :param period_s: float.
        """
        self._times_s = deque(maxlen=lines)
        self._period_s = period_s

    def allows(self):
        """Return whether one more line may be logged now; if so, it counts."""
        now_s = time.monotonic()
        if len(self._times_s) == self._times_s.maxlen and now_s - self._times_s[0] < self._period_s:
            return False
        self._times_s.append(now_s)
        return True
