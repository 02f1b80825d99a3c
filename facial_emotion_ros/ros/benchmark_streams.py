"""Simulated camera for the benchmark of streams, in its own process so that it does not load the node's.

`python -m facial_emotion_ros.ros.benchmark_streams ...`; the benchmark command starts it.
"""

import argparse
import array
import math
import os
import sys
import time
from typing import List, Optional

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.utilities import try_shutdown
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.demo.sample_video import CAST
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.ros.messages import image_message
from facial_emotion_ros.ros.qos import output_qos
from facial_emotion_ros.system.dds_environment import transport_environment

#: Frames drawn before the start and played in a loop: the motion of the faces is periodic.
_FRAMES = 30

_JPEG_QUALITY = 90

#: Side of a portrait's crop, in face heights.
_CROP = 1.7


def draw_frames(width: int, height: int, faces: int, count: int = _FRAMES) -> List[np.ndarray]:
    """Draw a grid of slightly moving faces.

    :param width, height: of the images, in pixels.
    :param faces: number of faces.
    :param count: number of frames, one period of the motion.
    :returns: (height, width, 3) uint8 BGR each.
    """
    columns = max(1, int(math.ceil(math.sqrt(faces * width / float(height)))))
    rows = -(-faces // columns)
    cell = np.array([width / float(columns), height / float(rows)])
    side = int(0.85 * min(cell))
    cut = [_cut(portrait, side) for portrait in CAST]
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), (96, 104, 112), np.uint8)
        for face in range(faces):
            turn = 2 * math.pi * number / count + face
            middle = (np.array([face % columns, face // columns]) + 0.5) * cell
            left, top = np.rint(middle - side / 2.0 + 0.06 * side * np.array([math.cos(turn), math.sin(turn)]))
            left, top = max(0, min(int(left), width - side)), max(0, min(int(top), height - side))
            frame[top : top + side, left : left + side] = cut[face % len(cut)]
        frames.append(frame)
    return frames


def _cut(portrait, side):
    picture = read_picture(find_shared('samples', portrait.file))
    half = int(_CROP * portrait.face_px / 2)
    padded = cv2.copyMakeBorder(picture, half, half, half, half, cv2.BORDER_REPLICATE)
    x, y = (int(round(each)) for each in portrait.center_px)
    square = padded[y : y + 2 * half, x : x + 2 * half]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if side < 2 * half else cv2.INTER_LINEAR)


def play(node: Node, options: argparse.Namespace) -> int:
    """Wait for a subscriber, then publish at a constant rate until the time is over.

    :returns: exit status.
    """
    frames = draw_frames(options.width, options.height, options.faces)
    if options.transport == 'compressed':
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        files = [array.array('B', cv2.imencode('.jpg', frame, quality)[1].tobytes()) for frame in frames]
        publisher = node.create_publisher(CompressedImage, 'image/compressed', output_qos(depth=2))
        messages = [CompressedImage(format='bgr8; jpeg compressed bgr8', data=each) for each in files]
    else:
        publisher = node.create_publisher(Image, 'image', output_qos(depth=2))
        messages = [image_message(Header(), frame) for frame in frames]
    until_s = time.monotonic() + options.patience
    while not publisher.get_subscription_count():
        if time.monotonic() > until_s:
            print('no subscriber to the images within %g s' % options.patience, flush=True)
            return 1
        time.sleep(0.02)
    with open(options.begun, 'w') as file:
        file.write(str(node.get_clock().now().nanoseconds))
    sent, started_s = 0, time.monotonic()
    while time.monotonic() - started_s < options.seconds:
        message = messages[sent % len(messages)]
        message.header = Header(stamp=node.get_clock().now().to_msg(), frame_id='camera')
        publisher.publish(message)
        sent += 1
        time.sleep(max(0.0, started_s + sent / options.rate - time.monotonic()))
    return 0


def main(argv: Optional[List[str]] = None) -> int:
    """Run the camera.

    :param argv: command line; None for the process's own.
    :returns: exit status.
    """
    arguments = argparse.ArgumentParser(prog='benchmark_streams', description=__doc__.partition('\n')[0])
    arguments.add_argument('--seconds', type=float, required=True)
    arguments.add_argument('--begun', required=True, metavar='FILE', help='output file for the time of the first image')
    arguments.add_argument('--patience', type=float, default=60.0)
    arguments.add_argument('--width', type=int, default=640)
    arguments.add_argument('--height', type=int, default=480)
    arguments.add_argument('--faces', type=int, default=1)
    arguments.add_argument('--rate', type=float, default=30.0)
    arguments.add_argument('--transport', choices=('raw', 'compressed'), default='raw')
    options = arguments.parse_args(argv)
    os.environ.update(transport_environment())
    rclpy.init(args=[])
    node = rclpy.create_node('benchmark_camera')
    try:
        return play(node, options)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        node.destroy_node()
        try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
