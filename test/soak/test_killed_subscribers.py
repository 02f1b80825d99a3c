"""Subscribers that are killed may freeze the node inside Fast DDS (docs/topics.md), but not for good.

The node's guard ends it, and the test starts it again, as the launch files do.
"""

import fcntl
import glob
import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from graph_peer import REPOSITORY, scene

HERE = os.path.dirname(os.path.abspath(__file__))
ROS_TESTS = os.path.join(REPOSITORY, 'test', 'ros')


@pytest.fixture
def shared_memory():
    """Remove the segments that killed processes leave behind, some 0.6 MiB each: nobody else does."""
    yield
    for lock in glob.glob('/dev/shm/fastrtps_*_el'):
        if 'port' not in lock:
            try:
                with open(lock) as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.remove(lock[: -len('_el')])
                    os.remove(lock)
            except OSError:  # its process lives, or another test tidies up too
                pass


@pytest.fixture
def busy_cores():
    """Keep cores busy: a function that takes how many."""
    started = []
    yield lambda count: started.extend(
        subprocess.Popen([sys.executable, '-c', 'while True: pass']) for _ in range(count)
    )
    for process in started:
        process.kill()
        process.wait()


class Respawned:
    """A node that is started again when its freeze guard has ended it."""

    def __init__(self, start):
        """Start it.

        :param start: function that does so.
        """
        self._start, self.freezes = start, 0
        self._node = start()

    def wait(self, condition, what, timeout_s):
        """Wait for a condition, and start the node again meanwhile where it has ended."""
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, 'waited %g s in vain for %s; the node wrote:\n%s' % (
                timeout_s,
                what,
                self._node.output(),
            )
            status = self._node.process.poll()
            if status is not None:
                text = self._node.output()
                assert status == -signal.SIGALRM and 'most recent call first' in text, (status, text)
                self.freezes += 1
                print(text)
                self._node = self._start()
            time.sleep(0.05)


@pytest.mark.skipif(not os.path.isdir('/dev/shm'), reason='no /dev/shm: Fast DDS has no shared memory here')
@pytest.mark.timeout(900)
def test_answers_go_on_when_subscribers_are_killed_and_the_camera_changes(
    shared_memory, shared_process, start, start_killed, busy_cores, tmp_path, long_form, promise
):
    kills, stopped_share = (400, 0.2) if long_form else (8, 0.0)
    shared_process[1]()
    np.save(str(tmp_path / 'picture.npy'), scene(320, 240))
    (tmp_path / 'pace').write_text('fast')
    node = Respawned(
        lambda: start_killed(
            os.path.join(HERE, 'paced_node.py'),
            tmp_path,
            '--ros-args',
            '-p',
            'diagnostics.period_s:=0.1',
            '-p',
            'diagnostics.freeze_timeout_s:=6.0',
        )
    )  # and 2 s of grace
    camera = start_killed(os.path.join(HERE, 'fickle_camera.py'), tmp_path / 'picture.npy', 30, 1.5)
    subscribers = start_killed(os.path.join(HERE, 'killed_subscribers.py'), 4, stopped_share)
    busy_cores((os.cpu_count() or 2) if long_form else 0)
    node.wait(lambda: re.search(r'(?m)^%d$' % kills, subscribers.output()), '%d kills' % kills, 800.0)
    subscribers.process.send_signal(signal.SIGINT)
    subscribers.process.wait(10.0)
    # The camera may be frozen too: it has no guard.
    camera.process.kill()
    start(os.path.join(ROS_TESTS, 'plain_camera.py'), tmp_path / 'picture.npy', 30)
    subscriber = start(os.path.join(ROS_TESTS, 'plain_subscriber.py'), 0.5, tmp_path / 'notes.json')
    node.wait(lambda: subscriber.process.poll() is not None, 'answers', 70.0)
    with open(str(tmp_path / 'notes.json')) as file:
        answers = json.load(file)['detections']
    if long_form:
        promise(
            'a freeze of the middleware heals',
            '%d freezes, healed; answers at the end' % node.freezes,
            bound='answers go on',
            n='%d kills' % kills,
        )
    assert answers
