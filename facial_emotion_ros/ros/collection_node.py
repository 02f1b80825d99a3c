"""Node of collect_faces: guided capture of labelled faces from a ROS image topic."""

import time
from typing import Any, Callable, Optional

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import Image
from std_msgs.msg import String

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.image_decoding import UsedBits
from facial_emotion_ros.ros.image_input import ImageInput
from facial_emotion_ros.ros.image_source import COMPRESSED, RAW
from facial_emotion_ros.ros.logs import EVERY_5_S
from facial_emotion_ros.ros.messages import image_message, image_of
from facial_emotion_ros.ros.qos import latched_qos, wait_for_arrival

#: Values of the emotion_node parameters that ImageInput reads.
_INPUT = {'input.transport': 'auto', 'input.reliability': 'auto', 'input.lazy': False}
#: Period at which the subscription is adapted to the publishers.
_FOLLOW_S = 0.2
#: Without an image for so long, the reason is logged.
_SILENCE_S = 5.0


class CollectionNode(Node):
    """Pass each image to a FaceCollection; publish the prompt on `~/prompt`, and images with it on `~/image`."""

    def __init__(self, collection: Any, topic: str, report: Callable[[str], Any]):
        """Subscribe.

        :param collection: FaceCollection.
        :param topic: of the camera, raw or compressed.
        :param report: called with each new prompt.
        """
        super().__init__('collect_faces', cli_args=['--ros-args', '-r', 'image:=' + topic])
        self._collection, self._report, self._prompt = collection, report, ''
        self._fault: Optional[OSError] = None
        self._prompts = self.create_publisher(String, '~/prompt', latched_qos(depth=10))
        self._images = self.create_publisher(Image, '~/image', 1)
        self._used_bits = UsedBits()
        self._latest_s = time.monotonic()
        self._input = ImageInput(self, lambda: 1, self._take)
        # Steady: countdowns are in real time.
        self.create_timer(_FOLLOW_S, self._follow, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def value(self, name: str) -> Any:
        """Return the value of an emotion_node parameter, for ImageInput."""
        return _INPUT[name]

    @property
    def done(self) -> bool:
        """Whether every expression was collected, or a picture could not be written."""
        return self._collection.done or self._fault is not None

    def finish(self, interrupted: bool) -> int:
        """Return the exit status.

        :param interrupted: whether a signal ended it early.
        :raises OSError: if a picture could not be written.
        """
        if self._fault is not None:
            raise self._fault
        if interrupted:
            return 130
        wait_for_arrival([self._prompts])
        return 0

    def _follow(self):
        now_s = time.monotonic()
        self._input.follow(now_s)
        if now_s - self._latest_s >= _SILENCE_S:
            topics = self.get_topic_names_and_types()
            found = [name for name, types in topics if {RAW, COMPRESSED} & set(types) and self.count_publishers(name)]
            others = sorted(set(found) - {self.resolve_topic_name('~/image'), self._input.topic})
            self.get_logger().warning(
                'No image on %s for %d s: %s. Other image topics: %s.'
                % (
                    self._input.topic,
                    now_s - self._latest_s,
                    self._input.why_unread() or 'its publishers are %s' % ', '.join(self._input.publishers()),
                    ', '.join(others) or 'none',
                ),
                **EVERY_5_S,
            )

    def _take(self, message):
        self._latest_s = time.monotonic()
        try:
            shown = self._collection.add(image_of(message, self._used_bits.of), self._latest_s)
        except BadImage as error:
            self.get_logger().warning('%s' % error, **EVERY_5_S)
            return
        except OSError as error:
            self._fault = error
            return
        prompt = str(self._collection.prompt)
        if prompt != self._prompt:
            self._prompt = prompt
            self._report(prompt)
            self._prompts.publish(String(data=prompt))
        if self._images.get_subscription_count():
            self._images.publish(image_message(message.header, shown))
