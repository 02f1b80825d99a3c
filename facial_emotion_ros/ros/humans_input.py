"""The subscriptions of input.mode humans: the faces that another ROS4HRI node tracks, and their crops."""

import functools
import re
import time

from hri_msgs.msg import IdsList
from sensor_msgs.msg import Image

from facial_emotion_ros.ros import qos
from facial_emotion_ros.ros.lazy_reading import LazyReading

#: What may stand in a topic's name.
_ID = re.compile(r'[A-Za-z_][A-Za-z0-9_]*\Z')


class _Face:
    """One face: its crop's subscription comes and goes with the readers of its expression."""

    def __init__(self, reading):
        self.reading = reading
        self.subscription = None
        self.since_s = None


class HumansInput:
    """Follows <prefix>/faces/tracked, and <prefix>/faces/<id>/cropped while someone reads that face's expression."""

    def __init__(self, node, outputs, on_crop):
        """Subscribe to the list of faces.

        :param node: rclpy node, for its graph, parameters and logger.
        :param outputs: CropOutputs.
        :param on_crop: function that takes a face's id and its crop, a sensor_msgs/Image.
        """
        self._node = node
        self._outputs = outputs
        self._on_crop = on_crop
        self._faces = {}
        self._strange = set()
        self._enabled = True
        self._prefix = node.get_parameter('output.humans_prefix').value.rstrip('/')
        #: Full name of the topic that lists the faces.
        self.topic = self._prefix + '/faces/tracked'
        # Best effort hears publishers of either kind; the next list makes up for one that was lost.
        self._tracked = node.create_subscription(IdsList, self.topic, self._list, qos.input_qos('best_effort'))

    @property
    def since_s(self):
        """Monotonic time of the oldest subscription to a crop; None while there is none."""
        return min([face.since_s for face in self._faces.values() if face.subscription is not None] or [None])

    def follow(self, now_s, enabled=True):
        """Bring the subscriptions to crops to what readers and parameters ask for.

        :param now_s: monotonic time.
        :param enabled: whether crops are wanted at all.
        """
        self._enabled = enabled
        if not enabled:
            self._forget(self._faces)
        for face_id, face in self._faces.items():
            wanted = face.reading.wanted(now_s, enabled, face.subscription is not None)
            if wanted and face.subscription is None:
                topic = '%s/faces/%s/cropped' % (self._prefix, face_id)
                offers = [offer.qos_profile.reliability for offer in self._node.get_publishers_info_by_topic(topic)]
                reliability = qos.choose_reliability(self._value('input.reliability'), offers)
                face.subscription = self._node.create_subscription(
                    Image, topic, functools.partial(self._on_crop, face_id), qos.input_qos(reliability))
                face.since_s = now_s
            elif not wanted:
                self._leave(face)

    def publishers(self):
        """Count who lists faces now."""
        return self._node.count_publishers(self.topic)

    def close(self):
        """Leave all topics."""
        self._forget(self._faces)
        self._node.destroy_subscription(self._tracked)

    def _list(self, message):
        """Follow the faces that are listed now, and no other."""
        if not self._enabled:
            return
        strange = {face_id for face_id in message.ids if not _ID.match(face_id)}
        if strange - self._strange:
            self._node.get_logger().warning(
                'Faces on %s have ids that no topic can have: %s; they are left out.' % (
                    self.topic, ', '.join(sorted(map(repr, strange - self._strange)))[:200]))
            self._strange |= strange
        ids = set(message.ids) - strange
        self._forget(set(self._faces) - ids)
        for face_id in ids - set(self._faces):
            self._faces[face_id] = _Face(LazyReading(self._node, functools.partial(self._outputs.readers_of, face_id)))
        self._outputs.follow_faces(ids)
        self.follow(time.monotonic(), self._enabled)

    def _forget(self, ids):
        for face_id in list(ids):
            self._leave(self._faces.pop(face_id))

    def _leave(self, face):
        if face.subscription is not None:
            self._node.destroy_subscription(face.subscription)
            face.subscription = face.since_s = None

    def _value(self, name):
        return self._node.get_parameter(name).value
