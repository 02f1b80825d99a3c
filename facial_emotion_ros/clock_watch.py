"""Notices when somebody sets the system's clock, of which ROS tells nothing."""


class ClockWatch:
    """Compares a clock that may be set with one that never is."""

    def __init__(self, least_s=0.5):
        """Begin without a look.

        :param least_s: smaller differences between two looks are a clock that is slewed, or a thread that was slow.
        """
        self._least_s = least_s
        self._ahead_s = None

    def step_s(self, set_s, steady_s):
        """Look at both clocks, one right after the other.

        :param set_s: time on the clock that may be set, in seconds.
        :param steady_s: monotonic time, in seconds.
        :returns: how far the first was set forward (or, negative, back) since the last look; 0 if it was not.
        """
        ahead_s, before_s = set_s - steady_s, self._ahead_s
        self._ahead_s = ahead_s
        if before_s is None or abs(ahead_s - before_s) < self._least_s:
            return 0.0
        return ahead_s - before_s

    def pause(self):
        """Forget the last look, since the first clock is another one for now."""
        self._ahead_s = None
