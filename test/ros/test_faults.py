"""The node goes on when the work on a frame fails, and says so in log and diagnostics."""

import os
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from conftest import Process

HERE = os.path.dirname(os.path.abspath(__file__))


@pytest.fixture
def faulty_node(start_node, ros_environment, tmp_path):
    """Start a node whose pipeline fails at given frames; it must end with status 0."""
    started = []

    def launch(faults):
        command = [sys.executable, os.path.join(HERE, 'faulty_node.py'), '--ros-args', '-p',
                   'diagnostics.period_s:=0.1']
        started.append(Process(command, dict(ros_environment, FAULTS=faults), tmp_path / 'faulty.log'))
        return started[0]

    yield launch
    for process in started:
        assert process.end()[0] == 0, process.output()


def test_one_frame_is_lost_and_one_traceback_logged_when_the_work_throws(faulty_node, peer):
    node = faulty_node('2:RuntimeError,3:RuntimeError,5:BadModel,6:MemoryError')
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched, 'a subscription')
    shot = []
    for _ in range(8):
        shot.append(camera.shoot())
        counts = peer.wait(lambda: health.settled(len(shot)), 'frame %d to be worked on' % len(shot))
    assert (counts['failed'], counts['processed']) == (4, 4), counts
    assert len(heard) == 4
    # Two kinds of fault that nobody foresaw; BadModel says all there is to say in a sentence.
    assert node.output().count('Traceback') == 2
    assert node.output().count('[ERROR]') == 4
    status = health.parts()['inference']
    assert status.level == DiagnosticStatus.ERROR and 'injected fault' in status.message
    assert peer.state() == 'active'


def test_services_answer_and_the_node_ends_when_the_model_hangs(faulty_node, peer):
    node = faulty_node('1:hang')
    camera, health = peer.camera(), peer.health()
    peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched, 'a subscription')
    camera.shoot()
    peer.wait(lambda: health.counts().get('in_work'), 'a frame in work')
    for _ in range(5):
        camera.shoot()
        assert peer.state() == 'active'
        assert peer.set_parameter(Parameter('input.max_age_s', value=1.0)).successful
    peer.wait(lambda: health.counts()['received'] > 1 and health.counts()['in_work'] == 1, 'more frames')
    status, seconds = node.end()
    assert status == 0 and 'Traceback' not in node.output()
    assert seconds < 5.0


def test_diagnostics_tell_idle_working_and_silent_apart_when_a_camera_stops(start_node, peer):
    start_node(input__timeout_s=0.5, input__idle_release_s=0.2)
    health = peer.health()
    peer.wait(lambda: health.parts() and 'Idle' in health.parts()['input'].message, 'idle')
    heard = peer.listen(Detection2DArray, 'detections')
    camera = peer.camera()
    peer.wait(lambda: heard and 'Images come' in health.parts()['input'].message, 'OK', each=camera.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.OK
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.STALE, 'silence to show')
    assert 'No image' in health.parts()['input'].message
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.OK, 'OK again', each=camera.shoot)
    values = health.values('inference')
    assert values['provider'] == 'CPUExecutionProvider' and values['model'].startswith('esr_9_ferplus')
    assert len(values['sha256']) == 64 and 0 < float(values['work_p50_ms']) <= float(values['age_p99_ms'])
    peer.node.destroy_subscription(list(peer.node.subscriptions)[-1])
    peer.wait(lambda: 'Idle' in health.parts()['input'].message, 'idle again')
