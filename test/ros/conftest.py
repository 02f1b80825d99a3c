"""The shared node with other live parameters, and a node in this process where its process does not matter."""

import gc
import logging
import os
import signal
import sys

import pytest
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from ros_processes import Process, node_command, parameter_words

HERE = os.path.dirname(os.path.abspath(__file__))


def pytest_collection_modifyitems(items):
    """Let the tests of the shared node follow each other: a node of a test's own ends it."""
    items.sort(key=lambda item: 'shared_node' not in getattr(item, 'fixturenames', ()))


@pytest.fixture
def tuned_node(shared_node, peer):
    """Return a function that sets live parameters of the shared node, which begins anew: no counts, no tracks.

    Parameters as keywords with __ for the dot; they are put back after the test.
    """
    before = []

    def set_all(parameters):
        request = SetParameters.Request(parameters=parameters)
        results = peer.call(SetParameters, '/emotion_node/set_parameters', request).results
        assert all(result.successful for result in results), results

    def begin(**parameters):
        values = {name.replace('__', '.'): value for name, value in parameters.items()}
        found = peer.get_parameters(list(values))
        before.extend(ParameterMessage(name=name, value=value) for name, value in zip(values, found))
        set_all([Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        assert peer.change_state('deactivate') and peer.change_state('activate')
        shared_node.skip_output()
        return shared_node

    yield begin
    set_all(before)


@pytest.fixture
def node_here(shared_process, peer):
    """Make an EmotionNode in this process, spun by whoever waits; arguments as `node_command` takes them.

    For what does not depend on the process: its interpreter and imports cost more than the models.
    """
    from facial_emotion_ros.ros.node import EmotionNode

    shared_process[1]()
    made = []

    def make(*ros_arguments, **parameters):
        words = node_command(*ros_arguments, **parameters)
        words = [str(word) for word in words[words.index('--ros-args') :]]
        # Without /rosout: rcl would warn of an earlier node of this process that had the same name.
        made.append(EmotionNode(context=peer.node.context, cli_args=words, enable_rosout=False))
        peer.executor.add_node(made[-1])
        return made[-1]

    yield make
    while made:
        node = made.pop()
        peer.executor.remove_node(node)
        node.close()
        node.destroy_node()
    node = None
    # The executor holds what it waited for last until it waits again; Python the rest until it collects.
    peer.executor.spin_once(timeout_sec=0.0)
    gc.collect()


@pytest.fixture
def start_variant(shared_process, ros_environment, tmp_path):
    """Start emotion_node by a script of this folder, with variables of the environment; it must end with a status."""
    shared_process[1]()
    started = []

    def launch(script, environment, *ros_arguments, status=0, **parameters):
        words = node_command(*ros_arguments, **parameters)
        command = [sys.executable, os.path.join(HERE, script)] + words[words.index('--ros-args') :]
        log = tmp_path / ('variant_%d.log' % len(started))
        started.append((Process(command, dict(ros_environment, **environment), log), status))
        return started[-1][0]

    yield launch
    for node, status in started:
        assert node.end()[0] == status, node.output()


@pytest.fixture
def run_here(ros_environment, capfd):
    """Run an executable of the demo in this process: its main function, words after --ros-args, parameters.

    Returns (exit status, what it wrote).
    """

    def run(main, *words, **parameters):
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        log = logging.getLogger('facial_emotion_ros')
        logs = list(log.handlers)
        try:
            status = main(['--ros-args', *words, *parameter_words(**parameters)])
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            # A node that was not made to its end would go on to log, and the graph would have it.
            for handler in set(log.handlers).difference(logs):
                handler.close()
            gc.collect()
        return status, ''.join(capfd.readouterr())

    return run
