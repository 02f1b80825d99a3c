"""The node goes on when the work on a frame fails, and says so in log and diagnostics."""

import os
import re
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
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
        environment = dict(ros_environment, FAULTS=faults, WAKE=str(tmp_path / 'wake'))
        started.append(Process(command, environment, tmp_path / 'faulty.log'))
        return started[0]

    yield launch
    for process in started:
        assert process.end()[0] == 0, process.output()


def test_one_frame_is_lost_and_one_traceback_logged_when_the_work_throws(faulty_node, peer):
    node = faulty_node('2:RuntimeError,3:RuntimeError,5:BadModel,6:MemoryError')
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched_reliably, 'a subscription')
    shot = []
    for _ in range(8):
        shot.append(camera.shoot())
        counts = peer.wait(lambda: health.settled(len(shot)), 'frame %d to be worked on' % len(shot))
    assert (counts['failed'], counts['processed']) == (4, 4), counts
    peer.wait(lambda: len(heard) == 4, 'four answers')
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
    peer.wait(camera.watched_reliably, 'a subscription')
    peer.wait(lambda: health.counts().get('in_work'), 'a frame in work', each=camera.shoot)
    for _ in range(5):
        camera.shoot()
        assert peer.state() == 'active'
        assert peer.set_parameter(Parameter('input.max_age_s', value=1.0)).successful
    peer.wait(lambda: health.counts()['received'] > 1 and health.counts()['in_work'] == 1, 'more frames')
    status, seconds = node.end()
    assert status == 0 and 'Traceback' not in node.output()
    assert seconds < 5.0


def test_a_hung_frame_is_abandoned_when_the_node_is_deactivated_under_it(faulty_node, peer, tmp_path):
    node = faulty_node('1:hang')
    camera, health = peer.camera(), peer.health()
    topics = ('detections', 'affect')
    heard = [peer.listen(Detection2DArray, topic) for topic in topics]
    tracked = peer.listen(IdsList, '/humans/faces/tracked')
    shot = []
    peer.wait(lambda: health.counts().get('in_work'), 'a frame in work', each=lambda: shot.append(camera.shoot()))
    assert peer.change_state('deactivate')
    # A second worker in the pipeline that the first may come back to at any time would be one too many.
    assert not peer.change_state('activate') and peer.state() == 'inactive'
    assert len(re.findall(r'\[ERROR\].*configure again', node.output())) == 1, node.output()
    told = health.told()
    peer.wait(lambda: health.told() > told + 1, 'diagnostics')
    status = health.parts()['inference']
    assert status.level == DiagnosticStatus.ERROR and 'configure again' in status.message
    assert peer.change_state('cleanup')
    (tmp_path / 'wake').touch()
    node.wait_for('The hung frame came back with 1 faces')
    assert peer.change_state('configure') and peer.change_state('activate')
    peer.wait(lambda: all(heard) and tracked, 'answers', each=camera.shoot)
    assert not [message for messages in heard + [tracked] for message in messages if message.header in shot]
    assert 'Traceback' not in node.output() and node.output().count('[ERROR]') == 2, node.output()
    peer.wait(lambda: health.parts()['inference'].level == DiagnosticStatus.OK, 'health')


def test_a_callback_that_throws_costs_its_own_image_and_one_traceback_when_the_node_spins(faulty_node, peer):
    node = faulty_node('@1:RuntimeError,@2:RuntimeError')
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched_reliably, 'a subscription')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    peer.wait(lambda: health.counts().get('processed'), 'the counters')
    assert node.output().count('A callback failed, the node goes on') == 1
    assert node.output().count('Traceback') == 1 and 'injected fault' in node.output()
    assert peer.state() == 'active'


def test_diagnostics_tell_idle_working_and_silent_apart_when_a_camera_stops(start_node, peer):
    start_node(input__timeout_s=0.5, input__idle_release_s=0.2)
    health = peer.health()
    peer.wait(lambda: health.parts() and 'Idle' in health.parts()['input'].message, 'idle')
    heard = peer.listen(Detection2DArray, 'detections')
    camera = peer.camera()
    peer.wait(lambda: heard and 'Images come' in health.parts()['input'].message, 'OK', each=camera.shoot)
    assert health.parts()['input'].level == DiagnosticStatus.OK
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.ERROR, 'silence to show')
    assert 'No image' in health.parts()['input'].message
    peer.wait(lambda: health.parts()['input'].level == DiagnosticStatus.OK, 'OK again', each=camera.shoot)
    values = health.values('inference')
    assert values['provider'] == 'CPUExecutionProvider' and values['model'].startswith('esr_9_ferplus')
    assert len(values['sha256']) == 64 and 0 < float(values['work_p50_ms']) <= float(values['age_p99_ms'])
    peer.node.destroy_subscription(list(peer.node.subscriptions)[-1])
    peer.wait(lambda: 'Idle' in health.parts()['input'].message, 'idle again')
