"""Camera and reader of the benchmark's streams, each a process of its own: they cost the node nothing but its work.

`python -m facial_emotion_ros.ros.benchmark_streams camera|reader ...`; the benchmark command starts them.
"""

import argparse
import array
import json
import math
import sys
import time

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.pictures import read_picture
from facial_emotion_ros.ros.messages import image_message
from facial_emotion_ros.ros.qos import output_qos
from facial_emotion_ros.sample_film import CAST

#: Frames that are drawn before the start and played over and over: the faces' way leads back to its beginning.
_FRAMES = 30

_JPEG_QUALITY = 90

#: Side of what is cut out of a portrait, in heights of its face.
_ROOM = 1.7


def draw_frames(width, height, faces, count=_FRAMES):
    """Draw faces side by side that move a little.

    :param width, height: of the images, in pixels.
    :param faces: how many.
    :param count: of frames; the last one leads back to the first.
    :returns: list of (height, width, 3) uint8 BGR.
    """
    columns = max(1, int(math.ceil(math.sqrt(faces * width / float(height)))))
    rows = -(-faces // columns)
    room = np.array([width / float(columns), height / float(rows)])
    side = int(0.85 * min(room))
    cut = [_cut(portrait, side) for portrait in CAST]
    frames = []
    for number in range(count):
        frame = np.full((height, width, 3), (96, 104, 112), np.uint8)
        for face in range(faces):
            turn = 2 * math.pi * number / count + face
            middle = (np.array([face % columns, face // columns]) + 0.5) * room
            left, top = np.rint(middle - side / 2.0 + 0.06 * side * np.array([math.cos(turn), math.sin(turn)]))
            left, top = max(0, min(int(left), width - side)), max(0, min(int(top), height - side))
            frame[top:top + side, left:left + side] = cut[face % len(cut)]
        frames.append(frame)
    return frames


def _cut(portrait, side):
    picture = read_picture(find_shared('samples', portrait.file))
    half = int(_ROOM * portrait.face_px / 2)
    padded = cv2.copyMakeBorder(picture, half, half, half, half, cv2.BORDER_REPLICATE)
    x, y = (int(round(each)) for each in portrait.center_px)
    square = padded[y:y + 2 * half, x:x + 2 * half]
    return cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA if side < 2 * half else cv2.INTER_LINEAR)


def play(node, options):
    """Publish at a steady pace until the time is over, and say how many images that were."""
    frames = draw_frames(options.width, options.height, options.faces)
    compressed = options.transport == 'compressed'
    if compressed:
        quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
        files = [array.array('B', cv2.imencode('.jpg', frame, quality)[1].tobytes()) for frame in frames]
        publisher = node.create_publisher(CompressedImage, 'image/compressed', output_qos(depth=2))
        messages = [CompressedImage(format='bgr8; jpeg compressed bgr8', data=each) for each in files]
    else:
        publisher = node.create_publisher(Image, 'image', output_qos(depth=2))
        messages = [image_message(Header(), frame) for frame in frames]
    sent, started_s = 0, time.monotonic()
    while time.monotonic() - started_s < options.seconds:
        message = messages[sent % len(messages)]
        message.header = Header(stamp=node.get_clock().now().to_msg(), frame_id='camera')
        publisher.publish(message)
        sent += 1
        time.sleep(max(0.0, started_s + sent / options.rate - time.monotonic()))
    return {'sent': sent}


class Reader(Node):
    """Takes the answers, and notes how old each image was by then."""

    def __init__(self):
        super().__init__('benchmark_reader')
        self.stamps_ns, self.ages_s, self.arrivals_s, self.faces = [], [], [], []
        self.create_subscription(Detection2DArray, 'detections', self._hear, output_qos(depth=100))

    def _hear(self, message):
        stamp = Time.from_msg(message.header.stamp)
        self.stamps_ns.append(stamp.nanoseconds)
        self.ages_s.append((self.get_clock().now() - Time.from_msg(
            message.header.stamp, self.get_clock().clock_type)).nanoseconds / 1e9)
        self.arrivals_s.append(time.monotonic())
        self.faces.append(len(message.detections))


def read(node, options):
    """Listen until nothing came for a while, or the time is over; say what came.

    A line 'warm' and, so many seconds later, a line 'over' tell the benchmark when to look at the node's processor
    time.
    """
    def spin_until(is_over):
        while not is_over():
            rclpy.spin_once(node, timeout_sec=0.05)
    until_s = time.monotonic() + options.patience
    spin_until(lambda: node.arrivals_s or time.monotonic() > until_s)
    warm_s = time.monotonic() + options.warm_up
    spin_until(lambda: time.monotonic() > warm_s)
    print(json.dumps({'say': 'warm'}), flush=True)
    first = len(node.ages_s)
    over_s = time.monotonic() + options.seconds
    spin_until(lambda: time.monotonic() > over_s)
    print(json.dumps({'say': 'over'}), flush=True)
    return {'ages_s': node.ages_s[first:], 'faces': node.faces[first:], 'seconds': options.seconds,
            'stamps_ns': node.stamps_ns[first:]}


def main(argv=None):
    """Run one of both.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code.
    """
    arguments = argparse.ArgumentParser()
    arguments.add_argument('part', choices=('camera', 'reader'))
    arguments.add_argument('--seconds', type=float, required=True)
    arguments.add_argument('--warm-up', type=float, default=3.0)
    arguments.add_argument('--patience', type=float, default=60.0)
    arguments.add_argument('--width', type=int, default=640)
    arguments.add_argument('--height', type=int, default=480)
    arguments.add_argument('--faces', type=int, default=1)
    arguments.add_argument('--rate', type=float, default=30.0)
    arguments.add_argument('--transport', choices=('raw', 'compressed'), default='raw')
    options = arguments.parse_args(argv)
    rclpy.init(args=[])
    node = None
    try:
        if options.part == 'camera':
            node = rclpy.create_node('benchmark_camera')
            found = play(node, options)
        else:
            node = Reader()
            found = read(node, options)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
    print(json.dumps(found), flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
