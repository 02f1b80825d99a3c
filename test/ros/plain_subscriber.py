"""A subscriber that shares no code with the package: listens to camera and node, writes what it heard.

Usage: plain_subscriber.py SECONDS OUTPUT.json
The time runs from the first detections and image on; SIGINT ends it early.
Ages are now minus the stamp, in seconds, at the moment of receipt.
"""

import json
import signal
import sys
import time

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from hri_msgs.msg import Expression, IdsList
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray


class Subscriber(Node):
    """Notes every message."""

    def __init__(self):
        super().__init__('plain_subscriber')
        self.notes = {
            'image': [],
            'detections': [],
            'affect': [],
            'expression': [],
            'tracked': [],
            'faces': {},
            'diagnostics': [],
        }
        self._open = {}
        for kind, topic, note, depth in (
            (Image, 'image', self._image, 1),
            (Detection2DArray, 'detections', self._detections, 10),
            (Detection2DArray, 'affect', self._affect, 10),
            (Expression, 'expression', self._expression, 10),
            (IdsList, '/humans/faces/tracked', self._tracked, 10),
            (DiagnosticArray, '/diagnostics', self._diagnostics, 10),
        ):
            self.create_subscription(kind, topic, note, QoSProfile(depth=depth))

    def _head(self, message):
        stamp = message.header.stamp
        age_ns = self.get_clock().now().nanoseconds - stamp.sec * 1000000000 - stamp.nanosec
        return {
            'stamp': '%d.%09d' % (stamp.sec, stamp.nanosec),
            'frame': message.header.frame_id,
            'age_s': age_ns * 1e-9,
        }

    def _image(self, message):
        self.notes['image'].append(self._head(message))

    def _faces(self, topic, message):
        note = self._head(message)
        note['faces'] = [
            {
                'id': face.id,
                'same_header': face.header == message.header,
                'box': [
                    face.bbox.center.position.x - face.bbox.size_x / 2,
                    face.bbox.center.position.y - face.bbox.size_y / 2,
                    face.bbox.center.position.x + face.bbox.size_x / 2,
                    face.bbox.center.position.y + face.bbox.size_y / 2,
                ],
                'results': [[row.hypothesis.class_id, row.hypothesis.score] for row in face.results],
            }
            for face in message.detections
        ]
        self.notes[topic].append(note)

    def _detections(self, message):
        self._faces('detections', message)

    def _affect(self, message):
        self._faces('affect', message)

    def _word(self, message):
        note = self._head(message)
        note.update(
            word=message.expression, confidence=message.confidence, valence=message.valence, arousal=message.arousal
        )
        return note

    def _expression(self, message):
        self.notes['expression'].append(self._word(message))

    def _tracked(self, message):
        note = self._head(message)
        note['ids'] = list(message.ids)
        self.notes['tracked'].append(note)
        for face in set(message.ids) - set(self._open):
            heard = self.notes['faces'].setdefault(face, [])
            self._open[face] = self.create_subscription(
                Expression,
                '/humans/faces/%s/expression' % face,
                lambda word, heard=heard: heard.append(self._word(word)),
                QoSProfile(depth=10),
            )

    def _diagnostics(self, message):
        self.notes['diagnostics'].append(
            {status.name: {pair.key: pair.value for pair in status.values} for status in message.status}
        )


def main():
    """Listen for the given time."""
    seconds, path = float(sys.argv[1]), sys.argv[2]
    ended = []
    # Python's own handler, and rclpy's, break off a message that is being taken, which is an error of another kind.
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.append(True))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    subscriber = Subscriber()
    end = time.monotonic() + 60.0
    started = False
    while not ended and time.monotonic() < end:
        rclpy.spin_once(subscriber, timeout_sec=0.1)
        if subscriber.notes['detections'] and subscriber.notes['image'] and not started:
            started, end = True, time.monotonic() + seconds
            print('the first answer came', flush=True)
    with open(path, 'w') as stream:
        json.dump(subscriber.notes, stream)
    subscriber.destroy_node()  # else the node it listened to may freeze: docs/topics.md
    rclpy.shutdown()


if __name__ == '__main__':
    main()
