"""OpenDR's module of this name: images, colours and video frames, for code written for OpenDR.

Source: OpenDR's demo and its node, which call these functions.
"""

import os

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.core.text import show
from facial_emotion_ros.perception.image_files import read_picture

#: Frame rate in Hz assumed for sources that report none.
_USUAL_RATE_HZ = 30.0

_capture = cv2.VideoCapture()
_frames_a_second = 5.0


def set_fps(fps: float) -> None:
    """Set the frame rate of :func:`get_frame`, above 0."""
    global _frames_a_second
    _frames_a_second = float(fps)


def initialize_video_capture(source: str | int) -> bool:
    """Open a video (path or address) or a camera (number); return whether it is open."""
    global _capture
    release_video_capture()
    _capture = cv2.VideoCapture(source)
    return _capture.isOpened()


def is_video_capture_open() -> bool:
    """Return whether a video or camera is open."""
    return _capture.isOpened()


def release_video_capture() -> bool:
    """Close the video or camera; return True."""
    _capture.release()
    return True


def get_frame() -> tuple[np.ndarray | None, float]:
    """Read the next frame at the rate of :func:`set_fps`.

    :returns: (H, W, 3) uint8 BGR, None at the end; and its time in seconds.
    :raises BadImage: if nothing is open.
    """
    if not is_video_capture_open():
        raise BadImage('expected an open video or camera; call initialize_video_capture(source)')
    rate_hz = _capture.get(cv2.CAP_PROP_FPS)
    for _ in range(int((rate_hz if rate_hz > 0 else _USUAL_RATE_HZ) / _frames_a_second) - 1):
        _capture.grab()
    is_there, frame = _capture.read()
    return (frame if is_there else None), _capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


def read(path_to_image: str, convert_to_grey_scale: bool = False) -> np.ndarray:
    """Read an image file.

    :param path_to_image: path.
    :param convert_to_grey_scale: return one plane.
    :returns: (H, W, 3) uint8 BGR, or (H, W) uint8.
    :raises BadImage: if it is missing, damaged or no image.
    """
    try:
        picture = read_picture(path_to_image)
    except BadImage as error:
        raise BadImage(f'{path_to_image}: expected an image, it {error}') from error
    return convert_bgr_to_grey(picture) if convert_to_grey_scale else picture


def write(image: np.ndarray, file_path: str, file_name: str) -> None:
    """Write an image file.

    :param image: (H, W, 3) uint8 BGR, or (H, W) uint8.
    :param file_path: folder, created if missing.
    :param file_name: its extension selects the format.
    :raises BadImage: if OpenCV cannot write that format.
    """
    path = os.path.join(file_path, file_name)
    try:
        is_done, encoded = cv2.imencode(os.path.splitext(file_name)[1], np.asarray(image))
    except cv2.error as error:
        raise BadImage(f'{path}: expected an image and a name such as face.png ({str(error)[:120]})') from error
    if not is_done:
        raise BadImage(f'{path}: expected an image, OpenCV cannot write it')
    write_atomic(path, encoded.tobytes())
    show(f'Image successfully saved at: {path}')


def convert_grey_to_bgr(image: np.ndarray) -> np.ndarray:
    """Convert gray to BGR."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def convert_bgr_to_grey(image: np.ndarray) -> np.ndarray:
    """Convert BGR to gray."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def convert_bgr_to_rgb(image: np.ndarray) -> np.ndarray:
    """Convert BGR to RGB."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def convert_rgb_to_grey(image: np.ndarray) -> np.ndarray:
    """Convert RGB to gray."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def convert_rgb_to_bgr(image: np.ndarray) -> np.ndarray:
    """Convert RGB to BGR."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)


def resize(image: np.ndarray, output_size: tuple[int, int] | None = None, f: float | None = None) -> np.ndarray:
    """Resize an image to (width, height) in pixels, or by a factor f of both sides."""
    return cv2.resize(image, output_size) if f is None else cv2.resize(image, output_size, fx=f, fy=f)
