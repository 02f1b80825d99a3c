"""OpenDR's module of this name: pictures, colours and frames of a film or camera, for code written for OpenDR.

Source: OpenDR's demo and its node, which call these functions.
"""

import os

import cv2
import numpy as np

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.pictures import read_picture

#: Where a source does not say how many frames a second it has.
_USUAL_RATE_HZ = 30.0

_capture = None
_frames_a_second = 5.0


def set_fps(fps):
    """Set how many frames of each second :func:`get_frame` gives.

    :param fps: above 0.
    """
    global _frames_a_second
    _frames_a_second = float(fps)


def initialize_video_capture(source):
    """Open a film or a camera, in place of the one before.

    :param source: path or address of a film, or a camera's number.
    :returns: whether it is open.
    """
    global _capture
    release_video_capture()
    _capture = cv2.VideoCapture(source)
    return _capture.isOpened()


def is_video_capture_open():
    """Tell whether a film or camera is open."""
    return _capture is not None and _capture.isOpened()


def release_video_capture():
    """Close the film or camera.

    :returns: True.
    """
    global _capture
    if _capture is not None:
        _capture.release()
    _capture = None
    return True


def get_frame():
    """Read the next frame; as many are skipped as the rate of :func:`set_fps` wants.

    :returns: (H, W, 3) uint8 BGR, None at the end; and its time from the beginning, in seconds.
    :raises BadImage: if nothing is open.
    """
    if not is_video_capture_open():
        raise BadImage('an open film or camera expected, there is none; call initialize_video_capture(source)')
    rate_hz = _capture.get(cv2.CAP_PROP_FPS)
    for _ in range(int((rate_hz if rate_hz > 0 else _USUAL_RATE_HZ) / _frames_a_second) - 1):
        _capture.grab()
    is_there, frame = _capture.read()
    return (frame if is_there else None), _capture.get(cv2.CAP_PROP_POS_MSEC) / 1000


def read(path_to_image, convert_to_grey_scale=False):
    """Read a picture file.

    :param path_to_image: path.
    :param convert_to_grey_scale: give one plane.
    :returns: (H, W, 3) uint8 BGR, or (H, W) uint8.
    :raises BadImage: if it is missing, damaged or no picture.
    """
    try:
        picture = read_picture(path_to_image)
    except BadImage as error:
        raise BadImage(f'{path_to_image}: a picture expected, it {error}') from error
    return convert_bgr_to_grey(picture) if convert_to_grey_scale else picture


def write(image, file_path, file_name):
    """Write a picture file.

    :param image: (H, W, 3) uint8 BGR, or (H, W) uint8.
    :param file_path: folder, made where it is missing.
    :param file_name: its ending says the format.
    :raises BadImage: if OpenCV cannot write that format.
    """
    path = os.path.join(file_path, file_name)
    try:
        is_done, encoded = cv2.imencode(os.path.splitext(file_name)[1], np.asarray(image))
    except cv2.error as error:
        raise BadImage(f'{path}: a picture and a name such as face.png expected ({str(error)[:120]})') from error
    if not is_done:
        raise BadImage(f'{path}: a picture expected, OpenCV cannot write it')
    write_whole(path, encoded.tobytes())
    print(f'Image successfully saved at: {path}')


def convert_grey_to_bgr(image):
    """Turn one plane into three."""
    return cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)


def convert_bgr_to_grey(image):
    """Turn blue, green and red into one plane."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def convert_bgr_to_rgb(image):
    """Put red first."""
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def convert_rgb_to_grey(image):
    """Turn red, green and blue into one plane."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def convert_rgb_to_bgr(image):
    """Put blue first."""
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)


def resize(image, output_size=None, f=None):
    """Scale a picture.

    :param image: array.
    :param output_size: (width, height) in pixels; not needed with a factor.
    :param f: factor of both sides; None for the size.
    :returns: array.
    """
    return cv2.resize(image, output_size) if f is None else cv2.resize(image, output_size, fx=f, fy=f)
