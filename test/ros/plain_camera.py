"""A camera that shares no code with the package: plays one picture at a steady rate until SIGINT.

Usage: plain_camera.py picture.npy RATE_HZ
"""

import array
import sys

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image


def main():
    """Publish until told to end."""
    picture = np.load(sys.argv[1])
    pixels = array.array('B', picture.tobytes())
    rclpy.init()
    node = Node('plain_camera')
    publisher = node.create_publisher(Image, 'image', QoSProfile(depth=1))

    def shoot():
        message = Image(height=picture.shape[0], width=picture.shape[1], step=picture.shape[1] * 3, encoding='bgr8')
        message.header.stamp = node.get_clock().now().to_msg()
        message.header.frame_id = 'camera_optical_frame'
        message.data = pixels
        publisher.publish(message)

    node.create_timer(1.0 / float(sys.argv[2]), shoot)
    try:
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass


if __name__ == '__main__':
    main()
