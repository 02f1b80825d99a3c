"""Starts trainings that tests may kill: a process that has torch loaded forks one for each, in milliseconds."""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time


class TrainingServer:
    """The test's end: starts, watches and kills trainings, one at a time."""

    def __init__(self):
        environment = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
        self._process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env=environment,
        )
        self._text = b''
        self._pid = None

    def start(self, **job):
        """Start a training; `job` is what :func:`_train` takes."""
        self._process.stdin.write(json.dumps(job).encode() + b'\n')
        line = self.line()
        while not line.startswith('pid'):  # what a test that failed has left
            line = self.line()
        self._pid = int(line.split()[1])

    def line(self, timeout_s=120.0):
        """Read the next line: 'pid N', 'step N', 'note TEXT' or 'ended STATUS'; None where none comes in time."""
        deadline = time.monotonic() + timeout_s
        while b'\n' not in self._text:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._process.stdout], [], [], left)[0]:
                return None
            came = os.read(self._process.stdout.fileno(), 65536)
            assert came, 'the training server ended'
            self._text += came
        line, _, self._text = self._text.partition(b'\n')
        return line.decode()

    def lines_to_end(self):
        """Read all lines up to 'ended STATUS', that one included."""
        lines = [self.line()]
        while not lines[-1].startswith('ended'):
            lines.append(self.line())
        return lines

    def kill(self, steps, seconds):
        """Kill the training without warning.

        :param steps: 'step' lines to wait for first.
        :param seconds: to let it go on behind the last of them.
        :returns: list of str, the lines that it said; the last is 'ended STATUS'.
        """
        lines = []
        while steps and not (lines and lines[-1].startswith('ended')):
            lines.append(self.line())
            steps -= lines[-1].startswith('step')
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            line = self.line(max(0.0, deadline - time.monotonic()))
            lines += [line] if line else []
        if not (lines and lines[-1].startswith('ended')):
            os.kill(self._pid, signal.SIGKILL)
            lines += self.lines_to_end()
        return lines

    def close(self):
        """End the server."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _train(output, recipe, file_limit=0):
    """Train on two kinds of faces, in a process that was forked for it.

    :param output: folder of the training.
    :param recipe: dict of a Recipe.
    :param file_limit: bytes that a file can have at most, 0 for no limit: like a disk that is full.
    """
    from tiny_training import two_kinds_of_faces

    from facial_emotion_ros.core.errors import FacialEmotionError
    from facial_emotion_ros.training.loop.fit import Fit
    from facial_emotion_ros.training.loop.progress import Progress
    from facial_emotion_ros.training.loop.recipe import recipe_of

    class Said(Progress):
        def step(self, done, losses):
            _say('step', done)

        def note(self, line):
            _say('note', line)

    if file_limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit, file_limit))
    faces = two_kinds_of_faces(24)
    try:
        Fit(recipe_of(recipe), faces.rows(range(16)), output, faces.rows(range(16, 24))).run(0.0, Said())
    except FacialEmotionError as error:
        _say('note', type(error).__name__, error)
        return 1
    return 0


def _say(*words):
    """Write a line at once: a kill between two writes would leave half a line."""
    os.write(1, (' '.join(map(str, words)) + '\n').encode())


def _serve():
    import pytest
    import torch
    from tiny_training import make_trainings_quick

    from facial_emotion_ros.training.loop import fit  # noqa: F401

    torch.set_num_threads(1)
    make_trainings_quick(pytest.MonkeyPatch())
    # What is imported at first use is imported before the fork.
    torch.optim.SGD(torch.nn.Linear(1, 1).parameters())
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            status = 70
            try:
                _say('pid', os.getpid())
                status = _train(**json.loads(line))
            finally:
                os._exit(status)
        _say('ended', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == '__main__':
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    _serve()
