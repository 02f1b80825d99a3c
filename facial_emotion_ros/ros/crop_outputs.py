"""What the node publishes in input.mode humans: the expression of each face that others have found, nothing else."""

import threading
import time

from hri_msgs.msg import Expression
from vision_msgs.msg import VisionInfo

from facial_emotion_ros.answer_parts import check_finite
from facial_emotion_ros.expression_words import UnknownRhythm
from facial_emotion_ros.ros import messages, qos
from facial_emotion_ros.ros.ros_versions import silent_publisher_events


class CropOutputs:
    """Publishers of <prefix>/faces/<id>/expression. `publish` is the worker's; the rest is the executor thread's."""

    def __init__(self, node, prefix):
        """Publish no expression yet.

        :param node: rclpy node that owns the publishers.
        :param prefix: topic prefix, for example '/humans'.
        """
        self._node = node
        self._prefix = prefix.rstrip('/')
        self._lock = threading.Lock()
        self._by_id = {}
        self._rhythm = UnknownRhythm()
        self._vision_info = node.create_publisher(VisionInfo, 'vision_info', qos.latched_qos())

    def announce(self, bundle):
        """Say once which network speaks; whoever subscribes later hears it too.

        :param bundle: ModelBundle of the emotion network.
        """
        self._vision_info.publish(messages.vision_info_message(self._node.get_clock().now().to_msg(), bundle))

    def follow_faces(self, ids):
        """Have a publisher for each of these faces, and for no other.

        :param ids: iterable of str.
        """
        with self._lock:
            for lost in set(self._by_id) - set(ids):
                self._node.destroy_publisher(self._by_id.pop(lost))
                self._rhythm.forget(lost)
            for face_id in set(ids) - set(self._by_id):
                self._by_id[face_id] = self._node.create_publisher(
                    Expression, '%s/faces/%s/expression' % (self._prefix, face_id), qos.output_qos(depth=1),
                    event_callbacks=silent_publisher_events())

    def face_ids(self):
        """Return the ids of the faces that are followed."""
        with self._lock:
            return list(self._by_id)

    def readers_of(self, face_id):
        """Count who reads the expression of a face."""
        with self._lock:
            publisher = self._by_id.get(face_id)
            return publisher.get_subscription_count() if publisher is not None else 0

    def publish(self, header, face_id, estimate, contempt_as):
        """Tell the expression of one face.

        :param header: std_msgs/Header of its crop.
        :param face_id: str.
        :param estimate: FaceEstimate.
        :param contempt_as: parameter output.contempt_as.
        :raises ValueError: if the estimate is not finite; then nothing was published.
        """
        check_finite([estimate])
        word = messages.expression_message(header, estimate, contempt_as)
        with self._lock:
            publisher = self._by_id.get(face_id)
            if publisher is not None and self._rhythm.lets_through(face_id, word, time.monotonic()):
                publisher.publish(word)

    def forget_faces(self):
        """Follow no face any more."""
        self.follow_faces(())

    def close(self):
        """Destroy every publisher. The worker must have ended."""
        self.forget_faces()
        self._node.destroy_publisher(self._vision_info)
