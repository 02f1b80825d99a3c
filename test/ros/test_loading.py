"""What a lifecycle manager, and a robot that shuts down, meet while the node is loading its models."""

import os
import re
import sys
import time

import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from vision_msgs.msg import Detection2DArray

from conftest import Process, check_clean_end, node_command
from facial_emotion_ros.ros.loading import Loading

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: Puts the stand-ins into every Python that is started, the one that builds engines too.
SITE = 'import os, sys; sys.path.insert(0, %r); import stand_in_provider as s; s.install(os.environ["STAND_IN"])' % TEST


@pytest.fixture
def tensorrt_node(shared_process, ros_environment, tmp_path):
    """Start a node on a stand-in for TensorRT, which fails as it is told; its engines are kept for the next start."""
    shared_process[1]()
    (tmp_path / 'sitecustomize.py').write_text(SITE)
    started = []

    def launch(fault, **parameters):
        environment = dict(ros_environment, STAND_IN='TensorrtExecutionProvider=%s' % fault,
                           PYTHONPATH=os.pathsep.join([str(tmp_path), ros_environment['PYTHONPATH']]))
        command = [sys.executable] + node_command(
            inference__providers="['TensorrtExecutionProvider']", inference__face_batch=2,
            inference__engine_cache=tmp_path / 'engines', **parameters)
        started.append(Process(command, environment, tmp_path / ('node_%d.log' % len(started))))
        return started[-1]

    yield launch
    for process in started:
        check_clean_end(process)


def builder_of(node):
    """Wait for the process that builds engines.

    :returns: its number.
    """
    return int(node.wait_for(r'in a process of its own \((\d+)\)').group(1))


def is_alive(pid):
    """Return whether a process is there."""
    return os.path.exists('/proc/%d' % pid)


def test_the_node_answers_everybody_when_tensorrt_builds_for_long(tensorrt_node, peer):
    node = tensorrt_node('build', autostart=False)
    peer.wait_state('unconfigured')
    health = peer.health()
    configured = peer.start_change_state('configure')
    builder = builder_of(node)
    answered = 0
    while is_alive(builder):
        assert peer.state() == 'configuring'
        assert peer.get_parameters(['inference.face_batch'])[0].integer_value == 2
        assert not peer.change_state('configure') and not peer.change_state('activate')
        answered += 1
    assert answered >= 5, 'a build of 4 s'
    assert health.parts()['input'].message.startswith('Configuring: ')
    assert peer.wait(lambda: configured.result(), 'the answer').success and peer.state() == 'inactive'
    assert peer.change_state('activate')
    heard, camera = peer.listen(Detection2DArray, 'detections'), peer.camera()
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    assert health.values('inference')['provider'] == 'TensorrtExecutionProvider'


def test_engines_are_built_once_when_the_node_starts_twice(tensorrt_node):
    first = tensorrt_node('build')
    builder_of(first)
    first.wait_for('Active: ')
    assert first.end()[0] == 0
    second = tensorrt_node('build')
    second.wait_for('Active: ')
    assert 'in a process of its own' not in second.output()
    assert second.output().count('TensorRT takes its engine from') == 2


def test_the_node_ends_and_takes_the_build_with_it_when_signalled_meanwhile(tensorrt_node):
    node = tensorrt_node('build')
    builder = builder_of(node)
    time.sleep(0.5)
    status, _ = node.end()
    assert (status, 'Traceback' in node.output()) == (0, False), node.output()
    assert not is_alive(builder)


def test_the_build_ends_too_when_the_node_is_killed(tensorrt_node, peer):
    node = tensorrt_node('build')
    builder = builder_of(node)
    peer.wait(lambda: 'engine_build' in open('/proc/%d/cmdline' % builder).read(), 'the builder')
    node.process.kill()
    node.process.wait()
    peer.wait(lambda: not is_alive(builder), 'the end of the builder', timeout_s=3.0)  # a build takes 4 s
    node.process.returncode = 0  # this end was wanted


def test_the_node_works_on_the_cpu_when_building_an_engine_crashes(tensorrt_node, peer):
    node = tensorrt_node('crash')
    node.wait_for('Active: ')
    heard, camera, health = peer.listen(Detection2DArray, 'detections'), peer.camera(), peer.health()
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    told = [line for line in node.output().splitlines() if 'SIGSEGV' in line]
    assert len(told) == 1 and re.search(r'Running on CPU.*while it built its engines', told[0])
    peer.wait(lambda: 'SIGSEGV' in health.parts()['inference'].message, 'diagnostics of the crash')


def test_nothing_is_under_way_when_a_change_was_over_at_once(peer):
    context, interval_s = peer.node.context, sys.getswitchinterval()
    node, executor = rclpy.create_node('quick', context=context), SingleThreadedExecutor(context=context)
    executor.add_node(node)
    loading = Loading(node)

    async def refused():
        return await loading.run(lambda: 'refused')

    sys.setswitchinterval(1e-6)  # a new thread gets its turn before the one that starts it goes on
    try:
        for _ in range(50):
            task = executor.create_task(refused)
            executor.spin_until_future_complete(task, 10.0)
            assert task.result() == 'refused'
            loading.join()
            assert not loading.under_way
    finally:
        sys.setswitchinterval(interval_s)
        executor.shutdown()
        node.destroy_node()
