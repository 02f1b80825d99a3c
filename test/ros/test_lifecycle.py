"""The node as a lifecycle manager sees it."""

import re

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
from lifecycle_msgs.msg import Transition
from rcl_interfaces.srv import GetParameters
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.face_tracker import face_id


def test_images_are_answered_only_while_active_when_cycled_by_services(start_node, peer):
    node = start_node(autostart=False)
    heard = peer.listen(Detection2DArray, 'detections')
    camera = peer.camera()
    faces = 'faces/[a-z]{5}/'
    assert peer.state() == 'unconfigured'
    for cycle in range(3):
        assert peer.change_state('configure') and peer.state() == 'inactive'
        assert peer.change_state('activate') and peer.state() == 'active'
        heard.clear()
        peer.wait(lambda: heard, 'detections in cycle %d' % cycle, each=camera.shoot)
        peer.wait(lambda: re.search(faces, ' '.join(peer.topics())), 'topics of the face')
        assert peer.change_state('deactivate') and peer.state() == 'inactive'
        peer.wait(lambda: not camera.watched(), 'the subscription to end')
        heard.clear()
        camera.shoot()
        peer.spin(0.3)
        assert not heard
        peer.wait(lambda: not re.search(faces, ' '.join(peer.topics())), 'topics of the face to go')
        assert peer.change_state('cleanup') and peer.state() == 'unconfigured'
    assert node.output().count('Cleaned up') == 3


def test_readers_learn_that_no_face_is_followed_when_deactivated(start_node, peer):
    start_node(autostart=False, tracker__max_age_s=60.0)
    camera, tracked = peer.camera(), peer.listen(IdsList, '/humans/faces/tracked')
    assert peer.change_state('configure') and peer.change_state('activate')
    peer.wait(lambda: tracked and tracked[-1].ids, 'a tracked face', each=camera.shoot, every_s=0.5)
    assert peer.change_state('deactivate')
    peer.wait(lambda: not tracked[-1].ids, 'an empty list')
    assert tracked[-1].header.frame_id == camera.frame
    assert stamp_ns(tracked[-1]) > stamp_ns(tracked[-2])
    told = len(tracked)
    assert peer.change_state('activate') and peer.change_state('deactivate') and peer.change_state('cleanup')
    peer.spin(0.3)
    assert len(tracked) == told, 'the empty list was repeated'


def test_no_id_is_given_again_when_configured_anew_unless_a_first_one_is_named(start_node, peer):
    for settings, begins_anew in (({}, False), ({'tracker__first_face': 5}, True)):
        node = start_node(autostart=False, **settings)
        camera, tracked = peer.camera(), peer.listen(IdsList, '/humans/faces/tracked')
        seen = []
        for _ in range(2):
            assert peer.change_state('configure') and peer.change_state('activate')
            peer.wait(lambda tracked=tracked: tracked and tracked[-1].ids, 'a tracked face', each=camera.shoot)
            seen += tracked[-1].ids
            assert peer.change_state('deactivate') and peer.change_state('cleanup')
            tracked.clear()
        assert seen == [face_id(5)] * 2 if begins_anew else len(set(seen)) == 2
        assert node.end()[0] == 0
        peer.wait(lambda: not peer.node.count_publishers('/diagnostics'), 'the node to be gone')


@pytest.mark.parametrize('transitions, words', [
    ([], 'Unconfigured: '), (['configure'], 'Inactive: '), (['configure', 'activate', 'deactivate'], 'Inactive: '),
    (['configure', 'cleanup'], 'Unconfigured: ')])
def test_diagnostics_name_the_next_step_when_somebody_listens_to_a_node_that_is_not_active(
        start_node, peer, transitions, words):
    start_node(autostart=False)
    health = peer.health()
    peer.listen(Detection2DArray, 'detections')
    for transition in transitions:
        assert peer.change_state(transition)
    told = health.told()
    peer.wait(lambda: health.told() > told + 1, 'diagnostics')
    status = health.parts()['input']
    assert status.message.startswith(words) and 'activated' in status.message
    assert status.level == DiagnosticStatus.OK


def test_a_wrong_transition_is_refused_and_the_node_lives_when_asked_by_service(start_node, peer):
    start_node(autostart=False)
    peer.wait_state('unconfigured')
    for wrong in ('activate', 'deactivate', 'cleanup', 99):
        assert not peer.change_state(wrong)
    assert peer.change_state('configure')
    assert not peer.change_state('configure')
    assert peer.state() == 'inactive'


def test_the_node_serves_by_itself_when_started_with_its_defaults(start_node, peer):
    node = start_node()
    heard = peer.listen(Detection2DArray, 'detections')
    camera = peer.camera()
    peer.wait(lambda: heard, 'detections', each=camera.shoot)
    assert peer.state() == 'active'
    for sentence in ('Configured: esr_9_ferplus', 'Active: ', r'Listening to /image \(reliable\)'):
        node.wait_for(sentence)


@pytest.mark.parametrize('settings, cause, step', [
    ({'inference__bundle': 'no_such_network'}, 'no_such_network', 'models'),
    ({'detector__bundle': 'esr_9_ferplus'}, 'esr', 'centerface'),
    ({'tracker__min_iou': '7.0'}, 'tracker.min_iou must be a float from 0.01 to 1.0', 'Correct it'),
    ({'inference__threads': 'many'}, 'inference.threads must be an integer from 1 to 64', "'many'"),
    ({'output__contempt_as': 'scorn'}, 'output.contempt_as must be one of drop', "'scorn'"),
    ({'output__humans_prefix': '/2humans'}, "output.humans_prefix must be a topic name like '/humans'", "'/2humans'"),
    ({'qos_overrides./expression.publisher.reliability': 'sometimes'},
     'qos_overrides./expression.publisher.reliability must be one of reliable', "'sometimes'"),
])
def test_the_node_lives_unconfigured_and_says_why_when_configuring_is_impossible(
        start_node, peer, settings, cause, step):
    node = start_node(**settings)
    node.wait_for(r'\[ERROR\].*%s.*%s' % (cause, step))
    peer.wait_state('unconfigured')
    assert node.output().count('[ERROR]') == 1 and '[WARN]' not in node.output()
    health = peer.health()
    peer.wait(lambda: health.parts()['inference'].level == DiagnosticStatus.ERROR, 'diagnostics')
    assert cause in health.parts()['inference'].message


@pytest.mark.parametrize('before', [[], ['configure'], ['configure', 'activate']])
def test_the_node_tells_that_it_is_done_when_shut_down_from_any_state(start_node, peer, before):
    node = start_node(autostart=False)
    health = peer.health()
    for transition in before:
        assert peer.change_state(transition)
    number = {0: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, 1: Transition.TRANSITION_INACTIVE_SHUTDOWN,
              2: Transition.TRANSITION_ACTIVE_SHUTDOWN}[len(before)]
    assert peer.change_state(number) and peer.state() == 'finalized'
    peer.wait(lambda: health.parts()['input'].message.startswith('Finalized: '), 'diagnostics')
    assert not peer.change_state('configure') and peer.state() == 'finalized'
    peer.wait(lambda: not peer.node.count_publishers('/detections'), 'the outputs to be closed')
    assert peer.call(GetParameters, '/emotion_node/get_parameters', GetParameters.Request(names=['autostart'])).values
    assert node.process.poll() is None


def stamp_ns(message):
    """Return the stamp of a message in nanoseconds."""
    return message.header.stamp.sec * 1000000000 + message.header.stamp.nanosec
