"""A camera that stalls and then delivers at once all that it took meanwhile. Usage: burst_camera.py picture.npy BURSTS

Every burst holds 60 images whose stamps lie within the 2 s of the stall, the last one now; the frame_id says
`burst_<number>_<image>`. It shares no code with the package, and plays until SIGINT or until all bursts are out.
"""

import array
import signal
import sys
import time

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

STALL_S, IMAGES = 2.0, 60
#: How long a burst may take to reach all listeners.
ARRIVAL_S = 30.0
#: The node, and the test that measures the transport.
LISTENERS = 2


class BurstCamera(Node):
    """Publishes one burst after each stall, once all are there to hear it."""

    def __init__(self, picture, bursts):
        """Begin with a stall."""
        super().__init__('burst_camera')
        self._message = Image(
            height=picture.shape[0],
            width=picture.shape[1],
            step=picture.shape[1] * 3,
            encoding='bgr8',
            data=array.array('B', picture.tobytes()),
        )
        self._publisher = self.create_publisher(Image, 'image', QoSProfile(depth=IMAGES))
        self._bursts, self._burst, self._listeners = bursts, 0, None
        self._due_s = time.monotonic() + STALL_S
        self.create_timer(0.01, self._look)

    def _is_heard(self):
        """Return whether all listen; until the node has seen this camera, its subscription may not be reliable."""
        offers = self.get_subscriptions_info_by_topic(self._publisher.topic_name)
        reliable = [offer.qos_profile.reliability == ReliabilityPolicy.RELIABLE for offer in offers]
        listeners = (self._publisher.get_subscription_count(), reliable)
        if listeners != self._listeners:
            print('Listeners: %d, reliable: %s.' % listeners, flush=True)
            self._listeners = listeners
        return listeners[0] >= LISTENERS and all(reliable)

    def _look(self):
        if not self._is_heard():
            self._due_s = time.monotonic() + STALL_S
        elif self._burst < self._bursts and time.monotonic() >= self._due_s:
            self._deliver()
            self._burst += 1
            self._due_s = time.monotonic() + STALL_S

    def _deliver(self):
        for image in range(IMAGES):
            ago = Duration(seconds=STALL_S * (IMAGES - 1 - image) / IMAGES)
            self._message.header.stamp = (self.get_clock().now() - ago).to_msg()
            self._message.header.frame_id = 'burst_%d_%d' % (self._burst, image)
            self._publisher.publish(self._message)
        # A burst fills the transport's buffers; what is lost is sent again seconds later, unless the next burst has
        # taken its place in the history by then.
        if not self._publisher.wait_for_all_acked(Duration(seconds=ARRIVAL_S)):
            print('Not all images of burst %d arrived within %g s.' % (self._burst, ARRIVAL_S), flush=True)


def main():
    """Play."""
    ended = []
    # Python's own handler, and rclpy's, break off a message that is under way.
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.append(True))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    executor = SingleThreadedExecutor()
    camera = BurstCamera(np.load(sys.argv[1]), int(sys.argv[2]))
    executor.add_node(camera)
    while not ended:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    camera.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
