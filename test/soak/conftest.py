"""What the soak tests need beyond the processes of ros_processes."""

import os
import sys

import pytest
from ros_processes import Process, node_command

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def paced_node(shared_process, start, tmp_path):
    """Start emotion_node with work that takes as long as is said; parameters as start_node takes them."""
    shared_process[1]()

    def launch(pace, *ros_arguments, **parameters):
        folder = tmp_path / 'pace'
        folder.mkdir()
        set_pace(folder, pace)
        words = node_command(*ros_arguments, **parameters)
        node = start(os.path.join(HERE, 'paced_node.py'), folder, *words[words.index('--ros-args') :])
        node.folder, node.set_pace = folder, lambda pace: set_pace(folder, pace)
        node.wait_for('Active: |Unconfigured: |parameter autostart|Shut down', timeout_s=60.0)
        return node

    return launch


def set_pace(folder, pace):
    """Tell a paced node how fast to be."""
    (folder / 'next').write_text(pace)
    os.replace(str(folder / 'next'), str(folder / 'pace'))


@pytest.fixture
def start_killed(ros_environment, tmp_path):
    """Start processes that the test kills."""
    started = []

    def launch(*command):
        log = tmp_path / ('killed_%d.log' % len(started))
        started.append(Process([sys.executable] + [str(word) for word in command], ros_environment, log))
        return started[-1]

    yield launch
    for process in started:
        process.process.kill()
        process.process.wait()
