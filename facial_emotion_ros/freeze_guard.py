"""End a process that stands still for good: a frozen node serves nobody, and one that has ended can be started anew.

A thread that waits for ever inside a native library, and keeps Python's lock meanwhile, stops every other thread too,
even the one that hears of signals. The kernel's timer needs no Python: set forward again and again while all is well,
it goes off when nobody does so any more, writes where each thread stands, and ends the process.
"""

import contextlib
import faulthandler
import signal
import threading
import time

#: A beat that comes sooner after the one before changes nothing.
_BEAT_S = 0.5

_lock = threading.Lock()
_silences = 0
_armed = False
#: What the timer was set to before a silence, and is set to again after it; 0 while no guard counts.
_interrupted_s = 0.0
_ending = False


class FreezeGuard:
    """The timer, which is the process's own: one at a time. Steps of the clock and a suspended machine do not count."""

    def __init__(self, timeout_s: float):
        """Prepare; nothing is timed before the first beat. Takes over SIGALRM.

        :param timeout_s: the process ends, with tracebacks on stderr, when no beat comes for so long; 0 never ends it.
        """
        self._timeout_s = timeout_s
        self._due_s = 0.0
        if timeout_s > 0:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)

    def beat(self):
        """Tell that all is well; cheap enough for every turn of a loop."""
        global _armed, _interrupted_s
        now_s = time.monotonic()
        if self._timeout_s <= 0 or now_s < self._due_s:
            return
        with _lock:
            if not _silences and not _ending:
                signal.setitimer(signal.ITIMER_REAL, self._timeout_s)
                _armed, _interrupted_s = True, self._timeout_s
        self._due_s = now_s + _BEAT_S

    def close(self):
        """Time nothing any more."""
        global _interrupted_s
        self._due_s = float('inf')
        with _lock:
            _interrupted_s = 0.0
            _disarm()


def end_within(timeout_s: float):
    """End the process when it is still there by then, whatever happens; beats and silences no longer count.

    :param timeout_s: float.
    """
    global _ending
    with _lock:
        _ending = True
        signal.setitimer(signal.ITIMER_REAL, timeout_s)


@contextlib.contextmanager
def long_silence():
    """Let a block stand still for as long as it takes: loading a model may keep Python's lock for minutes."""
    global _silences, _armed
    with _lock:
        _silences += 1
        _disarm()
    try:
        yield
    finally:
        with _lock:
            _silences -= 1
            # At once, not at the next beat: a process may stand still before that.
            if not _silences and not _ending and _interrupted_s > 0:
                signal.setitimer(signal.ITIMER_REAL, _interrupted_s)
                _armed = True


def _disarm():
    global _armed
    if _armed and not _ending:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        _armed = False
