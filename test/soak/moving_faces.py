"""One to three moving faces whose place and expression are known. Usage: moving_faces.py RATE_HZ SECONDS [FERPLUS.npz]

The faces keep to their thirds of the image: in the middle one that is there all the time; on the left one whose
expression changes (one picture fades into another in 0.4 s: at once would be another person, and gets another id); on
the right one that comes in and leaves again. The changing face takes its expressions from FER+ where that is given,
else it is a rendered person (render_faces), neutral and surprised. The frame_id of an image is `film_<number>`; what
`Film.faces` says of that number is what it shows. It begins once all are there to see it. After SECONDS the film stands
still, until SIGINT.
"""

import array
import math
import os
import signal
import sys
import time
from typing import NamedTuple, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.demo.sample_video import CAST
from facial_emotion_ros.inference.model_bundle import ModelBundle, resolve_bundle
from facial_emotion_ros.perception.face_detector import FaceDetector

WIDTH, HEIGHT = 640, 480
RATE_HZ = 30.0
#: What everybody would call the expressions of the samples.
SAMPLES = {'astronaut.jpg': 'happy', 'president.jpg': 'neutral', 'vice_president.jpg': 'happy'}
#: Expressions of one person who does not exist, beside this file.
RENDERED = 'neutral', 'surprise'
#: Height of a face from hair line to chin in px, and the share that it changes by.
FACE_PX, BREATH = 105.0, 0.12
#: Seconds that the third face takes to come in or to leave.
ENTRY_S = 1.5
#: The changing face changes this often, and takes so long to.
EVERY_S, FADE_S = 4.0, 0.4
#: FER+'s columns of votes for the expressions that faces change between; rare ones are hard for people too.
COLUMNS = {'neutral': 0, 'happy': 1, 'surprise': 2, 'sad': 3, 'anger': 4}
#: Pictures are taken on which at least so many of ten people agree.
LEAST_VOTES = 9
FERPLUS_FACES = 20
#: The node, and the subscriber that measures the transport.
LISTENERS = 2


class Portrait(NamedTuple):
    """One picture: the face's centre and height in it, px, and what it shows."""

    picture: np.ndarray
    half_size: np.ndarray
    center: Tuple[float, float]
    face_px: float
    expression: str
    #: What is seen of it about the centre, in heights of the face, and whether that is an ellipse.
    extent: Tuple[float, float]
    round: bool


class ShownFace(NamedTuple):
    """One face in one image; since_s is when it had half changed last, or had come in; inside says that it has."""

    name: str
    portrait: Portrait
    center: Tuple[float, float]
    height_px: float
    since_s: float
    inside: bool
    #: The portrait that it fades from or into, and how much of that there is.
    other: Portrait
    other_share: float = 0.0


class Film:
    """Draws it, with a camera's noise; the same arguments give the same film."""

    def __init__(self, length_s, ferplus=''):
        """Read the pictures.

        :param length_s: of the film.
        :param ferplus: path of a FER+ npz, or ''.
        """
        random = np.random.default_rng(0)
        self._length_s = length_s
        self._ground = _ground(random)
        self._noise = [random.normal(0, 2.5, (HEIGHT, WIDTH, 3)).astype(np.int8) for _ in range(4)]
        self._samples = [_sample(portrait) for portrait in CAST]
        self._changing = _ferplus_faces(ferplus, random) if ferplus else [_rendered(each) for each in RENDERED]

    def faces(self, number):
        """Say what an image shows.

        :param number: of the image; the film has RATE_HZ of them a second.
        :returns: list of ShownFace.
        """
        film_s, begin_s = number / RATE_HZ, self._length_s / 12
        faces = [_place('still', self._samples[0], 1, 0.0, film_s)]
        if film_s >= begin_s:
            faces.append(self._changing_face(film_s, begin_s))
        come_s, gone_s = self._length_s / 3, self._length_s * 3 / 4
        way = min((film_s - come_s) / ENTRY_S, (gone_s - film_s) / ENTRY_S, 1.0)
        if way > 0:
            faces.append(
                _place(
                    'passing', self._samples[1], 2, come_s + ENTRY_S, film_s, outside=1 - math.sin(way * math.pi / 2)
                )
            )
        return faces

    def image(self, number):
        """Draw one image.

        :param number: of the image.
        :returns: (480, 640, 3) uint8 BGR.
        """
        image = self._ground.copy()
        for face in self.faces(number):
            _draw(image, face)
        return cv2.add(image, self._noise[number % len(self._noise)], dtype=cv2.CV_8U)

    def _changing_face(self, film_s, begin_s):
        changes = int((film_s - begin_s) / EVERY_S)
        before, now, after = (self._changing[place % len(self._changing)] for place in range(changes - 1, changes + 2))
        since_s = begin_s + changes * EVERY_S
        face = _place('changing', now, 0, since_s, film_s)
        # Half of a fade lies before the change, half behind it; there is none at the begin.
        past_s, left_s = film_s - since_s if changes else FADE_S, since_s + EVERY_S - film_s
        return face._replace(
            other=before if past_s < left_s else after, other_share=max(0.0, 0.5 - min(past_s, left_s) / FADE_S)
        )


def _place(name, portrait, third, since_s, film_s, outside=0.0):
    x = 107 + 213 * third + 40 * math.sin(0.9 * film_s + third) + 210 * outside
    y = 240 + 60 * math.sin(0.7 * film_s + 2 * third)
    height_px = FACE_PX * (1 + BREATH * math.sin(0.5 * film_s + third))
    return ShownFace(name, portrait, (x, y), height_px, since_s, not outside, portrait)


def _draw(image, face):
    x, y = face.center
    wide, high = (int(round(extent * face.height_px)) for extent in face.portrait.extent)
    left, top = max(int(x) - wide, 0), max(int(y) - high, 0)
    window = image[top : int(y) + high, left : int(x) + wide]
    if not window.size:
        return
    patch = _patch(face.portrait, face, left, top, window)
    if face.other_share:
        other = _patch(face.other, face, left, top, window)
        patch = cv2.addWeighted(other, face.other_share, patch, 1 - face.other_share, 0)
    mask = np.full(window.shape[:2], 0 if face.portrait.round else 255, np.uint8)
    cv2.ellipse(mask, (int(x) - left, int(y) - top), (wide, high), 0, 0, 360, 255, -1)
    cv2.copyTo(patch, mask, window)


def _patch(portrait, face, left, top, window):
    """Return one portrait as it lies in a window of the image."""
    picture, scale, factor = portrait.picture, face.height_px / portrait.face_px, 1.0
    if scale < 0.5:  # a warp skips pixels
        picture, scale, factor = portrait.half_size, 2 * scale, 0.5
    matrix = np.array(
        [
            [scale, 0, face.center[0] - left - scale * factor * portrait.center[0]],
            [0, scale, face.center[1] - top - scale * factor * portrait.center[1]],
        ]
    )
    return cv2.warpAffine(picture, matrix, window.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)


def _rendered(expression):
    picture = cv2.imread(os.path.join(os.path.dirname(__file__), f'rendered_{expression}.jpg'))
    half_size = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return Portrait(picture, half_size, (158.0, 165.0), 200.0, expression, (0.78, 0.78), True)


def _sample(portrait):
    picture = cv2.imread(find_shared('samples') + '/' + portrait.file)
    half_size = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return Portrait(
        picture,
        half_size,
        portrait.center_px,
        portrait.face_px / portrait.enlargement,
        SAMPLES[portrait.file],
        (0.8, 1.05),
        True,
    )


def _ferplus_faces(path, random):
    """Choose clear expressions by people's votes, and frontal faces by their landmarks; no two alike in a row."""
    rows, detector = np.load(path), FaceDetector(ModelBundle.open(resolve_bundle('centerface')))
    faces, before = [], ''
    for row in random.permutation(len(rows['votes'])):
        clear = [name for name, column in COLUMNS.items() if rows['votes'][row][column] >= LEAST_VOTES]
        if not clear or clear[0] == before:
            continue
        png = rows['png'][rows['offsets'][row] : rows['offsets'][row + 1]]
        gray = cv2.resize(cv2.imdecode(png, cv2.IMREAD_GRAYSCALE), (192, 192), interpolation=cv2.INTER_CUBIC)
        picture = cv2.merge([cv2.convertScaleAbs(gray, alpha=alpha) for alpha in (0.85, 0.97, 1.1)])
        if _is_frontal(detector.detect(cv2.copyMakeBorder(picture, 64, 64, 64, 64, cv2.BORDER_CONSTANT))):
            before = clear[0]
            # Source of the numbers: where CenterFace finds the faces of these pictures.
            faces.append(
                Portrait(picture, picture, (0.510 * 192, 0.513 * 192), 0.91 * 192, before, (0.54, 0.54), False)
            )
        if len(faces) == FERPLUS_FACES:
            break
    return faces


def _is_frontal(found):
    """Whether there is one face that is surely one, its eyes level and its nose between them."""
    if len(found) != 1 or found.scores[0] < 0.85:
        return False
    (left_x, left_y), (right_x, right_y), (nose_x, _) = (tuple(point) for point in found.landmarks[0][:3])
    between = right_x - left_x
    return between > 0 and abs(right_y - left_y) < 0.15 * between and 0.35 < (nose_x - left_x) / between < 0.65


def _ground(random):
    """Draw a wall with soft clutter, and furniture before it."""
    ground = np.full((HEIGHT, WIDTH, 3), 120, np.float32)
    for cells in (4, 12, 32):
        clutter = random.normal(0, 60 / math.sqrt(cells), (cells * 3 // 4, cells, 3)).astype(np.float32)
        ground += cv2.resize(clutter, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        corner = random.integers(0, (WIDTH, HEIGHT))
        cv2.rectangle(
            ground,
            tuple(int(edge) for edge in corner),
            tuple(int(edge) for edge in corner + random.integers(30, 180, 2)),
            tuple(random.uniform(20, 235) + random.normal(0, 15, 3)),
            -1,
        )
    return np.clip(ground, 0, 255).astype(np.uint8)


def main():
    """Publish until a signal."""
    import rclpy
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.qos import QoSProfile
    from rclpy.signals import SignalHandlerOptions
    from sensor_msgs.msg import Image

    rate_hz, length_s = float(sys.argv[1]), float(sys.argv[2])
    film, ended = Film(length_s, *sys.argv[3:]), []
    # Python's own handler, and rclpy's, break off a message that is under way.
    signal.signal(signal.SIGINT, lambda _number, _frame: ended.append(True))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = Node('moving_faces')
    publisher = node.create_publisher(Image, 'image', QoSProfile(depth=1))
    started_s = None

    def shoot():
        nonlocal started_s
        if started_s is None:
            if publisher.get_subscription_count() < LISTENERS:
                return
            started_s = time.monotonic()
        number = int(min(time.monotonic() - started_s, length_s) * RATE_HZ)
        message = Image(height=HEIGHT, width=WIDTH, step=WIDTH * 3, encoding='bgr8')
        message.header.frame_id = 'film_%d' % number
        message.header.stamp = node.get_clock().now().to_msg()
        message.data = array.array('B', film.image(number).tobytes())
        publisher.publish(message)

    node.create_timer(1 / rate_hz, shoot)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    while not ended:
        executor.spin_once(timeout_sec=0.1)
    executor.shutdown()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main()
