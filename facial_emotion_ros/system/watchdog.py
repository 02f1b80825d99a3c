"""Watchdog: end a process that is frozen for good, so that it can be respawned.

Native code may block for ever while it holds the GIL, as a deadlocked middleware does. Then no Python code runs, not
even signal handlers. So a kernel timer watches, in two steps:

1. A Python thread postpones a kernel timer every half second. When the timer expires, a native thread of the C library,
   which needs no GIL, calls alarm(2) with a grace period.
2. If Python runs within the grace period, it cancels the alarm, logs how long it was frozen, and goes on. If not,
   SIGALRM dumps the stack of each thread to stderr and ends the process.

The timer uses CLOCK_MONOTONIC, which stops while a machine is suspended, but goes on while a process is stopped
(SIGSTOP) or starved, its container is paused, or its virtual machine is frozen. Step 1 is then due as soon as the
process runs again; since step 2 begins only there, such a process survives.

A process whose main loop hangs while other Python threads run is ended too, much later: see `_PATIENCE`.
"""

import contextlib
import ctypes
import faulthandler
import logging
import math
import os
import signal
import threading
import time
from typing import Iterator, Optional

_log = logging.getLogger(__name__)

#: The timer is postponed this often, or four times per timeout where that is shorter.
_TICK_S = 0.5
#: The grace period as a share of the timeout. alarm(2) counts whole seconds.
_GRACE = 1 / 3
#: The main loop may hang for this many timeouts while Python runs, since a long iteration may still end.
_PATIENCE = 4

#: Guards the timers and the following state.
_lock = threading.Lock()
_guard: 'Optional[Watchdog]' = None
#: Number of open `long_silence` blocks.
_silences = 0
#: The timer of `end_within`.
_ending: 'Optional[_Timer]' = None


class Watchdog:
    """The watchdog of this process; one at a time."""

    def __init__(self, timeout_s: float) -> None:
        """Take over SIGALRM; the first beat starts the timer.

        :param timeout_s: Python may be frozen for this time and the grace period, a third of it and at least 1 s; 0
            never ends the process.
        """
        self._timeout_s = timeout_s
        self._tick_s = min(_TICK_S, timeout_s / 4)
        self._timer: Optional[_Timer] = None
        self._thread: Optional[threading.Thread] = None
        self._closed = threading.Event()
        self._hung_s = self._ran_at_s = 0.0
        if timeout_s > 0:
            faulthandler.unregister(signal.SIGALRM)  # registering twice does nothing
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            faulthandler.register(signal.SIGALRM, all_threads=True, chain=True)
            self._timer = _Timer(max(1, math.ceil(timeout_s * _GRACE)))

    def beat(self) -> None:
        """Report that the main loop runs: cheap, call it in every iteration."""
        global _guard
        self._hung_s = 0.0
        if self._thread is None and self._timer is not None and not self._closed.is_set():
            with _lock:
                _guard = self
                _resume()
            self._thread = threading.Thread(target=self._watch, name='freeze_guard', daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Stop the timer."""
        global _guard
        self._closed.set()
        with _lock:
            if _guard is self:
                _pause()
                _guard = None

    def set_timer(self, is_on: bool) -> None:
        """Restart the timer, or stop it; the module's lock must be held."""
        if not is_on:
            self._hung_s = 0.0
        self._ran_at_s = time.monotonic()
        if self._timer is not None:
            self._timer.set(self._timeout_s if is_on else 0.0)

    def _watch(self) -> None:
        while not self._closed.wait(self._tick_s):
            with _lock:
                if _guard is not self or _silences or _ending:
                    continue
                frozen_s = time.monotonic() - self._ran_at_s
                self.set_timer(True)
            if frozen_s > self._timeout_s:
                _log.warning(
                    'The process was frozen for %.0f s and goes on: it was stopped, paused or starved of '
                    'CPU time, or native code held the GIL.',
                    frozen_s,
                )
            # While the process was frozen, the main loop could not run.
            self._hung_s += min(frozen_s, 2 * self._tick_s)
            if self._hung_s > _PATIENCE * self._timeout_s:
                os.kill(os.getpid(), signal.SIGALRM)


class _Timer:
    """A timer that calls alarm(grace) in a native thread; without timer_create, one without the grace period."""

    def __init__(self, grace_s: int) -> None:
        self._grace_s = grace_s
        self._library = _library_with('timer_create')
        self._id = ctypes.c_void_p()
        if self._library is not None:
            alarm = ctypes.cast(ctypes.CDLL(None).alarm, ctypes.c_void_p)
            event = _Sigevent(value=grace_s, notify=_SIGEV_THREAD, function=alarm)
            if self._library.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._id)) != 0:
                self._library = None

    def set(self, timeout_s: float) -> None:
        """Restart, or stop if 0; cancels a pending alarm."""
        if self._library is None:
            signal.setitimer(signal.ITIMER_REAL, timeout_s + self._grace_s if timeout_s else 0.0)
            return
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        fraction_s, whole_s = math.modf(timeout_s)
        setting = _Itimerspec(seconds=int(whole_s), nanoseconds=int(fraction_s * 1e9))
        self._library.timer_settime(self._id, 0, ctypes.byref(setting), None)


#: Constants of Linux's <time.h> and <signal.h>, the same on every processor.
_CLOCK_MONOTONIC = 1
_SIGEV_THREAD = 2


class _Sigevent(ctypes.Structure):
    """struct sigevent of Linux (64 bytes) with spare padding."""

    _fields_ = [
        ('value', ctypes.c_size_t),
        ('signal', ctypes.c_int),
        ('notify', ctypes.c_int),
        ('function', ctypes.c_void_p),
        ('attributes', ctypes.c_void_p),
        ('padding', ctypes.c_char * 64),
    ]


class _Itimerspec(ctypes.Structure):
    """struct itimerspec; without an interval the timer expires once."""

    _fields_ = [
        ('interval_seconds', ctypes.c_long),
        ('interval_nanoseconds', ctypes.c_long),
        ('seconds', ctypes.c_long),
        ('nanoseconds', ctypes.c_long),
    ]


def _library_with(function: str) -> Optional[ctypes.CDLL]:
    """Return the library of a C function, which glibc before 2.34 has in librt; None where there is none."""
    for name in (None, 'librt.so.1'):
        try:
            library = ctypes.CDLL(name)
            getattr(library, function)
            return library
        except (OSError, AttributeError):
            pass
    return None


def end_within(timeout_s: float) -> None:
    """End the process after this time and 1 s of grace. Only another call postpones it, no beat or `long_silence`."""
    global _ending
    with _lock:
        _pause()
        _ending = _ending or _Timer(1)
        _ending.set(timeout_s)


@contextlib.contextmanager
def long_silence() -> Iterator[None]:
    """Stop the timer for a block that may hold the GIL for minutes, such as loading a model."""
    global _silences
    with _lock:
        _silences += 1
        _pause()
    try:
        yield
    finally:
        with _lock:
            _silences -= 1
            # At once, not at the next tick: the process may freeze before.
            _resume()


def _pause() -> None:
    if _guard is not None and not _ending:
        _guard.set_timer(False)


def _resume() -> None:
    if _guard is not None and not _silences and not _ending:
        _guard.set_timer(True)
