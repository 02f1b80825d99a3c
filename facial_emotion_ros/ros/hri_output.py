"""Publish the ROS4HRI topics of each face, created and destroyed with the faces. Source: REP-155."""

import threading
from collections import namedtuple
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

import numpy as np
from hri_msgs.msg import Expression, IdsList, NormalizedRegionOfInterest2D
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.emotion.message_fields import check_finite
from facial_emotion_ros.ros import messages, qos
from facial_emotion_ros.ros.image_source import tracked_topic

#: The publishers of one face.
_FaceTopics = namedtuple('_FaceTopics', 'roi cropped expression')


class HriOutput:
    """Publish <prefix>/faces/tracked, and roi, cropped and expression of every face under its id.

    An unknown expression is not published: hri_msgs/Expression has no word for it.

    Used by the worker thread; `count_subscribers` and `close` by the executor's.
    """

    def __init__(self, node: Any, prefix: str, events: Callable[[str, str], Any]):
        """Create the publisher of `tracked`.

        :param node: EmotionNode.
        :param prefix: topic prefix, for example '/humans'.
        :param events: returns a publisher's event callbacks for a topic and the advice for an incompatible subscriber.
        """
        self._node = node
        self._faces = '%s/faces' % prefix.rstrip('/')
        self._lock = threading.Lock()
        self._by_id: Dict[str, _FaceTopics] = {}
        self._warned = False
        #: frame_id of the latest list if it has faces, else None.
        self._listed_in: Optional[str] = None
        topic = tracked_topic(prefix)
        full_name = node.resolve_topic_name(topic)
        self._tracked = node.create_publisher(
            IdsList, topic, qos.output_qos(depth=1), event_callbacks=events(full_name, 'correct its QoS')
        )

    def publish(
        self,
        header: Header,
        image: np.ndarray,
        estimates: Sequence[FaceEstimate],
        live_ids: Sequence[str],
        contempt_as: str,
    ) -> None:
        """Publish the result of one image.

        :param header: of the image.
        :param image: (H, W, 3) uint8 BGR.
        :param estimates: of the faces in it.
        :param live_ids: ids of all tracks, including those of the estimates.
        :param contempt_as: parameter output.contempt_as.
        """
        height, width = image.shape[:2]
        crop_size = self._node.value('output.face_width_px'), self._node.value('output.face_height_px')
        with self._lock:
            if self._tracked is None:
                return
            for lost in set(self._by_id) - set(live_ids):
                self._destroy(self._by_id.pop(lost))
            for estimate in estimates:
                if estimate.face_id not in self._by_id:
                    self._by_id[estimate.face_id] = self._open(estimate.face_id)
            # The list is first: others subscribe to a face's topics when they see its id.
            self._tracked.publish(messages.ids_message(header, live_ids))
            self._listed_in = header.frame_id if live_ids else None
            for estimate in estimates:
                topics = self._by_id[estimate.face_id]
                topics.roi.publish(messages.roi_message(header, estimate, height, width))
                expression = messages.expression_message(header, estimate, contempt_as)
                if expression.expression:
                    topics.expression.publish(expression)
                if topics.cropped.get_subscription_count() > 0:
                    topics.cropped.publish(messages.cropped_message(header, image, estimate.box, crop_size))

    def count_subscribers(self) -> int:
        """Count the subscriptions to these topics."""
        with self._lock:
            publishers = [each for topics in self._by_id.values() for each in topics]
            publishers += [self._tracked] if self._tracked is not None else []
            return sum(publisher.get_subscription_count() for publisher in publishers)

    def warn_duplicate_publishers(self) -> None:
        """Warn once if another node lists faces under this prefix: subscribers would mix up both lists."""
        with self._lock:
            if self._tracked is None or self._warned:
                return
            topic = self._tracked.topic_name
            self._warned = self._node.count_publishers(topic) > 1
        if self._warned:
            self._node.get_logger().warning(
                'Another node also publishes on %s, and subscribers mix up the faces of both: give each node its own '
                'output.humans_prefix.' % topic
            )

    def forget_faces(self) -> None:
        """Publish an empty list, and destroy the publishers of all faces, when images stop for now."""
        with self._lock:
            # Nothing can be published after ROS was shut down.
            if self._listed_in is not None and self._node.context.ok():
                header = Header(stamp=self._node.get_clock().now().to_msg(), frame_id=self._listed_in)
                self._tracked.publish(messages.ids_message(header, []))
            self._listed_in = None
            for topics in self._by_id.values():
                self._destroy(topics)
            self._by_id.clear()

    def close(self) -> None:
        """Destroy every publisher; a later `publish` does nothing."""
        self.forget_faces()
        with self._lock:
            if self._tracked is not None:
                self._node.destroy_publisher(self._tracked)
                self._tracked = None

    def _open(self, face_id):
        types = (NormalizedRegionOfInterest2D, Image, Expression)
        return _FaceTopics(
            *(
                _face_publisher(self._node, kind, '%s/%s/%s' % (self._faces, face_id, name))
                for kind, name in zip(types, _FaceTopics._fields)
            )
        )

    def _destroy(self, topics):
        for publisher in topics:
            self._node.destroy_publisher(publisher)


class CropOutputs:
    """Outputs of input.mode humans: <prefix>/faces/<id>/expression of faces detected by another node.

    `publish` is called by the worker thread, everything else by the executor's.
    """

    def __init__(self, node: Any, prefix: str):
        """Start without faces.

        :param node: rclpy node that owns the publishers.
        :param prefix: topic prefix, for example '/humans'.
        """
        self._node = node
        self._prefix = prefix.rstrip('/')
        self._lock = threading.Lock()
        self._by_id: Dict[str, Any] = {}

    def follow_faces(self, ids: Iterable[str]) -> None:
        """Create and destroy publishers, so that exactly these faces have one."""
        with self._lock:
            for lost in set(self._by_id) - set(ids):
                self._node.destroy_publisher(self._by_id.pop(lost))
            for face_id in set(ids) - set(self._by_id):
                topic = '%s/faces/%s/expression' % (self._prefix, face_id)
                self._by_id[face_id] = _face_publisher(self._node, Expression, topic)

    def face_ids(self) -> List[str]:
        """Return the ids of the faces that are followed."""
        with self._lock:
            return list(self._by_id)

    def count_subscribers(self, face_id: str) -> int:
        """Count the subscriptions to the expression of a face."""
        with self._lock:
            publisher = self._by_id.get(face_id)
            return publisher.get_subscription_count() if publisher is not None else 0

    def publish(self, header: Header, face_id: str, estimate: FaceEstimate, contempt_as: str) -> None:
        """Publish the expression of one face, unless it is unknown.

        :param header: of its crop.
        :param face_id: its id in the list of faces.
        :param estimate: of the face.
        :param contempt_as: parameter output.contempt_as.
        :raises ValueError: if the estimate is not finite; nothing is published then.
        """
        check_finite([estimate])
        expression = messages.expression_message(header, estimate, contempt_as)
        with self._lock:
            publisher = self._by_id.get(face_id)
            if publisher is not None and expression.expression:
                publisher.publish(expression)

    def forget_faces(self) -> None:
        """Destroy the publishers of all faces."""
        self.follow_faces(())

    close = forget_faces


def _face_publisher(node, message_type, topic):
    # No event handlers: the executor does not wait on them, so the worker may create and destroy publishers.
    return node.create_publisher(
        message_type, topic, qos.output_qos(depth=1), event_callbacks=qos.no_publisher_events()
    )
