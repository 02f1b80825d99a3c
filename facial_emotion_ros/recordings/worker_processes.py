"""What the worker processes of this machine have in common: they start quietly, and end with who started them."""

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
    """Hold Ctrl-C and SIGTERM back until the block has ended: a process that is just starting would end in a traceback.

    A process that starts in the block never gets Ctrl-C. Any thread of this process may, so blocking it here is not
    enough.
    """
    # It starts with the first process, and would unblock signals.
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
    """Let Ctrl-C wait while the block starts a process.

    :param option: of the command, that sets their number.
    :raises FacialEmotionError: if the system refuses to start one.
    """
    try:
        with ctrl_c_waits():
            yield
    except (OSError, RuntimeError) as error:  # Python raises the second for a thread
        raise FacialEmotionError(
            f'expected to start another process, but the system refuses ({error}); give fewer {option}, or raise the '
            'limits of processes and memory (ulimit -u, -v)'
        ) from error


def begin_worker(threads: int) -> None:
    """Make this process a worker. Ctrl-C reaches all processes of a terminal; the parent decides what happens.

    :param threads: of OpenCV.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(threads)


def _end_with_parent():
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)  # the next run deletes what is unfinished


def cores() -> int:
    """Count the processor's cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
