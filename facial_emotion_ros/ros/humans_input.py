"""The subscriptions of input.mode humans: the faces that another ROS4HRI node tracks, and their crops."""

import functools
import re
import time

from hri_msgs.msg import IdsList
from sensor_msgs.msg import Image

from facial_emotion_ros.ros import qos
from facial_emotion_ros.ros.image_source import publisher_names
from facial_emotion_ros.ros.lazy_reading import LazyReading
from facial_emotion_ros.ros.log_limits import FAULT

#: What may stand in a topic's name; a longer one would not fit into the middleware's limit for all of it.
_ID = re.compile(r'[A-Za-z_][A-Za-z0-9_]{0,31}\Z')
#: At most this many ids are quoted.
_QUOTED = 3


class _Face:
    """One face: its crop's subscription comes and goes with the readers of its expression."""

    def __init__(self, reading):
        self.reading = reading
        self.subscription = None
        self.since_s = None


class HumansInput:
    """Follows <prefix>/faces/tracked, and <prefix>/faces/<id>/cropped while someone reads that face's expression."""

    def __init__(self, node, outputs, worker, tally):
        """Subscribe to the list of faces.

        :param node: rclpy node, for its graph, parameters and logger.
        :param outputs: CropOutputs.
        :param worker: CropWorker, which takes the crops.
        :param tally: FrameTally, which counts the ids that are left out.
        """
        self._node = node
        self._outputs = outputs
        self._worker = worker
        self._tally = tally
        self._faces = {}
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
                    Image, topic, functools.partial(self._worker.offer_crop, face_id), qos.input_qos(reliability))
                face.since_s = now_s
            elif not wanted:
                self._leave(face)

    def publishers(self):
        """Name the nodes that list faces now."""
        return publisher_names(self._node.get_publishers_info_by_topic(self.topic))

    def why_unread(self):
        """Return '': the faces come from one topic of one type."""
        return ''

    def close(self):
        """Leave all topics."""
        self._forget(self._faces)
        self._node.destroy_subscription(self._tracked)

    def _list(self, message):
        """Follow the faces that are listed now, and no other."""
        if not self._enabled:
            return
        ids = self._accepted(message.ids)
        self._forget(set(self._faces) - ids)
        for face_id in ids - set(self._faces):
            self._faces[face_id] = _Face(LazyReading(self._node, functools.partial(self._outputs.readers_of, face_id)))
        self._outputs.follow_faces(ids)
        self.follow(time.monotonic(), self._enabled)

    def _accepted(self, listed):
        """Choose the faces to follow: those whose ids can stand in a topic, up to input.max_faces.

        :param listed: list of str, as it came.
        :returns: set of str.
        """
        good, strange = [], []
        for face_id in dict.fromkeys(listed):
            (good if _ID.match(face_id) else strange).append(face_id)
        most = self._value('input.max_faces')
        good.sort(key=lambda face_id: face_id not in self._faces)  # stable: new ones in the order of the list
        if strange:
            self._leave_out(len(strange), 'expected ids of up to 32 letters, digits and _, got %s' % _quoted(strange))
        if len(good) > most:
            self._leave_out(len(good) - most, 'expected at most %d (input.max_faces), got %d' % (most, len(good)))
        return set(good[:most])

    def _leave_out(self, count, reason):
        self._tally.count('refused_ids', count, time.monotonic(), reason)
        self._node.get_logger().warning('Left out %d of the faces on %s: %s.' % (count, self.topic, reason), **FAULT)

    def _forget(self, ids):
        for face_id in list(ids):
            self._leave(self._faces.pop(face_id))
            self._worker.drop(face_id)

    def _leave(self, face):
        if face.subscription is not None:
            self._node.destroy_subscription(face.subscription)
            face.subscription = face.since_s = None

    def _value(self, name):
        return self._node.get_parameter(name).value


def _quoted(ids):
    """Quote a few ids, none of them at length."""
    more = ', ...' if len(ids) > _QUOTED else ''
    return ', '.join(repr(face_id[:40]) for face_id in ids[:_QUOTED]) + more
