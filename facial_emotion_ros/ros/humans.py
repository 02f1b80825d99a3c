"""The ROS4HRI side of the outputs: topics that come and go with the faces. Source: REP-155."""

import threading
import time
from collections import namedtuple

from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from facial_emotion_ros.expression_words import UnknownRhythm
from facial_emotion_ros.ros import messages, qos
from facial_emotion_ros.ros.ros_versions import silent_publisher_events

#: Publishers of one face.
_FaceTopics = namedtuple('_FaceTopics', 'roi cropped expression')


class HumansOutput:
    """Publishes <prefix>/faces/tracked, and roi, cropped and expression of every face under its id.

    Used by the worker thread, and by the node's thread for `readers` and `close`.
    """

    def __init__(self, node, prefix, events):
        """Publish nothing yet, but let readers find `tracked`.

        :param node: rclpy node that owns the publishers.
        :param prefix: topic prefix, for example '/humans'.
        :param events: function of a topic and of what cures a reader that asks for more than is offered there, which
            returns the event callbacks of its publisher.
        """
        self._node = node
        self._faces = '%s/faces' % prefix.rstrip('/')
        self._lock = threading.Lock()
        self._by_id = {}
        self._rhythm = UnknownRhythm()
        self._rivals_told = False
        #: frame_id of the latest list while faces stand in it, else None.
        self._listed_in = None
        topic = self._faces + '/tracked'
        self._tracked = node.create_publisher(IdsList, topic, qos.output_qos(depth=1),
                                              event_callbacks=events(topic, 'correct its QoS'))

    def publish(self, header, image, estimates, live_ids, contempt_as):
        """Answer one image.

        :param header: std_msgs/Header of the image.
        :param image: (H, W, 3) uint8 BGR.
        :param estimates: list of FaceEstimate.
        :param live_ids: ids that the tracker has not given up, those of the estimates among them.
        :param contempt_as: parameter output.contempt_as.
        """
        height, width = image.shape[:2]
        with self._lock:
            if self._tracked is None:
                return
            for lost in set(self._by_id) - set(live_ids):
                self._destroy(self._by_id.pop(lost))
                self._rhythm.forget(lost)
            for estimate in estimates:
                topics = self._by_id.get(estimate.face_id)
                if topics is None:
                    topics = self._by_id[estimate.face_id] = self._create(estimate.face_id)
            # The list goes first: readers open a face's topics when they see its id.
            self._tracked.publish(messages.ids_message(header, live_ids))
            self._listed_in = header.frame_id if live_ids else None
            for estimate in estimates:
                topics = self._by_id[estimate.face_id]
                topics.roi.publish(messages.roi_message(header, estimate, height, width))
                word = messages.expression_message(header, estimate, contempt_as)
                if self._rhythm.lets_through(estimate.face_id, word, time.monotonic()):
                    topics.expression.publish(word)
                if topics.cropped.get_subscription_count() > 0:
                    topics.cropped.publish(messages.cropped_message(header, image, estimate.box))

    def readers(self):
        """Count the subscriptions to any of these topics."""
        with self._lock:
            publishers = [self._tracked] if self._tracked is not None else []
            for topics in self._by_id.values():
                publishers.extend(topics)
            return sum(publisher.get_subscription_count() for publisher in publishers)

    def warn_of_rivals(self):
        """Warn, once, if somebody else lists faces under this prefix: readers would mix up both lists."""
        with self._lock:
            if self._tracked is None or self._rivals_told:
                return
            topic = self._tracked.topic_name
            self._rivals_told = self._node.count_publishers(topic) > 1
        if self._rivals_told:
            self._node.get_logger().warning('Another node publishes on %s too, and readers mix up the faces of both: '
                                            'give each node an output.humans_prefix of its own.' % topic)

    def forget_faces(self):
        """List no face any more, and destroy the publishers of all faces: nobody follows them from now on."""
        with self._lock:
            # After ROS has been shut down under the node, there is nobody to tell.
            if self._listed_in is not None and self._node.context.ok():
                header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._listed_in)
                self._tracked.publish(messages.ids_message(header, []))
            self._listed_in = None
            for topics in self._by_id.values():
                self._destroy(topics)
            self._by_id.clear()
            self._rhythm = UnknownRhythm()

    def close(self):
        """Destroy every publisher; a later `publish` does nothing."""
        self.forget_faces()
        with self._lock:
            if self._tracked is not None:
                self._node.destroy_publisher(self._tracked)
                self._tracked = None

    def _create(self, face_id):
        return _FaceTopics(self._publisher(NormalizedRegionOfInterest2D, face_id + '/roi'),
                           self._publisher(Image, face_id + '/cropped'),
                           self._publisher(Expression, face_id + '/expression'))

    def _publisher(self, message_type, name):
        # Publishers without event handlers may be made and destroyed off the executor's thread: it never waits on them.
        return self._node.create_publisher(message_type, '%s/%s' % (self._faces, name), qos.output_qos(depth=1),
                                           event_callbacks=silent_publisher_events())

    def _destroy(self, topics):
        for publisher in topics:
            self._node.destroy_publisher(publisher)
