"""The node as a lifecycle manager sees it."""

import re

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import IdsList
from lifecycle_msgs.msg import Transition
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.pipeline.tensorrt_build import EngineBuild


@pytest.fixture
def idle_node(node_here, peer):
    """Make a node that a lifecycle manager is to configure, and health that says the next step."""
    node_here(autostart=False, tracker__max_age_s=60.0)
    health = peer.health()

    def names_next_step(state, words):
        assert peer.state() == state
        reported = health.reported()
        peer.wait(lambda: health.reported() > reported + 1, 'diagnostics')
        status = health.parts()['input']
        assert status.message.startswith(words) and 'activated' in status.message, status.message
        assert status.level == DiagnosticStatus.OK

    return names_next_step


def test_images_are_answered_only_while_active_and_each_state_says_the_next_step(idle_node, peer, capfd):
    heard, tracked = peer.listen(Detection2DArray, 'detections'), peer.listen(IdsList, '/humans/faces/tracked')
    camera, faces = peer.camera(), 'faces/[a-z]{5}/'
    idle_node('unconfigured', 'Unconfigured: ')
    for wrong in ('activate', 'deactivate', 'cleanup', 99):
        assert not peer.change_state(wrong)
    seen = []
    for cycle in range(2):
        assert peer.change_state('configure')
        idle_node('inactive', 'Inactive: ')
        assert not peer.change_state('configure')
        assert peer.change_state('activate') and peer.state() == 'active'
        heard.clear()
        peer.wait(
            lambda: heard and tracked and tracked[-1].ids, 'a face in cycle %d' % cycle, each=camera.shoot, every_s=0.5
        )
        seen += tracked[-1].ids
        peer.wait(lambda: re.search(faces, ' '.join(peer.topics())), 'topics of the face')
        assert peer.change_state('deactivate')
        idle_node('inactive', 'Inactive: ')
        peer.wait(lambda: not camera.watched(), 'the subscription to end')
        peer.wait(lambda: not tracked[-1].ids, 'an empty list')
        assert tracked[-1].header.frame_id == camera.frame
        assert stamp_ns(tracked[-1]) > stamp_ns(tracked[-2])
        heard.clear()
        reported = len(tracked)
        camera.shoot()
        assert peer.change_state('activate') and peer.change_state('deactivate')
        peer.spin(0.3)
        assert not heard and len(tracked) == reported, 'the empty list was repeated'
        peer.wait(lambda: not re.search(faces, ' '.join(peer.topics())), 'topics of the face to go')
        assert peer.change_state('cleanup')
        idle_node('unconfigured', 'Unconfigured: ')
    assert len(set(seen)) == 2, 'an id was given again'
    log = ''.join(capfd.readouterr())
    assert 'liveliness' not in log, 'the middleware has logged that none needs to be asserted'
    assert log.count('Cleaned up') == 2
    assert "expected configure or shutdown in the state unconfigured, got '' (id 3)" in log


def test_the_node_serves_by_itself_when_started(tuned_node, peer):
    shared = tuned_node()
    heard = peer.listen(Detection2DArray, 'detections')
    camera = peer.camera()
    peer.wait(lambda: heard, 'detections', each=camera.shoot)
    assert peer.state() == 'active'
    shared.wait_for(r'Subscribed to /image \(')
    text = shared.log.read_text()
    assert re.search('(?s)Configured: esr_9_ferplus.*Active: ', text)


#: Parameters that the node refuses: name -> (value, what is said).
REFUSED = {
    'tracker__min_iou': ('7.0', 'tracker.min_iou must be a float from 0.01 to 1.0'),
    'inference__threads': ('many', "inference.threads must be an integer from 1 to 64, but is 'many'"),
    'output__contempt_as': ('scorn', 'output.contempt_as must be one of drop'),
    'output__humans_prefix': ('/2humans', "output.humans_prefix must be a topic name like '/humans'"),
    'input__transport': ('theora', "input.transport must be one of auto, raw, compressed, but is 'theora'"),
    'qos_overrides./expression.publisher.reliability': (
        'sometimes',
        'qos_overrides./expression.publisher.reliability must be one of reliable',
    ),
}


@pytest.mark.parametrize(
    'settings, causes',
    [
        ({'inference__bundle': 'no_such_network'}, ['no_such_network', 'esr_9_ferplus_int8']),
        ({'detector__bundle': 'esr_9_ferplus'}, ['esr', 'centerface']),
        ({'inference__precision': 'fp32', 'inference__deadline_ms': 20.0}, ['`quantize`']),
        ({'inference__precision': 'bf16'}, ['expected the engine openvino']),
        (
            {name: value for name, (value, _) in REFUSED.items()},
            [cause for _, cause in REFUSED.values()] + ['Correct it'],
        ),
    ],
)
def test_the_node_lives_unconfigured_and_says_why_when_configuring_is_impossible(
    node_here, peer, capfd, settings, causes
):
    node_here(**settings)
    health = peer.health()
    peer.wait(lambda: health.parts()['inference'].level == DiagnosticStatus.ERROR, 'diagnostics')
    message = health.parts()['inference'].message
    peer.wait_state('unconfigured')
    log = ''.join(capfd.readouterr())
    assert 'liveliness' not in log, 'the middleware has logged that none needs to be asserted'
    assert log.count('[ERROR]') == 1 and not re.search('WARN|Traceback', log), log
    assert all(cause in log and cause in message for cause in causes), log


@pytest.mark.parametrize('name, value', [('inference.operating_point', 'nobody'), ('inference.prior', '1 2 3')])
def test_a_point_or_prior_that_does_not_fit_is_refused_when_it_is_set_while_configuring(
    node_here, peer, monkeypatch, capfd, name, value
):
    node = node_here(autostart=False)
    monkeypatch.setattr(EngineBuild, 'run', lambda *_: node.set_parameters([Parameter(name, value=value)]))
    assert not peer.change_state('configure') and peer.state() == 'unconfigured'
    assert re.search(r"\[ERROR\].*expected .*, got '%s'" % value, capfd.readouterr().err)
    node.set_parameters([Parameter(name, value='')])
    monkeypatch.undo()
    assert peer.change_state('configure')


@pytest.mark.parametrize('before', [[], ['configure'], ['configure', 'activate']])
def test_the_node_reports_that_it_is_finalized_when_shut_down_from_any_state(idle_node, peer, before):
    health = peer.health()
    for transition in before:
        assert peer.change_state(transition)
    number = {
        0: Transition.TRANSITION_UNCONFIGURED_SHUTDOWN,
        1: Transition.TRANSITION_INACTIVE_SHUTDOWN,
        2: Transition.TRANSITION_ACTIVE_SHUTDOWN,
    }[len(before)]
    assert peer.change_state(number) and peer.state() == 'finalized'
    peer.wait(lambda: health.parts()['input'].message.startswith('Finalized: '), 'diagnostics')
    assert not peer.change_state('configure') and peer.state() == 'finalized'
    peer.wait(lambda: not peer.node.count_publishers('/detections'), 'the outputs to be closed')
    assert peer.get_parameters(['autostart'])


def stamp_ns(message):
    """Return the stamp of a message in nanoseconds."""
    return message.header.stamp.sec * 1000000000 + message.header.stamp.nanosec
