"""What the faults need beyond the processes of ros_processes."""

import sys

import pytest
from ros_processes import Process


@pytest.fixture
def start_faulty(shared_process, ros_environment, tmp_path):
    """Start processes that may print tracebacks, but must end with status 0."""
    shared_process[1]()
    started = []

    def launch(*command, **variables):
        log = tmp_path / ('faulty_%d.log' % len(started))
        words = [sys.executable] + [str(word) for word in command]
        started.append(Process(words, dict(ros_environment, **variables), log))
        return started[-1]

    yield launch
    for process in reversed(started):
        assert process.end()[0] == 0, process.output()
