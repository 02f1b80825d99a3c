"""Start worker processes on this machine: without tracebacks on Ctrl-C, and ending when their parent ends."""

import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import wait

from facial_emotion_ros.core.errors import FacialEmotionError

#: ONNX Runtime does not survive a fork.
CONTEXT = multiprocessing.get_context('spawn')


@contextmanager
def ctrl_c_waits() -> Iterator[None]:
    """Defer Ctrl-C and SIGTERM to the end of the block: a process that is just starting would print a traceback.

    Processes started in the block ignore Ctrl-C for ever. In this process any thread may receive it, so blocking it in
    this thread is not enough.
    """
    # It would start with the first process, and unblock signals.
    multiprocessing.resource_tracker.ensure_running()
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    handlers = {number: signal.signal(number, lambda number, _: came.append(number)) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
    if came:
        signal.raise_signal(came[0])


@contextmanager
def starting(option: str) -> Iterator[None]:
    """Defer Ctrl-C while the block starts a process.

    :param option: the command-line option that sets the number of processes, for the error.
    :raises FacialEmotionError: if the system cannot start one.
    """
    try:
        with ctrl_c_waits():
            yield
    except (OSError, RuntimeError) as error:  # RuntimeError if a thread cannot be started
        raise FacialEmotionError(
            f'expected to start another process, but the system refuses ({error}); use fewer {option}, or raise the '
            'limits on processes and memory (ulimit -u, -v)'
        ) from error


def begin_worker(threads: int) -> None:
    """Make this process a worker: it ignores Ctrl-C, which its parent handles, and ends with its parent.

    :param threads: number of OpenCV threads.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(threads)


def _end_with_parent():
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)  # the next run deletes unfinished files


def cores() -> int:
    """Return the number of CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
