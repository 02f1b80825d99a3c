"""Signals end the node cleanly, whatever it is doing; in work and time and again: test/soak/test_clean_ends.py."""

import signal
import sys
import time

import pytest
from programs import printed


def test_the_node_ends_cleanly_when_signalled_until_it_is_gone(start_node, peer, long_form):
    node = start_node()
    node.wait_for('Active: ')
    started = time.monotonic()
    while node.process.poll() is None and time.monotonic() - started < (3.0 if long_form else 30.0):
        node.process.send_signal(signal.SIGINT)
        node.process.send_signal(signal.SIGTERM)
        time.sleep(0.005 if long_form else 0.03)
    assert node.process.poll() == 0 and 'Traceback' not in node.output(), node.output()


def test_the_node_ends_cleanly_when_signalled_while_models_load(start_node, peer):
    node = start_node('-r', '__node:=loading')  # nodes of other tests may still be remembered by their name
    peer.wait(lambda: 'loading' in peer.node.get_node_names(), 'the node')
    status, _ = node.end(signal.SIGTERM)
    assert (status, 'Traceback' in node.output()) == (0, False), node.output()


#: A node on a machine so busy that Python's own end takes long.
SLOW = """
import sys, time
from facial_emotion_ros.ros import emotion_node

class Slow:
    def __del__(self, sleep=time.sleep):
        sleep(4.5)

slow = Slow()  # goes when no other thread runs any more
sys.exit(emotion_node.main())
"""


def test_the_node_ends_cleanly_when_python_takes_long_to_end(shared_process, start, peer):
    shared_process[1]()
    node = start('-c', SLOW, '--ros-args', '-p', 'autostart:=false', '-r', '__node:=slow')
    peer.wait_state('unconfigured', '/slow')
    assert node.end()[0] == 0, node.output()


#: Ends a node, and prints a line whenever rclpy's own signal handlers are taken off.
WATCHED = """
import sys
from rclpy.node import Node
from facial_emotion_ros.ros.process import run_until_done

def watch(_frame, event, called):
    if event == 'c_call' and called.__name__ == 'uninstall_signal_handlers':
        print('taken off')

class Done(Node):
    done = True
    def finish(self, interrupted):
        print('finished')
        return 0

sys.setprofile(watch)
sys.exit(run_until_done('done', lambda: Done('done'), []))
"""


def test_handlers_that_rclpy_has_not_installed_are_not_taken_off(ros_environment):
    # It puts the default ones in their place first, and a signal at that moment kills the process.
    shown = printed(sys.executable, '-c', WATCHED, env=ros_environment, timeout=60)
    assert 'finished' in shown and 'taken off' not in shown, shown  # the middleware may add lines of its own


#: Sends its own process a signal the moment that rclpy is looked for.
EARLY = """
import os, sys
import facial_emotion_ros.ros.%s as executable
assert 'rclpy' not in sys.modules

class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == 'rclpy':
            sys.meta_path.remove(self)
            os.kill(os.getpid(), int(%d))

sys.meta_path.insert(0, Watch())
sys.exit(executable.main())
"""


@pytest.mark.parametrize('name', ['emotion_node', 'demo.media_source', 'demo.console_view'])
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_process_ends_cleanly_when_signalled_while_python_imports_ros(ros_environment, number, name):
    shown = printed(sys.executable, '-c', EARLY % (name, number), env=ros_environment, timeout=60)
    assert 'Traceback' not in shown, shown


@pytest.mark.parametrize(
    'name, words, named',
    [
        ('emotion_node', ['--log-level', 'bogus'], 'bogus'),
        ('demo.media_source', ['-r', 'image:=bad//topic'], 'bad//topic'),
        ('demo.console_view', ['--params-file', '/nonexistent.yaml'], '/nonexistent.yaml'),
    ],
)
def test_a_process_names_the_argument_in_a_sentence_when_ros_refuses_it(ros_environment, name, words, named):
    command = [sys.executable, '-m', 'facial_emotion_ros.ros.' + name, '--ros-args', *words]
    shown = printed(*command, status=2, env=ros_environment, timeout=60)
    assert 'Traceback' not in shown, shown
    [line] = [line for line in shown.splitlines() if line.startswith(name.split('.')[-1] + ': ')]
    assert named in line and 'check the arguments' in line and '.c:' not in line
