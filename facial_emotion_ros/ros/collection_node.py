"""The node of collect_faces: guides a person who sits before the robot's camera."""

import time
from typing import Any, Callable, Optional

from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.ros.image_source import SUFFIX
from facial_emotion_ros.ros.logs import EVERY_5_S
from facial_emotion_ros.ros.messages import image_message, image_of
from facial_emotion_ros.ros.qos import input_qos, latched_qos


class CollectionNode(Node):
    """Passes each image to a FaceCollection; publishes `~/prompt` when it changes, and `~/image` with it drawn in."""

    def __init__(self, collection: Any, topic: str, report: Callable[[str], Any]):
        """Subscribe.

        :param collection: FaceCollection.
        :param topic: of the camera; a name that ends in /compressed has compressed images.
        :param report: called with each new prompt.
        """
        super().__init__('collect_faces')
        self._collection, self._report, self._prompt = collection, report, ''
        self._fault: Optional[OSError] = None
        self._prompts = self.create_publisher(String, '~/prompt', latched_qos())
        self._images = self.create_publisher(Image, '~/image', 1)
        kind = CompressedImage if topic.endswith(SUFFIX) else Image
        self._subscription = self.create_subscription(kind, topic, self._take, input_qos('best_effort'))

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
        return 130 if interrupted else 0

    def _take(self, message):
        try:
            shown = self._collection.add(image_of(message), time.monotonic())
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
