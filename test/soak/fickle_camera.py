"""A camera that changes between reliable and best effort, and plays on, until SIGINT.

Usage: fickle_camera.py picture.npy RATE_HZ EVERY_S
"""

import array
import signal
import sys
import time

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image


def main():
    """Publish until a signal."""
    picture, period_s, every_s = np.load(sys.argv[1]), 1.0 / float(sys.argv[2]), float(sys.argv[3])
    height, width, channels = picture.shape
    pixels = array.array('B', picture.tobytes())
    ended = []
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.append(True))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('fickle_camera', start_parameter_services=False, enable_rosout=False)
    reliability = ReliabilityPolicy.RELIABLE
    while not ended:
        publisher = node.create_publisher(Image, 'image', QoSProfile(depth=1, reliability=reliability))
        until_s = time.monotonic() + every_s
        while not ended and time.monotonic() < until_s:
            message = Image(height=height, width=width, step=width * channels, encoding='bgr8')
            message.data = pixels
            message.header.stamp = node.get_clock().now().to_msg()
            publisher.publish(message)
            time.sleep(period_s)
        node.destroy_publisher(publisher)
        reliability = (
            ReliabilityPolicy.BEST_EFFORT if reliability == ReliabilityPolicy.RELIABLE else ReliabilityPolicy.RELIABLE
        )
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
