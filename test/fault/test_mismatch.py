"""Ends that do not fit together: a warning that names the policy, within two seconds on a quiet machine."""

import time
from functools import partial

from hri_msgs.msg import IdsList
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from graph_peer import scene


def start_with(start_node, offered, asked):
    """Start a node that offers one reliability in `affect`, and asks for one in `image`: both ends in one start."""
    node = start_node(
        '-p', 'qos_overrides./affect.publisher.reliability:=%s' % offered, input__reliability=asked, input__lazy=False
    )
    node.wait_for('Subscribed to /image')
    return node


def test_a_warning_names_the_policy_when_camera_or_subscriber_do_not_fit(start_node, peer, long_form, promise):
    node, seconds = start_with(start_node, 'best_effort', 'reliable'), []
    for turn in range(1, 11 if long_form else 2):
        started = time.monotonic()
        camera = peer.camera(reliable=False, picture=scene(64, 64))
        peer.listen(Detection2DArray, 'affect', reliable=True)
        peer.wait(partial(warned, node, 2 * turn), 'two warnings', each=camera.shoot)
        seconds.append(time.monotonic() - started)
    for words in (
        'A publisher of /image offers less than this node requests (policy RELIABILITY), so its images are not '
        'received: set input.reliability to auto',
        'A subscriber of /affect requests more than is offered (policy '
        'RELIABILITY), so it receives nothing: correct its QoS, or qos_overrides./affect.publisher.',
    ):
        assert node.output().count(words) == len(seconds), node.output()
    if long_form:
        promise(
            'a QoS mismatch is visible',
            'both ends logged it after at most %.2f s' % max(seconds),
            bound='2 s',
            n='2x2 matrix; %d cameras and subscribers that do not fit' % len(seconds),
        )
        assert max(seconds) < 2.0
    assert peer.set_parameter(Parameter('input.reliability', value='auto')).successful
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(lambda: heard, 'an answer once the reliability follows', each=camera.shoot)


def test_nothing_is_warned_of_when_all_cameras_and_subscribers_fit(start_node, peer):
    node = start_with(start_node, 'reliable', 'best_effort')
    subscribers = [peer.listen(Detection2DArray, 'affect', reliable=reliable) for reliable in (True, False)]
    for reliable in (True, False):
        camera = peer.camera(reliable=reliable, picture=scene(64, 64))
        for heard in subscribers:
            heard.clear()
        peer.wait(lambda: all(subscribers), 'answers to both subscribers', each=camera.shoot)
    assert '[WARN]' not in node.output(), node.output()


def test_a_warning_names_the_policy_when_a_subscriber_of_ros4hri_wants_what_was_before(start_node, peer):
    node = start_node()
    node.wait_for('Active: ')
    peer.listen(IdsList, '/humans/faces/tracked', latched=True)
    node.wait_for('A subscriber of /humans/faces/tracked requests more than is offered .policy DURABILITY')


def warned(node, times):
    """Return whether a node has named the policy so often."""
    return node.output().count('policy RELIABILITY') == times
