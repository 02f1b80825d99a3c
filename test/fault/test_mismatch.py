"""Ends that do not fit together: a warning that names the policy, within two seconds on a quiet machine."""

import time
from functools import partial

import pytest
from hri_msgs.msg import IdsList
from rclpy.parameter import Parameter
from vision_msgs.msg import Detection2DArray

from graph_peer import scene


@pytest.mark.parametrize('asked', ['reliable', 'best_effort'])
@pytest.mark.parametrize('offered', ['reliable', 'best_effort'])
def test_a_warning_names_the_policy_when_camera_or_reader_do_not_fit(
        start_node, peer, offered, asked, long_form, promise):
    # The node's input asks for what the node's output of the other direction is asked for: both ends in one start.
    node = start_node('-p', 'qos_overrides./affect.publisher.reliability:=%s' % offered,
                      input__reliability=asked, input__lazy=False)
    node.wait_for('Listening to /image')
    if (offered, asked) == ('best_effort', 'reliable'):
        seconds = []
        for turn in range(1, 11 if long_form else 2):
            started = time.monotonic()
            camera, reader = open_ends(peer, offered, asked)
            peer.wait(partial(warned, node, 2 * turn), 'two warnings', each=camera.shoot)
            seconds.append(time.monotonic() - started)
        for words in ('A publisher of /image offers less than is asked for (policy RELIABILITY), so nothing comes from '
                      'it: set input.reliability to auto', 'A reader of /affect asks for more than is offered (policy '
                      'RELIABILITY), so nothing reaches it: correct its QoS, or qos_overrides./affect.publisher.'):
            assert node.output().count(words) == len(seconds), node.output()
        if long_form:
            promise('a QoS mismatch is visible', 'both ends told after at most %.2f s' % max(seconds), bound='2 s',
                    n='2x2 matrix; %d cameras and readers that do not fit' % len(seconds))
            assert max(seconds) < 2.0
        assert peer.set_parameter(Parameter('input.reliability', value='auto')).successful
        heard = peer.listen(Detection2DArray, 'detections')
        peer.wait(lambda: heard, 'an answer once the reliability follows', each=camera.shoot)
    else:
        camera, reader = open_ends(peer, offered, asked)
        peer.wait(lambda: reader, 'an answer', each=camera.shoot)
        assert '[WARN]' not in node.output(), node.output()


def test_a_warning_names_the_policy_when_a_reader_of_ros4hri_wants_what_was_before(start_node, peer):
    node = start_node()
    node.wait_for('Active: ')
    peer.listen(IdsList, '/humans/faces/tracked', latched=True)
    node.wait_for('A reader of /humans/faces/tracked asks for more than is offered .policy DURABILITY')


def open_ends(peer, offered, asked):
    """Open a camera and a reader.

    :returns: Camera, and the list of what the reader hears.
    """
    return (peer.camera(reliable=offered == 'reliable', picture=scene(64, 64)),
            peer.listen(Detection2DArray, 'affect', reliable=asked == 'reliable'))


def warned(node, times):
    """Return whether a node has named the policy so often."""
    return node.output().count('policy RELIABILITY') == times
