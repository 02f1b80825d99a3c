"""What a lifecycle manager, and a robot that shuts down, meet while the node is loading its models."""

import os
import re
import sys

import pytest
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import SingleThreadedExecutor
from ros_processes import Process, check_clean_end, node_command
from stand_in_provider import BEGUN
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.ros.lifecycle import BackgroundConfigure

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Puts the stand-ins into every Python that is started, the one that builds engines too.
SITE = 'import os, sys; sys.path.insert(0, %r); import stand_in_provider as s; s.install(os.environ["STAND_IN"])' % TEST


@pytest.fixture
def tensorrt_node(shared_process, ros_environment, tmp_path):
    """Start a node on a stand-in for TensorRT, which fails as requested; its engines are kept for the next start.

    With a pipe, a build lasts until its other end is opened.
    """
    shared_process[1]()
    (tmp_path / 'sitecustomize.py').write_text(SITE)
    started = []

    def launch(fault, pipe=None, **parameters):
        environment = dict(
            ros_environment,
            STAND_IN='TensorrtExecutionProvider=%s' % fault,
            PYTHONPATH=os.pathsep.join([str(tmp_path), ros_environment['PYTHONPATH']]),
        )
        if pipe is not None:
            environment['STAND_IN_PIPE'] = str(pipe)
        command = [sys.executable] + node_command(
            inference__providers="['TensorrtExecutionProvider']",
            inference__face_batch=2,
            inference__engine_cache=tmp_path / 'engines',
            **parameters,
        )
        started.append(Process(command, environment, tmp_path / ('node_%d.log' % len(started))))
        return started[-1]

    yield launch
    for process in started:
        check_clean_end(process)


@pytest.fixture
def pipe(tmp_path):
    """Make a named pipe that nobody writes to."""
    os.mkfifo(str(tmp_path / 'pipe'))
    return tmp_path / 'pipe'


def builder_of(node):
    """Wait for the process that builds engines, and until it is at that.

    :returns: its number.
    """
    node.wait_for(BEGUN)
    return int(node.wait_for(r'builds its engines now, in process (\d+)').group(1))


def is_alive(pid):
    """Return whether a process is there, and is not merely waited for by nobody."""
    try:
        with open('/proc/%d/stat' % pid) as file:
            return file.read().rsplit(')', 1)[1].split()[0] not in 'ZX'
    except OSError:
        return False


def test_the_node_answers_everybody_while_tensorrt_builds_and_keeps_the_engines(tensorrt_node, pipe, peer):
    node = tensorrt_node('build', pipe, autostart=False)
    peer.wait_state('unconfigured')
    health = peer.health()
    configured = peer.start_change_state('configure')
    builder = builder_of(node)
    for _ in range(5):
        assert peer.state() == 'configuring'
        assert peer.get_parameters(['inference.face_batch'])[0].integer_value == 2
        assert not peer.change_state('configure') and not peer.change_state('activate')
        # Transitions by which the state machine says how configuring ended, and what they would allow.
        for wrong in (
            Transition.TRANSITION_ON_CONFIGURE_SUCCESS,
            Transition.TRANSITION_ON_CONFIGURE_ERROR,
            Transition.TRANSITION_CALLBACK_SUCCESS,
            'cleanup',
            Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        ):
            assert not peer.change_state(wrong)
        for label in ('transition_success', 'cleanup', 'shutdown', 'x' * 100000):
            request = ChangeState.Request()
            request.transition.label = label
            assert not peer.call(ChangeState, '/emotion_node/change_state', request).success
    peer.wait(lambda: health.parts()['input'].message.startswith('Configuring: '), 'diagnostics that say so')
    assert is_alive(builder) and not configured.done()
    build_on = os.open(str(pipe), os.O_RDWR)  # waits for nobody, and stays open for the second engine
    assert peer.wait(lambda: configured.result(), 'the answer').success and peer.state() == 'inactive'
    os.close(build_on)
    assert node.output().count(BEGUN) == 2 and not is_alive(builder)
    assert peer.change_state('activate')
    heard, camera = peer.listen(Detection2DArray, 'detections'), peer.camera()
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    peer.wait(lambda: health.values('inference')['provider'] == 'TensorrtExecutionProvider', 'diagnostics of the GPU')
    assert node.end()[0] == 0
    second = tensorrt_node('build')
    second.wait_for('Active: ')
    assert 'builds its engines now' not in second.output()
    assert second.output().count('TensorRT loads its engine from') == 2


def test_the_node_ends_and_takes_the_build_with_it_when_signalled_meanwhile(tensorrt_node, pipe, peer):
    node = tensorrt_node('build', pipe)
    builder = builder_of(node)
    status, _ = node.end()
    assert (status, 'Traceback' in node.output()) == (0, False), node.output()
    # Where the node was too busy to end it, the kernel does so a moment later.
    peer.wait(lambda: not is_alive(builder), 'the end of the builder')


def test_the_build_ends_too_when_the_node_is_killed(tensorrt_node, pipe, peer):
    node = tensorrt_node('build', pipe)
    builder = builder_of(node)
    assert is_alive(builder)
    node.process.kill()
    node.process.wait()
    peer.wait(lambda: not is_alive(builder), 'the end of the builder')  # which would build for ever
    node.process.returncode = 0  # this end was wanted


def test_the_node_works_on_the_cpu_when_building_an_engine_crashes(tensorrt_node, peer):
    node = tensorrt_node('crash')
    node.wait_for('Active: ')
    heard, camera, health = peer.listen(Detection2DArray, 'detections'), peer.camera(), peer.health()
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    reported = [line for line in node.output().splitlines() if 'SIGSEGV' in line]
    assert len(reported) == 1 and re.search(r'Running on CPU.*while it built its engines', reported[0])
    peer.wait(lambda: 'SIGSEGV' in health.parts()['inference'].message, 'diagnostics of the crash')


def test_nothing_is_under_way_when_a_change_was_over_at_once(peer):
    context, interval_s = peer.node.context, sys.getswitchinterval()
    node, executor = rclpy.create_node('quick', context=context), SingleThreadedExecutor(context=context)
    executor.add_node(node)
    loading = BackgroundConfigure(node)

    async def refused():
        return await loading.run(lambda: 'refused')

    sys.setswitchinterval(1e-6)  # a new thread gets its turn before the one that starts it goes on
    try:
        for _ in range(50):
            task = executor.create_task(refused)
            executor.spin_until_future_complete(task, 10.0)
            assert task.result() == 'refused'
            loading.join()
            assert not loading.running
    finally:
        sys.setswitchinterval(interval_s)
        executor.shutdown()
        node.destroy_node()
