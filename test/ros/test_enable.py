"""~/enable: everything off and on again, without a lifecycle manager."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
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
        lambda: [message for message in heard if message.header in shot],
        'an answer',
        each=lambda: shot.append(camera.shoot()),
        every_s=0.5,
    )


def test_no_image_is_read_when_the_node_was_disabled_before_it_is_activated(enable, tuned_node, peer):
    tuned_node(input__lazy=False)
    assert peer.change_state('deactivate')
    enable(False)
    assert peer.change_state('activate')
    camera, health = peer.camera(), peer.health()
    peer.wait(lambda: 'Disabled' in health.parts()['input'].message, 'diagnostics')
    assert not camera.watched()
    enable(True)
    peer.wait(lambda: health.counts()['processed'], 'a processed image', each=camera.shoot, every_s=0.5)
