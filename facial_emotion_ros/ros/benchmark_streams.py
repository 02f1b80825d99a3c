"""Camera and subscriber of the benchmark's streams, each in its own process: the node does nothing but its work.

`python -m facial_emotion_ros.ros.benchmark_streams camera|subscriber ...`; the benchmark command starts them.
"""

import argparse
import array
import json
import math
import sys
import time
from typing import Any, Dict, List, Optional

import cv2
import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.demo.sample_video import CAST
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.ros.messages import image_message
from facial_emotion_ros.ros.qos import output_qos

#: Frames that are drawn before the start and played in a loop: the motion of the faces is periodic.
_FRAMES = 30

_JPEG_QUALITY = 90

#: Side of the crop of a portrait, in heights of its face.
_CROP = 1.7


def draw_frames(width: int, height: int, faces: int, count: int = _FRAMES) -> List[np.ndarray]:
    """Draw faces side by side that move a little.

    :param width, height: of the images, in pixels.
    :param faces: how many.
    :param count: of frames, one period of the motion.
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


def play(node: Node, options: argparse.Namespace) -> Dict[str, Any]:
    """Publish at a steady rate until the time is over.

    :returns: how many images were sent.
    """
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


class Subscriber(Node):
    """Records the answers, and how old each image was when its answer arrived."""

    def __init__(self) -> None:
        super().__init__('benchmark_subscriber')
        self.stamps_ns: List[int] = []
        self.ages_s: List[float] = []
        self.arrivals_s: List[float] = []
        self.faces: List[int] = []
        self.create_subscription(Detection2DArray, 'detections', self._take, output_qos(depth=100))

    def _take(self, message):
        stamp = Time.from_msg(message.header.stamp, self.get_clock().clock_type)
        self.stamps_ns.append(stamp.nanoseconds)
        self.ages_s.append((self.get_clock().now() - stamp).nanoseconds / 1e9)
        self.arrivals_s.append(time.monotonic())
        self.faces.append(len(message.detections))


def read(node: Subscriber, options: argparse.Namespace) -> Dict[str, Any]:
    """Record the answers until the time is over.

    The lines 'warm' and 'over' on stdout tell the benchmark when to read the node's processor time.

    :returns: the answers between these lines.
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
    return {
        'ages_s': node.ages_s[first:],
        'faces': node.faces[first:],
        'seconds': options.seconds,
        'stamps_ns': node.stamps_ns[first:],
    }


def main(argv: Optional[List[str]] = None) -> int:
    """Run the camera or the subscriber.

    :param argv: command line; None for the process's own.
    :returns: exit status.
    """
    arguments = argparse.ArgumentParser(prog='benchmark_streams', description=__doc__.partition('\n')[0])
    arguments.add_argument('part', choices=('camera', 'subscriber'))
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
            node = Subscriber()
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
