"""~/enable: everything off and on again, without a lifecycle manager."""

import re
import sys

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
from ros_processes import Process, check_clean_end, node_command
from std_srvs.srv import SetBool
from vision_msgs.msg import Detection2DArray


@pytest.fixture
def enable(shared_node, peer):
    """Call ~/enable; the node is enabled again after the test."""

    def call(on):
        answer = peer.call(SetBool, '/emotion_node/enable', SetBool.Request(data=on))
        assert answer.success
        return answer.message

    yield call
    call(True)


def test_nothing_is_read_or_published_until_enabled_again_when_disabled(enable, peer):
    camera, health = peer.camera(), peer.health()
    heard, tracked = peer.listen(Detection2DArray, 'detections'), peer.listen(IdsList, '/humans/faces/tracked')
    peer.wait(lambda: camera.answers(heard) and tracked and tracked[-1].ids, 'a face', each=camera.shoot, every_s=0.5)
    known = tracked[-1].ids
    assert enable(False) == 'Disabled: no image is processed.'
    assert enable(False).startswith('Already disabled')
    peer.wait(lambda: not camera.watched(), 'the image to be left')
    peer.wait(lambda: not tracked[-1].ids, 'an empty list of faces')
    peer.wait(lambda: 'until ~/enable is called' in health.parts()['input'].message, 'diagnostics that say so')
    assert health.parts()['input'].level == DiagnosticStatus.OK and peer.state() == 'active'
    heard.clear()
    camera.shoot()
    peer.spin(0.3)
    assert not heard
    assert enable(True) == 'Enabled.'
    shot = []
    peer.wait(
        lambda: [message for message in heard if message.header in shot and message.detections],
        'an answer',
        each=lambda: shot.append(camera.shoot()),
        every_s=0.5,
    )
    assert heard[-1].detections[0].id not in known, 'what the face looked like was not forgotten'
    assert health.values('inference')['left_out'] == '0'


def test_no_image_is_read_when_the_node_was_disabled_before_it_is_activated(enable, tuned_node, peer):
    node = tuned_node(input__lazy=False)
    assert peer.change_state('deactivate')
    camera, health = peer.camera(), peer.health()
    peer.wait(lambda: 'Inactive' in health.parts()['input'].message, 'diagnostics')
    peer.wait(lambda: health.values('input')['publishers'] == '1', 'the camera in the diagnostics of an inactive node')
    enable(False)
    assert peer.change_state('activate')
    node.wait_for('Active: disabled until ~/enable is called with true.')
    peer.wait(lambda: 'Disabled' in health.parts()['input'].message, 'diagnostics')
    assert not camera.watched()
    enable(True)
    peer.wait(lambda: health.counts()['processed'], 'a processed image', each=camera.shoot, every_s=0.5)


def test_a_node_that_was_disabled_starts_disabled_when_it_was_killed(ros_environment, peer, tmp_path):
    # A name of its own: the graph takes a while to forget a killed process.
    command = [sys.executable] + node_command('-r', '__node:=killed', autostart=False, enable__persist=True)
    environment = dict(ros_environment, ROS_HOME=str(tmp_path))

    def disable():
        return peer.call(SetBool, '/killed/enable', SetBool.Request(data=False)).message

    node = Process(command, environment, tmp_path / 'first.log')
    try:
        assert disable().startswith('Disabled')
    finally:
        node.process.kill()
        node.process.wait()
    node = Process(command, environment, tmp_path / 'second.log')
    try:
        node.wait_for('Disabled, as before the restart')
        assert disable().startswith('Already disabled')
    finally:
        check_clean_end(node)


def test_the_node_stays_disabled_and_says_why_when_the_state_cannot_be_stored(node_here, peer, tmp_path, capfd):
    (tmp_path / 'file').write_text('')
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv('ROS_HOME', str(tmp_path / 'file'))
        node_here(autostart=False, enable__persist=True)
    assert re.search(
        'Disabled, because the last state of ~/enable is unknown .*Not a directory', capfd.readouterr().err
    )
    on, off = (peer.call(SetBool, '/emotion_node/enable', SetBool.Request(data=data)) for data in (True, False))
    assert on.success and on.message.startswith('Enabled') and 'is lost at a restart' in on.message
    assert not off.success and off.message.startswith('Disabled') and 'is lost at a restart' in off.message
