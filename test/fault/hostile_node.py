"""emotion_node on networks that lie: every third run, some numbers of one output are NaN, infinite or huge.

What is drawn depends on the number of the run alone. Everything else is the real thing.
"""

import itertools
import random
import sys

import onnxruntime

from facial_emotion_ros.ros import emotion_node

WRONG = [float('nan'), float('inf'), float('-inf'), 3e38, -3e38, 1e-45, 1e6, 100.0]
#: So many runs go well at first: those that warm the networks up.
CALM = 4

runs = itertools.count()
draws = random.Random(7)
InferenceSession = onnxruntime.InferenceSession


class LyingSession:
    """A real session whose outputs are spoilt now and then."""

    def __init__(self, *arguments, **options):
        """Open the real one."""
        self._session = InferenceSession(*arguments, **options)

    def __getattr__(self, name):
        """Pass all else on."""
        return getattr(self._session, name)

    def run(self, outputs, feed):
        """Run, and perhaps spoil what comes out."""
        arrays = [array.copy() for array in self._session.run(outputs, feed)]
        if next(runs) >= CALM and draws.randrange(3) == 0:
            flat = draws.choice(arrays).reshape(-1)
            for _ in range(draws.choice([1, 3, flat.size])):
                flat[draws.randrange(flat.size)] = draws.choice(WRONG)
        return arrays


if __name__ == '__main__':
    onnxruntime.InferenceSession = LyingSession
    sys.exit(emotion_node.main())
