"""A camera that shares no code with the package: plays one picture at a steady rate until SIGINT.

Usage: plain_camera.py picture.npy RATE_HZ [STAMPS.txt]
It writes the stamps of all images, as plain_subscriber.py does, one a line, when it ends.
"""

import array
import signal
import sys

import numpy as np
import rclpy
from rclpy.duration import Duration
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image


def main():
    """Publish until a signal."""
    picture = np.load(sys.argv[1])
    pixels = array.array('B', picture.tobytes())
    ended = []
    # Python's own handler, and rclpy's, break off a message that is under way.
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.append(True))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('plain_camera')
    publisher = node.create_publisher(Image, 'image', QoSProfile(depth=1))
    shot = []

    def shoot():
        message = Image(height=picture.shape[0], width=picture.shape[1], step=picture.shape[1] * 3, encoding='bgr8')
        message.header.stamp = node.get_clock().now().to_msg()
        shot.append('%d.%09d\n' % (message.header.stamp.sec, message.header.stamp.nanosec))
        message.header.frame_id = 'camera_optical_frame'
        message.data = pixels
        publisher.publish(message)

    node.create_timer(1.0 / float(sys.argv[2]), shoot)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not ended:
        executor.spin_once(timeout_sec=0.1)
    # Else the last image may have reached one subscriber and not the other.
    publisher.wait_for_all_acked(Duration(seconds=5))
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()
    if len(sys.argv) > 3:
        with open(sys.argv[3], 'w') as stream:
            stream.writelines(shot)


if __name__ == '__main__':
    main()
