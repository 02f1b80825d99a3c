"""The processes of test/ros, which serve here too: a conftest serves its own folder alone."""

import importlib.util
import os
import sys

import pytest

ROS_TESTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'ros')


def _ros_tests():
    """Load the fixtures of test/ros once more."""
    sys.path.insert(0, ROS_TESTS)
    spec = importlib.util.spec_from_file_location('ros_tests', os.path.join(ROS_TESTS, 'conftest.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


globals().update((name, value) for name, value in vars(_ros_tests()).items() if not name.startswith('__'))


@pytest.fixture
def start_faulty(shared_process, ros_environment, tmp_path):
    """Start processes that may print tracebacks, but must end with status 0."""
    shared_process[1]()
    started = []

    def launch(*command, **variables):
        log = tmp_path / ('faulty_%d.log' % len(started))
        words = [sys.executable] + [str(word) for word in command]
        started.append(Process(words, dict(ros_environment, **variables), log))  # noqa: F821
        return started[-1]

    yield launch
    for process in reversed(started):
        assert process.end()[0] == 0, process.output()
