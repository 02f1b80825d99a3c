"""All that the node publishes about faces: opened at configure, closed at cleanup."""

import functools

from hri_msgs.msg import Expression
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection2DArray, VisionInfo

from facial_emotion_ros import drawing
from facial_emotion_ros.answer_parts import check_finite
from facial_emotion_ros.ros import messages, qos
from facial_emotion_ros.ros.humans import HumansOutput
from facial_emotion_ros.ros.log_limits import BurstLimit
from facial_emotion_ros.ros.opendr_output import OpenDrOutput
from facial_emotion_ros.ros.ros_versions import publisher_events


class Outputs:
    """Publishers of one configured node. `publish` is the worker's; the rest is called on the executor's thread."""

    def __init__(self, node, humans_prefix, opendr, on_matched):
        """Create the publishers; readers can connect from now on.

        :param node: rclpy node that owns the publishers.
        :param humans_prefix: parameter output.humans_prefix; empty for no ROS4HRI topics.
        :param opendr: parameter output.opendr: whether OpenDR's topics are there too.
        :param on_matched: function without arguments, called when a reader comes or goes, where rclpy tells that.
        """
        self._node = node
        self._on_matched = on_matched
        self._publishers = []
        self._mismatches = BurstLimit()
        self._humans = self._opendr = self._vision_info = None
        try:
            self._open(humans_prefix, opendr)
        except Exception:  # a QoS override that is no policy, for example
            self.close()
            raise

    def _open(self, humans_prefix, opendr):
        self._detections = self._publisher(Detection2DArray, 'detections')
        self._raw = self._publisher(Detection2DArray, 'detections/raw')
        self._affect = self._publisher(Detection2DArray, 'affect')
        self._expression = self._publisher(Expression, 'expression')
        self._debug = self._publisher(Image, '~/debug/image', depth=1)
        self._opendr = OpenDrOutput(self._publisher) if opendr else None
        self._vision_info = self._node.create_publisher(VisionInfo, 'vision_info', qos.latched_qos())
        if humans_prefix:
            self._humans = HumansOutput(self._node, humans_prefix, self._events)

    def announce(self, bundle):
        """Say once which network speaks; whoever subscribes later hears it too.

        :param bundle: ModelBundle of the emotion network.
        """
        stamp = self._node.get_clock().now().to_msg()
        self._vision_info.publish(messages.vision_info_message(stamp, bundle))

    def publish(self, header, image, estimates, live_ids, contempt_as):
        """Answer one image: each topic at most once, and without faces too.

        :param header: std_msgs/Header of the image; every message carries it.
        :param image: (H, W, 3) uint8 BGR.
        :param estimates: list of FaceEstimate, the largest face first.
        :param live_ids: ids that the tracker has not given up.
        :param contempt_as: parameter output.contempt_as.
        :raises ValueError: if an estimate is not finite; then nothing was published.
        """
        check_finite(estimates)
        largest = estimates[0] if estimates else None
        self._detections.publish(messages.detections_message(header, estimates))
        if self._raw.get_subscription_count() > 0:
            self._raw.publish(messages.raw_detections_message(header, estimates))
        self._affect.publish(messages.affect_message(header, estimates))
        self._expression.publish(messages.expression_message(header, largest, contempt_as))
        if self._humans is not None:
            self._humans.publish(header, image, estimates, live_ids, contempt_as)
        pictures = [self._debug] + ([self._opendr.picture] if self._opendr is not None else [])
        pictures = [publisher for publisher in pictures if publisher.get_subscription_count() > 0]
        if pictures:
            drawn = messages.image_message(header, drawing.draw_estimates(image, estimates))
            for publisher in pictures:
                publisher.publish(drawn)
        if self._opendr is not None and largest is not None:
            self._opendr.publish(largest)

    def readers(self):
        """Count the subscriptions that need images to be worked on."""
        readers = sum(publisher.get_subscription_count() for publisher in self._publishers)
        return readers + (self._humans.readers() if self._humans is not None else 0)

    def warn_of_rivals(self):
        """Warn, once, if another node publishes under the same ROS4HRI prefix."""
        if self._humans is not None:
            self._humans.warn_of_rivals()

    def forget_faces(self):
        """Take back the topics of single faces, since no more images will be worked on for now."""
        if self._humans is not None:
            self._humans.forget_faces()

    def close(self):
        """Destroy every publisher. The worker must have ended."""
        if self._humans is not None:
            self._humans.close()
        for publisher in self._publishers + [self._vision_info]:
            if publisher is not None:
                self._node.destroy_publisher(publisher)
        self._publishers = []

    def _publisher(self, message_type, topic, depth=10):
        topic = self._node.resolve_topic_name(topic)
        publisher = self._node.create_publisher(
            message_type, topic, qos.output_qos(depth), qos_overriding_options=qos.OUTPUT_OVERRIDES,
            event_callbacks=self._events(topic, 'correct its QoS, or qos_overrides.%s.publisher' % topic))
        self._publishers.append(publisher)
        return publisher

    def _events(self, topic, cure):
        return publisher_events(self._on_matched, functools.partial(self._mismatched, topic, cure))

    def _mismatched(self, topic, cure, policy):
        if self._mismatches.allows():
            self._node.get_logger().warning('A reader of %s asks for more than is offered (policy %s), so nothing '
                                            'reaches it: %s.' % (topic, policy, cure))
