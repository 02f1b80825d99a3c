"""How evenly a camera's images follow each other: their rate, and where none came."""

from array import array

import numpy as np

#: A gap is a time without an image that is longer than this, and than so many of the usual steps.
LEAST_GAP_S, GAP_STEPS = 1.0, 3

#: So many gaps are listed, the longest ones.
LISTED = 10


class Cadence:
    """Takes the times of a camera's images; 8 bytes for each."""

    def __init__(self):
        """Begin without images."""
        self._times_s = array('d')

    def add(self, time_s):
        """Take the time of the next image, in seconds since the recording's first one."""
        self._times_s.append(time_s)

    @property
    def step_s(self):
        """The usual time from one image to the next (median), in seconds; None where there are fewer than two."""
        steps = self._steps()
        return float(np.median(steps)) if len(steps) else None

    def figures(self):
        """Tell rate and gaps.

        :returns: dict: rate_hz (of the usual step; None where that is not known) and gaps, a dict of count, seconds
            (all of them together) and longest: a list of {'start_s', 'seconds'}, the longest first.
        """
        steps, usual_s = self._steps(), self.step_s
        places = np.flatnonzero(steps > max(LEAST_GAP_S, GAP_STEPS * (usual_s or 0.0)))
        longest = sorted(places, key=lambda place: (-steps[place], place))[:LISTED]
        return {
            'rate_hz': round(1 / usual_s, 3) if usual_s else None,
            'gaps': {'count': len(places), 'seconds': round(float(steps[places].sum()), 3), 'longest': [
                {'start_s': round(self._times_s[place], 3), 'seconds': round(float(steps[place]), 3)}
                for place in longest]}}

    def _steps(self):
        times = np.frombuffer(self._times_s, np.float64) if self._times_s else np.empty(0)
        return np.diff(times)
