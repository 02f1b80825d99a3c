"""Lazy image subscription: exists while an output has subscribers; follows the publishers' transport and QoS."""

import functools
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Tuple

from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from facial_emotion_ros.ros import qos
from facial_emotion_ros.ros.image_source import (
    RAW,
    SUFFIX,
    ImageSource,
    choose_source,
    publisher_names,
    sources,
    why_unread,
)
from facial_emotion_ros.ros.logs import BurstLog

if TYPE_CHECKING:
    from facial_emotion_ros.ros.head_pose_output import HeadPoseOutput

TOPIC = 'image'


def present_source(node: Any, before: Optional[ImageSource] = None) -> Tuple[ImageSource, List[Any]]:
    """Return the topic to take images from now, and the endpoint information of its publishers.

    :param node: EmotionNode.
    :param before: the current source, which stays if there is no publisher; None for the preferred one.
    """
    candidates = sources(node.resolve_topic_name(TOPIC), node.value('input.transport'))
    publishers_of = functools.partial(_publishers_of, node)
    source = choose_source(candidates, publishers_of, before or candidates[0])
    return source, [each for each in publishers_of(source.topic) if each.topic_type == source.type_name]


def _publishers_of(node, topic):
    return node.get_publishers_info_by_topic(_given_name(node, topic))


def _given_name(node, topic):
    """Return the name that rclpy remaps to this topic: it applies remappings to every name."""
    return TOPIC if topic == node.resolve_topic_name(TOPIC) else topic


def override_names(node: Any) -> List[str]:
    """Return the names of the QoS overrides of the image subscription on all topics that it may use.

    :param node: EmotionNode.
    """
    topics = sources(node.resolve_topic_name(TOPIC), node.value('input.transport'))
    return sorted({'qos_overrides.%s.subscription.durability' % source.topic for source in topics})


def camera_info_topic(node: Any) -> str:
    """Return the full name of the calibration's topic: in the image's namespace, unless camera_info is remapped.

    :param node: rclpy node.
    """
    name = node.resolve_topic_name('camera_info')
    if name != node.resolve_topic_name('camera_info', only_expand=True):
        return name
    image = node.resolve_topic_name(TOPIC)
    image = image[: -len(SUFFIX)] if image.endswith(SUFFIX) else image
    return image.rpartition('/')[0] + '/camera_info'


class SubscriberDemand:
    """Decide whether images are needed: while our outputs have subscribers, and input.idle_release_s longer."""

    def __init__(self, node: Any, count_subscribers: Callable[[], int]):
        """Start without a subscriber.

        :param node: EmotionNode.
        :param count_subscribers: counts the subscriptions to our outputs.
        """
        self._node, self._count_subscribers = node, count_subscribers
        self._unsubscribed_since_s: Optional[float] = None
        #: Why images are not needed, for the log.
        self.reason = ''

    def wanted(self, now_s: float, enabled: bool, subscribed: bool) -> bool:
        """Return whether images are needed.

        :param now_s: monotonic time.
        :param enabled: False if the node is disabled by ~/enable.
        :param subscribed: whether there is a subscription now.
        """
        if not enabled:
            self._unsubscribed_since_s, self.reason = None, 'this node was disabled'
            return False
        if not self._node.value('input.lazy') or self._count_subscribers() > 0:
            self._unsubscribed_since_s = None
            return True
        self.reason = 'no output of this node has a subscriber'
        if not subscribed:
            return False
        if self._unsubscribed_since_s is None:
            self._unsubscribed_since_s = now_s
        if now_s - self._unsubscribed_since_s <= self._node.value('input.idle_release_s'):
            return True
        self._unsubscribed_since_s = None
        return False


class ImageInput:
    """Subscribe and unsubscribe. Used by the executor's thread, which calls `follow` several times per second."""

    def __init__(
        self,
        node: Any,
        count_subscribers: Callable[[], int],
        on_image: Callable[[Any], Any],
        head_pose: Optional['HeadPoseOutput'] = None,
    ):
        """Start without a subscription.

        :param node: EmotionNode, or another with `value` for the parameters input.*.
        :param count_subscribers: counts the subscriptions to our outputs.
        :param on_image: called with each sensor_msgs/Image or CompressedImage.
        :param head_pose: decides whether camera_info is needed, and receives it; None: not needed.
        """
        self._node, self._on_image = node, on_image
        self._demand = SubscriberDemand(node, count_subscribers)
        self._head_pose, self._infos = head_pose, None
        self._subscription = None
        self._reliability = ''
        self._changes, self._mismatches = BurstLog(node.get_logger()), BurstLog(node.get_logger())
        self._image_topic = node.resolve_topic_name(TOPIC)
        self._source = sources(self._image_topic, node.value('input.transport'))[0]
        #: Monotonic time of the subscription; None without one.
        self.since_s: Optional[float] = None

    @property
    def topic(self) -> str:
        """Full name of the image topic in use."""
        return self._source.topic

    def follow(self, now_s: float, enabled: bool = True) -> None:
        """Adapt the subscription to subscribers, publishers and parameters.

        :param now_s: monotonic time.
        :param enabled: False: unsubscribe.
        """
        if not self._demand.wanted(now_s, enabled, self._subscription is not None):
            if self._subscription is not None:
                self.close()
                self._changes.info('Unsubscribed from %s: %s.' % (self.topic, self._demand.reason))
            return
        source, publishers = present_source(self._node, self._source)
        if source != self._source:
            self.close()
            self._source = source
        offers = [each.qos_profile.reliability for each in publishers]
        wanted = qos.choose_reliability(self._node.value('input.reliability'), offers, self._reliability)
        if self._subscription is None or wanted != self._reliability:
            self._subscribe(wanted, now_s)
        self._follow_infos(self._head_pose is not None and self._head_pose.is_wanted())

    def publishers(self) -> List[str]:
        """Return the names of the nodes that publish images now."""
        return publisher_names(self._publishers())

    def why_unread(self) -> str:
        """Return why published images cannot be received, and what to do; '' otherwise."""
        if self._publishers():
            return ''
        publishers_of = functools.partial(_publishers_of, self._node)
        return why_unread(self._image_topic, self._node.value('input.transport'), publishers_of)

    def close(self) -> None:
        """Unsubscribe."""
        self._follow_infos(False)
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self.since_s = None
            self._reliability = ''

    def _follow_infos(self, wanted):
        if wanted and self._infos is None and self._head_pose is not None:
            # Best effort connects to publishers of either reliability; the next calibration replaces a lost one.
            self._infos = self._node.create_subscription(
                CameraInfo, camera_info_topic(self._node), self._head_pose.take_info, qos.input_qos('best_effort')
            )
        elif not wanted and self._infos is not None:
            self._node.destroy_subscription(self._infos)
            self._infos = None

    def _publishers(self):
        """Return the endpoint information of the topic's publishers of this type."""
        found = _publishers_of(self._node, self.topic)
        return [each for each in found if each.topic_type == self._source.type_name]

    def _subscribe(self, reliability, now_s):
        since_s = now_s if self._subscription is None else self.since_s
        self.close()
        raw = self._source.type_name == RAW
        self._subscription = self._node.create_subscription(
            Image if raw else CompressedImage,
            _given_name(self._node, self.topic),
            self._on_image,
            qos.input_qos(reliability),
            qos_overriding_options=qos.INPUT_OVERRIDES,
            event_callbacks=qos.subscription_events(self._warn_incompatible),
        )
        self._reliability, self.since_s = reliability, since_s
        words = reliability.replace('_', ' '), 'raw' if raw else 'compressed'
        self._changes.info('Subscribed to %s (%s): %s images.' % ((self.topic,) + words))

    def _warn_incompatible(self, policy):
        if policy != 'RELIABILITY':
            cure = 'correct its QoS, or qos_overrides.%s' % self.topic
        elif self._node.value('input.reliability') != 'auto':
            cure = 'set input.reliability to auto, or let it publish reliably'
        else:
            return  # the next `follow` corrects that
        self._mismatches.warning(
            'A publisher of %s offers less than this node requests (policy %s), so its images are not received: %s.'
            % (self.topic, policy, cure)
        )
