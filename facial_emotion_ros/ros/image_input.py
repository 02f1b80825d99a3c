"""The image subscription: there only while someone reads an output, on the topic that is published and as reliably."""

from sensor_msgs.msg import CompressedImage, Image

from facial_emotion_ros.ros import qos
from facial_emotion_ros.ros.image_source import RAW, choose_source, publisher_names, sources, why_unread
from facial_emotion_ros.ros.lazy_reading import LazyReading
from facial_emotion_ros.ros.log_limits import BurstLimit
from facial_emotion_ros.ros.ros_versions import subscription_events

TOPIC = 'image'


def image_topic(node):
    """Name the topic that images are expected on, before anyone publishes them.

    :param node: rclpy node with our parameters.
    :returns: the full name, remapped; for compressed images by image_transport's convention, <image>/compressed.
    """
    return sources(node.resolve_topic_name(TOPIC), node.get_parameter('input.transport').value)[0].topic


class ImageInput:
    """Subscribes and unsubscribes. All on the executor's thread: `follow` is called several times a second."""

    def __init__(self, node, readers, on_image):
        """Subscribe to nothing yet.

        :param node: rclpy node, for its graph, parameters and logger.
        :param readers: function that counts who reads our outputs.
        :param on_image: function that takes each sensor_msgs/Image, or CompressedImage.
        """
        self._node = node
        self._reading = LazyReading(node, readers)
        self._on_image = on_image
        self._subscription = None
        self._reliability = ''
        self._lines, self._mismatches = BurstLimit(), BurstLimit()
        self._image_topic = node.resolve_topic_name(TOPIC)
        self._source = sources(self._image_topic, self._value('input.transport'))[0]
        #: Monotonic time of the subscription, None while there is none.
        self.since_s = None

    @property
    def topic(self):
        """Full name of the topic that images are taken from."""
        return self._source.topic

    def follow(self, now_s, enabled=True):
        """Bring the subscription to what readers, publishers and parameters ask for.

        :param now_s: monotonic time.
        :param enabled: whether images are wanted at all.
        """
        if not self._reading.wanted(now_s, enabled, self._subscription is not None):
            if self._subscription is not None:
                self.close()
                if self._lines.allows():
                    self._node.get_logger().info('Left the topic %s, since %s.' % (self.topic, self._reading.reason))
            return
        source = choose_source(sources(self._image_topic, self._value('input.transport')), self._publishers_of,
                               self._source)
        if source != self._source:
            self.close()
            self._source = source
        offers = [offer.qos_profile.reliability for offer in self._offers()]
        wanted = qos.choose_reliability(self._value('input.reliability'), offers, self._reliability)
        if self._subscription is None or wanted != self._reliability:
            self._subscribe(wanted, now_s)

    def publishers(self):
        """Name the nodes that publish the image now."""
        return publisher_names(self._offers())

    def why_unread(self):
        """Say what is published instead of the images that are subscribed to; '' where nothing is."""
        return '' if self._offers() else why_unread(
            self._image_topic, self._value('input.transport'), self._publishers_of)

    def close(self):
        """Leave the topic."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self.since_s = None
            self._reliability = ''

    def _offers(self):
        """Return what the graph says of everyone who publishes images of this type there."""
        return [offer for offer in self._publishers_of(self.topic) if offer.topic_type == self._source.type_name]

    def _publishers_of(self, topic):
        return self._node.get_publishers_info_by_topic(topic)

    def _subscribe(self, reliability, now_s):
        since_s = now_s if self._subscription is None else self.since_s
        self.close()
        message_type = Image if self._source.type_name == RAW else CompressedImage
        self._subscription = self._node.create_subscription(
            message_type, self.topic, self._on_image, qos.input_qos(reliability),
            qos_overriding_options=qos.INPUT_OVERRIDES, event_callbacks=subscription_events(self._mismatched))
        self._reliability = reliability
        self.since_s = since_s
        if self._lines.allows():
            self._node.get_logger().info('Listening to %s (%s): %s images.' % (
                self.topic, reliability.replace('_', ' '), 'raw' if message_type is Image else 'compressed'))

    def _mismatched(self, policy):
        if policy == 'RELIABILITY' and self._value('input.reliability') == 'auto':
            return  # `follow` mends that at once
        if not self._mismatches.allows():
            return
        self._node.get_logger().warning(
            'A publisher of %s offers less than is asked for (policy %s), so nothing comes from it: %s.' % (
                self.topic, policy, 'set input.reliability to auto, or let it publish reliably'
                if policy == 'RELIABILITY' else 'correct its QoS, or qos_overrides.%s' % self.topic))

    def _value(self, name):
        return self._node.get_parameter(name).value
