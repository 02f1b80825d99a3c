"""The image subscription: there only while someone reads an output, as reliable as the publishers offer."""

from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import Image

from facial_emotion_ros.ros import qos

TOPIC = 'image'


class ImageInput:
    """Subscribes and unsubscribes. All on the executor's thread: `follow` is called several times a second."""

    def __init__(self, node, readers, on_image):
        """Subscribe to nothing yet.

        :param node: rclpy node, for its graph, parameters and logger.
        :param readers: function that counts who reads our outputs.
        :param on_image: function that takes each sensor_msgs/Image.
        """
        self._node = node
        self._readers = readers
        self._on_image = on_image
        self._subscription = None
        self._reliability = ''
        self._unread_since_s = None
        #: Monotonic time of the subscription, None while there is none.
        self.since_s = None

    def follow(self, now_s):
        """Bring the subscription to what readers, publishers and parameters ask for.

        :param now_s: monotonic time.
        """
        if not self._value('input.lazy') or self._readers() > 0:
            self._unread_since_s = None
        elif self._subscription is None:
            return
        elif self._unread_since_s is None:
            self._unread_since_s = now_s
        elif now_s - self._unread_since_s > self._value('input.idle_release_s'):
            self._unread_since_s = None
            self.close()
            self._node.get_logger().info('Left the topic %s, since nobody reads an output of this node.' % self._name())
            return
        wanted = qos.choose_reliability(self._value('input.reliability'), self.offers(), self._reliability)
        if self._subscription is None or wanted != self._reliability:
            self._subscribe(wanted, now_s)

    def offers(self):
        """Look at what the publishers of the image offer.

        :returns: list of ReliabilityPolicy, one for each publisher.
        """
        return [offer.qos_profile.reliability for offer in self._node.get_publishers_info_by_topic(TOPIC)]

    def close(self):
        """Leave the topic."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
            self.since_s = None
            self._reliability = ''

    def _subscribe(self, reliability, now_s):
        since_s = now_s if self._subscription is None else self.since_s
        self.close()
        kinds = [QoSPolicyKind.DURABILITY]
        if self._value('input.reliability') != 'auto':
            kinds.append(QoSPolicyKind.RELIABILITY)
        self._subscription = self._node.create_subscription(
            Image, TOPIC, self._on_image, qos.input_qos(reliability),
            qos_overriding_options=QoSOverridingOptions(kinds))
        self._reliability = reliability
        self.since_s = since_s
        self._node.get_logger().info('Listening to %s (%s).' % (self._name(), reliability.replace('_', ' ')))

    def _name(self):
        return self._node.resolve_topic_name(TOPIC)

    def _value(self, name):
        return self._node.get_parameter(name).value
