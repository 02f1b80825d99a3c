"""input.mode humans: another ROS4HRI node finds the faces, this one reads their expression."""

import re

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from hri_msgs.msg import Expression, IdsList
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from graph_peer import image_fields, quality, scene


class FaceFinder:
    """Another's node: lists ids and publishes a crop of each, the astronaut's face unless told otherwise."""

    def __init__(self, node, **pictures):
        self._node = node
        self._tracked = node.create_publisher(IdsList, '/humans/faces/tracked', quality())
        self.crops = {
            face: node.create_publisher(Image, '/humans/faces/%s/cropped' % face, quality(depth=1)) for face in pictures
        }
        self._pictures = pictures

    def shoot(self, *ids, crops=True):
        """List these faces, and publish their crops."""
        message = IdsList(ids=list(ids))
        message.header.stamp = self._node.get_clock().now().to_msg()
        message.header.frame_id = 'their_camera'
        self._tracked.publish(message)
        for face in ids if crops else ():
            if face in self.crops:
                self.crops[face].publish(Image(header=message.header, **image_fields(self._pictures[face])))


def face_crop():
    """Cut the astronaut's face out."""
    return np.ascontiguousarray(scene()[40:260, 130:310])


def test_each_face_that_others_track_gets_its_expression_when_someone_reads_it(start_node, peer):
    node = start_node(input__mode='humans', input__idle_release_s=0.3, input__timeout_s=0.5)
    # No face, but contrast: without it, diagnostics would tell of a lens cap.
    ramp = np.tile(np.linspace(0, 255, 60).astype(np.uint8)[None, :, None], (80, 1, 3))
    finder = FaceFinder(peer.node, ayqwe=face_crop(), bzzzz=ramp, cxxxx=face_crop())
    ids, health = ('ayqwe', 'bzzzz', 'cxxxx', '9no/topic'), peer.health()
    happy, nobody = (peer.listen(Expression, '/humans/faces/%s/expression' % face) for face in ids[:2])
    node.wait_for('Active: ')
    peer.wait(
        lambda: happy and health.parts() and int(health.values('input')['processed']) >= len(happy) + 3,
        'an expression of one face, and crops of the other that were read',
        each=lambda: finder.shoot(*ids),
    )
    assert happy[-1].expression == 'happy' and 0 < happy[-1].confidence <= 1 and happy[-1].valence > 0
    assert happy[-1].header.frame_id == 'their_camera'
    assert nobody == [], 'hri_msgs has no word for unknown'
    assert finder.crops['cxxxx'].get_subscription_count() == 0, 'the expression of this face has no subscriber'
    node.wait_for(r"Ignored 1 of the faces on /humans/faces/tracked: expected ids .*, got '9no/topic'")
    peer.wait(
        lambda: "got '9no/topic'" in health.parts()['input'].message, 'a warning', each=lambda: finder.shoot(*ids)
    )
    assert int(health.values('input')['refused_ids']) > 0
    ours = [name for name in peer.topics() if re.match('/(humans|detections|affect|expression)', name)]
    theirs = {'/humans/faces/tracked'} | {'/humans/faces/%s/cropped' % face for face in ids[:3]}
    assert set(ours) - theirs == {'/humans/faces/%s/expression' % face for face in ids[:3]}
    peer.wait(lambda: health.settled(), 'balanced counters')
    peer.wait(
        lambda: health.parts()['input'].level == DiagnosticStatus.ERROR,
        'an error when crops stop',
        each=lambda: finder.shoot(*ids, crops=False),
    )
    # Without the gray crop, whose lack of contrast is a warning of its own.
    peer.wait(
        lambda: health.parts()['input'].level == DiagnosticStatus.OK,
        'health once all ids are good',
        each=lambda: finder.shoot(ids[0], ids[2]),
    )
    peer.wait(
        lambda: '/humans/faces/ayqwe/expression' not in peer.topics(),
        "a lost face's topic to go",
        each=lambda: finder.shoot('cxxxx'),
    )
    peer.wait(lambda: 'Idle' in health.parts()['input'].message, 'idle without a subscriber')


def test_the_node_lives_unconfigured_when_there_is_no_prefix_to_follow(node_here, peer, capfd):
    node_here(input__mode='humans', output__humans_prefix="''", autostart=False)
    assert not peer.change_state('configure') and peer.state() == 'unconfigured'
    assert re.search(r'\[ERROR\].*expected output.humans_prefix to be set', capfd.readouterr().err)


def test_crops_of_another_reliability_are_read_and_what_has_no_effect_is_logged(node_here, peer, capfd):
    unread = 'qos_overrides./robot/humans/faces/tracked.publisher.depth'
    settings = {
        'input__mode': 'humans',
        'input__lazy': False,
        'output__humans_prefix': 'humans',
        'output__opendr': True,
        'tracker__min_iou': 0.5,
    }
    node_here('-r', '__ns:=/robot', '-p', unread + ':=5', **settings)
    listed = peer.node.create_publisher(IdsList, '/robot/humans/faces/tracked', quality())
    crop = peer.node.create_publisher(Image, '/robot/humans/faces/a/cropped', quality(reliable=False))
    peer.wait(crop.get_subscription_count, 'a subscription', each=lambda: listed.publish(IdsList(ids=['a'])))
    node = '/robot/emotion_node'
    assert peer.set_parameter(Parameter('input.reliability', value='reliable'), node).successful
    peer.wait(lambda: not crop.get_subscription_count(), 'a request that this publisher cannot meet')
    assert peer.set_parameter(Parameter('input.reliability', value='auto'), node).successful
    peer.wait(crop.get_subscription_count, 'a subscription that it meets')
    refused = peer.set_parameter(Parameter('inference.reuse_below', value=4.0), node)
    assert not refused.successful and 'inference.reuse_below has no effect' in refused.reason
    for name, kept in (('inference.reuse_below', 0.0), ('tracker.min_iou', 0.5)):
        assert peer.set_parameter(Parameter(name, value=kept), node).successful
    parts = peer.health().parts
    peer.wait(lambda: parts() and parts()['input'].hardware_id == '/robot/humans/faces/tracked', 'the full name')
    log = capfd.readouterr().err
    assert re.search(r'\[WARN\].*%s is unknown and has no effect' % unread, log)
    assert re.search(r'\[WARN\].*These have no effect with input.mode humans: tracker.min_iou, output.opendr\.', log)
