"""End a process by SIGINT or SIGTERM while native code blocks the main thread, in which Python's handlers run."""

import contextlib
import os
import signal
import sys
import threading
import traceback
from typing import Any, Callable, Iterator

#: A call that lasts for so long after a signal is not waited for.
_PATIENCE_S = 1.0

_call: Any = None


@contextlib.contextmanager
def long_call() -> Iterator[None]:
    """Mark a block that may hang in native code without the GIL, such as opening a camera."""
    global _call
    _call = object()
    try:
        yield
    finally:
        _call = None


@contextlib.contextmanager
def signals_end_long_calls(finish: Callable[[], int]) -> Iterator[None]:
    """Let a signal that Python handles end the process if it comes during a long call that does not return soon.

    Python's own end would stop the thread that comes back from the call, and C++ then aborts the process; so it is left
    out. To be used in the main thread.

    :param finish: called in another thread before the process ends; returns the exit status.
    """
    pipe, writer = os.pipe()
    os.set_blocking(writer, False)
    former = signal.set_wakeup_fd(writer)
    left = threading.Event()

    def listen() -> None:
        with open(pipe, 'rb', buffering=0) as signals:
            while not left.is_set() and signals.read(1) not in (bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
                pass
        call = _call
        while not left.wait(_PATIENCE_S):
            if call is not None and call is _call:
                _end(finish)
            call = _call

    threading.Thread(target=listen, name='long_calls', daemon=True).start()
    try:
        yield
    finally:
        left.set()
        signal.set_wakeup_fd(former)
        os.close(writer)


def _end(finish: Callable[[], int]) -> None:
    status = 1
    try:
        status = finish()
        sys.stdout.flush()
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(status)
