"""Evaluate many recordings in worker processes on this machine; a process that crashes is restarted."""

import signal
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from multiprocessing.connection import wait
from typing import Any

from facial_emotion_ros.recordings.batch.recording_discovery import is_url
from facial_emotion_ros.recordings.batch.task import FleetTask, Record, evaluate_task, failed_record
from facial_emotion_ros.recordings.worker_processes import CONTEXT, begin_worker, cores, starting
from facial_emotion_ros.system.subprocesses import describe_exit

#: Maximum number of attempts at a recording whose process crashes.
TRIES = 2


def run_locally(tasks: Sequence[FleetTask], workers: int, take: Callable[[int, Record], None]) -> None:
    """Evaluate recordings in worker processes.

    :param tasks: the recordings.
    :param workers: number of processes, at least 1.
    :param take: called with (index in tasks, record) as each task ends, in any order.
    :raises FacialEmotionError: if a process cannot be started.
    """
    waiting = deque((number, 1) for number in range(len(tasks)))
    with _scratch(tasks) as scratch:
        team = [_Worker(max(1, cores() // workers), scratch) for _ in range(min(workers, len(tasks)))]
        try:
            while waiting or any(worker.at for worker in team):
                for worker in team:
                    if waiting and not worker.at:
                        number, attempt = waiting.popleft()
                        worker.give(tasks[number], (number, attempt))
                ready = wait([worker.connection for worker in team if worker.at])
                for worker in team:
                    if worker.at and worker.connection in ready:
                        _receive(worker, tasks, waiting, take)
        finally:
            for worker in team:
                worker.stop()


def _scratch(tasks):
    """Create a temporary folder for downloads and uploads, deleted even if the workers are killed."""
    urls = any(is_url(place) for task in tasks for place in (task.place, task.output))
    return tempfile.TemporaryDirectory(prefix='fleet_') if urls else nullcontext()


def _receive(worker, tasks, waiting, take):
    """Receive a record from a worker, or handle its crash."""
    number, attempt = worker.at
    try:
        record, worker.at = worker.connection.recv(), None
    except (EOFError, ConnectionResetError):
        ended = worker.bury()
        if attempt < TRIES:
            waiting.append((number, attempt + 1))
            return
        record = failed_record(tasks[number], f'its process crashed {attempt} times, the last time: {ended}')
    take(number, dict(record, attempts=attempt))


class _Worker:
    """A process that evaluates tasks; restarted after a crash."""

    def __init__(self, threads, scratch):
        self.at: tuple[int, int] | None = None
        self._settings = threads, scratch
        self._process: Any = None
        self.connection: Any = None

    def give(self, task, at):
        """Send a task to the process."""
        if self._process is None:
            self._start()
        self.at = at
        try:
            self.connection.send(task)
        except (BrokenPipeError, ConnectionResetError):  # it crashed while idle, which the next read reports
            pass

    def _start(self):
        with starting('--workers'):
            self.connection, other = CONTEXT.Pipe()
            process = CONTEXT.Process(target=_work, args=(other, *self._settings), daemon=True)
            process.start()
            self._process = process
            other.close()  # so that its end closes the pipe

    def bury(self):
        """Clean up after the process ended, and describe how."""
        self._process.join()
        code, self._process, self.at = self._process.exitcode, None, None
        self.connection.close()
        return describe_exit(code) + (' (was there enough memory?)' if code == -signal.SIGKILL else '')

    def stop(self):
        """Kill the process."""
        if self._process is None:
            return
        self._process.kill()
        self._process.join()
        self.connection.close()


def _work(connection, threads, scratch):
    begin_worker(threads)
    tempfile.tempdir = scratch
    while True:
        try:
            task = connection.recv()
        except EOFError:
            return
        connection.send(evaluate_task(task))
