"""Nothing that is not finite leaves the node, whatever networks and images bring."""

import math
import os
from functools import partial

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from vision_msgs.msg import Detection2DArray

from graph_peer import image_fields, quality, scene

HOSTILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'hostile_node.py')


def check_finite(message, place=''):
    """Look at every number of a message, and at every value of diagnostics that could be one."""
    if hasattr(message, 'get_fields_and_field_types'):
        for name in message.get_fields_and_field_types():
            check_finite(getattr(message, name), '%s.%s' % (place, name))
    elif isinstance(message, str):
        assert message.strip('-+').lower() not in ('nan', 'inf', 'infinity'), place
    elif isinstance(message, float):
        assert math.isfinite(message), '%s is %r' % (place, message)
    elif not isinstance(message, (int, bytes)):
        for index, item in enumerate(message):
            check_finite(item, '%s[%d]' % (place, index))


class Inspector:
    """Reads every topic that tells of faces."""

    TOPICS = (
        (Detection2DArray, 'detections'),
        (Detection2DArray, 'detections/raw'),
        (Detection2DArray, 'affect'),
        (Detection2DArray, 'affect/scores'),
        (Expression, 'expression'),
        (DiagnosticArray, '/diagnostics'),
        (IdsList, '/humans/faces/tracked'),
    )

    def __init__(self, node):
        self._node, self._known = node, set()
        self.seen, self.numbers_of_faces = 0, 0
        for message_type, topic in self.TOPICS:
            self._subscribe(message_type, topic)

    def _subscribe(self, message_type, topic):
        self._node.create_subscription(message_type, topic, partial(self._inspect, topic), quality())

    def _inspect(self, topic, message):
        check_finite(message, topic)
        if not isinstance(message, DiagnosticArray):
            self.seen += 1
        if topic == 'detections':
            self.numbers_of_faces += len(message.detections)
        for face_id in set(getattr(message, 'ids', ())) - self._known:
            self._known.add(face_id)
            self._subscribe(Expression, '/humans/faces/%s/expression' % face_id)
            self._subscribe(NormalizedRegionOfInterest2D, '/humans/faces/%s/roi' % face_id)


def images():
    """Yield what to shoot, without end: every second one has a face."""
    noise = np.random.RandomState(2).randint(0, 256, (120, 160, 3)).astype(np.uint8)
    odd = [
        noise,
        noise * 0,
        noise * 0 + 255,
        noise[:1, :1],
        noise[:1],
        noise[:, :1],
        noise[:3, :3],
        scene(160, 120)[30:90],
        scene(64, 64),
    ]
    faces = [image_fields(scene(240, 180, faces=count)) for count in (1, 2)]
    while True:
        for place, picture in enumerate(odd):
            yield {}, faces[place % 2]
            yield {'stamp': Time(sec=2147483647)} if place % 3 == 0 else {'stamp': Time()}, image_fields(picture)


@pytest.mark.timeout(3600)
def test_every_number_is_finite_when_networks_and_images_are_hostile(start_faulty, peer, long_form, promise):
    wanted = 10000 if long_form else 250
    node = start_faulty(HOSTILE, '--ros-args', '-p', 'diagnostics.period_s:=0.1')
    camera, health, inspector, shots = peer.camera(), peer.health(), Inspector(peer.node), images()

    def shoot():
        stamp, fields = next(shots)
        camera.shoot(**stamp, **fields)

    peer.wait(camera.watched_reliably, 'a subscription')
    peer.wait(lambda: inspector.seen >= wanted, '%d messages' % wanted, timeout_s=1800.0, each=shoot, every_s=0.03)
    counts = peer.counts_from_now(health)
    assert counts['failed'] > 0 and inspector.numbers_of_faces > wanted / 50, counts
    assert peer.state() == 'active'
    assert 'Traceback' not in node.output(), node.output()
    if long_form:
        promise(
            'nothing non-finite leaves',
            'all numbers of %d messages finite, of %d faces; %d images were dropped '
            'since a network gave NaN or infinity' % (inspector.seen, inspector.numbers_of_faces, counts['failed']),
            bound='0 NaN or infinite',
            n='%d messages' % inspector.seen,
        )
