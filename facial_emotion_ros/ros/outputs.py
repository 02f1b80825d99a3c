"""The node's publishers: created at configure, destroyed at cleanup."""

import functools
from typing import Any, Callable, List, Optional, Sequence

import numpy as np
from hri_msgs.msg import Expression
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String
from vision_msgs.msg import Detection2DArray, ObjectHypothesis, VisionInfo

from facial_emotion_ros.core import visualization
from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.emotion.message_fields import affect_hypotheses, affect_scores, check_finite, emotion_hypotheses
from facial_emotion_ros.ros import messages, qos
from facial_emotion_ros.ros.head_pose_output import HeadPoseOutput
from facial_emotion_ros.ros.hri_output import HriOutput
from facial_emotion_ros.ros.logs import BurstLog


class Outputs:
    """Publishers of a configured node. `publish` is called by the worker thread, everything else by the executor's."""

    def __init__(self, node: Any, humans_prefix: str, opendr: bool, on_matched: Callable[[], Any]):
        """Create the publishers.

        :param node: EmotionNode.
        :param humans_prefix: parameter output.humans_prefix; empty for no ROS4HRI topics.
        :param opendr: parameter output.opendr.
        :param on_matched: called when a subscriber appears or disappears, if rclpy reports this.
        """
        self._node, self._on_matched = node, on_matched
        self._publishers: List[Any] = []
        self._mismatches = BurstLog(node.get_logger())
        self._humans: Optional[HriOutput] = None
        self._opendr: Optional[_OpenDrOutput] = None
        self._head_pose: Optional[HeadPoseOutput] = None
        try:
            self._detections = self._publisher(Detection2DArray, 'detections', overrides=qos.WATCHED_OVERRIDES)
            # Fast DDS logs an error for each assertion if liveliness is not manual.
            self._asserts_liveliness = qos.is_liveliness_manual(self._detections.qos_profile)
            self._raw = self._publisher(Detection2DArray, 'detections/raw')
            self._affect = self._publisher(Detection2DArray, 'affect')
            self._affect_scores = self._publisher(Detection2DArray, 'affect/scores')
            self._expression = self._publisher(Expression, 'expression')
            self._head_pose = HeadPoseOutput(node, self._publisher, node.value('output.head_frames'))
            self._pictures = [self._publisher(Image, '~/debug/image', depth=1)]
            if opendr:
                self._opendr = _OpenDrOutput(self._publisher)
                self._pictures.append(self._opendr.picture)
            if humans_prefix:
                self._humans = HriOutput(node, humans_prefix, self._events)
        except Exception:  # for example, an invalid QoS override
            self.close()
            raise

    def publish(
        self,
        header: Header,
        image: np.ndarray,
        estimates: Sequence[FaceEstimate],
        live_ids: Sequence[str],
        contempt_as: str,
    ) -> None:
        """Publish the result of one image, with or without faces.

        :param header: of the image, for every message.
        :param image: (H, W, 3) uint8 BGR.
        :param estimates: the largest face first.
        :param live_ids: ids of all tracks.
        :param contempt_as: parameter output.contempt_as.
        :raises ValueError: if an estimate is not finite; nothing is published then.
        """
        check_finite(estimates)
        largest = estimates[0] if estimates else None
        self._detections.publish(messages.faces_message(header, estimates, emotion_hypotheses))
        if self._raw.get_subscription_count() > 0:
            # Ids and boxes as in detections, with the scores of this image only.
            self._raw.publish(messages.faces_message(header, estimates, lambda face: emotion_hypotheses(face.raw)))
        self._affect.publish(messages.faces_message(header, estimates, affect_hypotheses))
        if self._affect_scores.get_subscription_count() > 0:
            self._affect_scores.publish(messages.faces_message(header, estimates, affect_scores))
        self._expression.publish(messages.expression_message(header, largest, contempt_as))
        self.head_pose.publish(header, image, estimates)
        if self._humans is not None:
            self._humans.publish(header, image, estimates, live_ids, contempt_as)
        pictures = [publisher for publisher in self._pictures if publisher.get_subscription_count() > 0]
        if pictures:
            drawn = messages.image_message(header, visualization.draw_estimates(image, estimates))
            for publisher in pictures:
                publisher.publish(drawn)
        if self._opendr is not None and largest is not None:
            self._opendr.publish(largest)

    @property
    def head_pose(self) -> HeadPoseOutput:
        """The output of head poses."""
        assert self._head_pose is not None
        return self._head_pose

    def count_subscribers(self) -> int:
        """Count the subscriptions that need images to be processed."""
        subscribers = sum(publisher.get_subscription_count() for publisher in self._publishers)
        return subscribers + (self._humans.count_subscribers() if self._humans is not None else 0)

    def assert_liveliness(self) -> None:
        """Assert the liveliness of detections if its QoS is manual, whether or not images arrive."""
        if self._asserts_liveliness:
            self._detections.assert_liveliness()

    def warn_duplicate_publishers(self) -> None:
        """Warn once if another node publishes under the same ROS4HRI prefix."""
        if self._humans is not None:
            self._humans.warn_duplicate_publishers()

    def forget_faces(self) -> None:
        """Close the topics of single faces, when images stop for now."""
        if self._humans is not None:
            self._humans.forget_faces()

    def close(self) -> None:
        """Destroy every publisher. The worker must have ended."""
        if self._humans is not None:
            self._humans.close()
        if self._head_pose is not None:
            self._head_pose.close()
        for publisher in self._publishers:
            self._node.destroy_publisher(publisher)
        self._publishers = []

    def _publisher(self, message_type, topic, depth=10, overrides=qos.OUTPUT_OVERRIDES):
        full_name = self._node.resolve_topic_name(topic)
        publisher = self._node.create_publisher(
            message_type,
            topic,
            qos.output_qos(depth),
            qos_overriding_options=overrides,
            event_callbacks=self._events(full_name, 'correct its QoS, or qos_overrides.%s.publisher' % full_name),
        )
        self._publishers.append(publisher)
        return publisher

    def _events(self, topic, cure):
        return qos.publisher_events(self._on_matched, functools.partial(self._warn_incompatible, topic, cure))

    def _warn_incompatible(self, topic, cure, policy):
        self._mismatches.warning(
            'A subscriber of %s requests more than is offered (policy %s), so it receives nothing: %s.'
            % (topic, policy, cure)
        )


class VisionInfoOutput:
    """The latched topic vision_info: network and operating point in use."""

    def __init__(self, node: Any):
        """Create the publisher.

        :param node: rclpy node that owns it.
        """
        self._node, self._point = node, None
        self._publisher = node.create_publisher(VisionInfo, 'vision_info', qos.latched_qos())

    def announce(self, engine: Any) -> None:
        """Publish if the operating point has changed since the last call.

        :param engine: EsrEngine.
        """
        if engine.point != self._point:
            self._point = engine.point
            self._publisher.publish(messages.vision_info_message(self._node.get_clock().now().to_msg(), engine))

    def close(self) -> None:
        """Destroy the publisher."""
        self._node.destroy_publisher(self._publisher)


class _OpenDrOutput:
    """Topics compatible with OpenDR's facial emotion node: the largest face, no header.

    Source: OpenDR's documentation of opendr_perception, facial_emotion_estimation_node.
    """

    def __init__(self, create_publisher):
        self._emotion = create_publisher(ObjectHypothesis, '/opendr/facial_emotion_estimation', 1)
        self._description = create_publisher(String, '/opendr/facial_emotion_estimation_description', 1)
        self.picture = create_publisher(Image, '/opendr/image_emotion_estimation_annotated', 1)

    def publish(self, estimate):
        """Publish class index and score, and the class name; nothing for an unknown emotion, which OpenDR lacks."""
        if estimate.emotion == UNKNOWN:
            return
        self._emotion.publish(
            ObjectHypothesis(class_id=str(EMOTIONS.index(estimate.emotion)), score=float(estimate.confidence))
        )
        self._description.publish(String(data=estimate.emotion.capitalize()))
