"""Picture files: listing, reading, refusing damaged or huge ones, and fitting them into frames."""
import os
import stat
from typing import List, NamedTuple, Tuple

import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.jpeg_data import lacks_pixels
from facial_emotion_ros.picture_kinds import CONVERT, PICTURE_SUFFIXES, UNREAD_SUFFIXES, check_picture

#: A picture file of more bytes is none.
MAX_FILE_BYTES = 1 << 28

#: Gray level around a picture that has another shape than the frame, and of the frames between two pictures.
BACKGROUND = 64


class Listing(NamedTuple):
    """Paths of pictures that may be read, and (name, reason) of those that are not."""

    paths: List[str]
    left_out: List[Tuple[str, str]]


def list_pictures(path: str) -> Listing:
    """
    List the pictures of a folder by their names; hidden files and subfolders do not count.

    :param path: of the folder; or of one picture file, whatever its name.
    :returns: Listing, sorted.
    :raises OSError: if the folder cannot be read.
    """
    if os.path.isfile(path):
        reason = why_unread(path)
        return Listing([] if reason else [path], [(os.path.basename(path), reason)] if reason else [])
    names = sorted(name for name in os.listdir(path) if not name.startswith('.'))
    return Listing([os.path.join(path, name) for name in names if name.lower().endswith(PICTURE_SUFFIXES)],
                   [(name, why_unread(name)) for name in names if why_unread(name)])


def why_unread(name: str) -> str:
    """
    Say why a picture file of this name is not read.

    :param name: of the file.
    :returns: the reason; '' for names of pictures that are read, and of no pictures.
    """
    suffix = os.path.splitext(name)[1].lower()
    return 'OpenCV does not read %s files; %s' % (suffix, CONVERT) if suffix in UNREAD_SUFFIXES else ''


def read_picture(path: str) -> np.ndarray:
    """
    Decode a picture file.

    :param path: of the file, whatever bytes its name has.
    :returns: (H, W, 3) uint8 BGR, turned as its EXIF says.
    :raises BadImage: as of `read_file` and `decode_picture`.
    """
    return decode_picture(read_file(path))


def read_file(path: str) -> bytes:
    """
    Read a file.

    :param path: of a file; a pipe or a device is refused, since it may never end.
    :returns: its content.
    :raises BadImage: it cannot be read, or is larger than any picture.
    """
    try:
        state = os.stat(path)
        if not stat.S_ISREG(state.st_mode):
            raise BadImage('expected a file, got a folder, pipe or device')
        if state.st_size > MAX_FILE_BYTES:
            raise BadImage('expected a file of %d bytes at most, got %d' % (MAX_FILE_BYTES, state.st_size))
        with open(path, 'rb') as stream:
            return stream.read(MAX_FILE_BYTES)
    except OSError as error:
        raise BadImage('cannot be read (%s)' % (error.strerror or error)) from None


def decode_picture(content: bytes, flags: int = cv2.IMREAD_COLOR) -> np.ndarray:
    """
    Decode the bytes of a picture file, and refuse one that is cut off, which OpenCV would fill up with gray, or huge.

    :param content: of the file.
    :param flags: of cv2.imdecode.
    :returns: (H, W, 3) uint8 BGR, or what the flags ask for.
    :raises BadImage: with the reason.
    """
    header = check_picture(content)
    height, width, content = header[:3]
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise BadImage('cannot be decoded (%s)' % str(error).strip().splitlines()[-1]) from None
    if picture is None or sorted(picture.shape[:2]) != sorted((height, width)):  # EXIF may turn it
        raise BadImage('cannot be decoded as a picture of %d x %d: it is damaged, or this OpenCV does not read its '
                       'kind; %s' % (width, height, CONVERT))
    if header.scan is not None and not header.may_turn and lacks_pixels(header.scan, picture):
        raise BadImage('expected a whole picture of %d x %d, got a JPEG file without the data of its last pixels'
                       % (width, height))
    return picture


def fit(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """
    Scale a picture into a frame, its shape kept, gray around it.

    :param picture: (H, W, 3) uint8.
    :param width: of the frame in px.
    :param height: of the frame in px.
    :returns: (height, width, 3) uint8.
    """
    scale = min(width / picture.shape[1], height / picture.shape[0])
    columns, rows = max(int(round(picture.shape[1] * scale)), 1), max(int(round(picture.shape[0] * scale)), 1)
    scaled = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    frame = np.full((height, width, 3), BACKGROUND, np.uint8)
    x, y = (width - columns) // 2, (height - rows) // 2
    frame[y:y + rows, x:x + columns] = scaled
    return frame


def shrink(image: np.ndarray, max_side_px: int) -> np.ndarray:
    """
    Scale an image down where it is too large.

    :param image: (H, W, 3) uint8.
    :param max_side_px: the longer side's limit; 0 leaves every image as it is.
    :returns: (h, w, 3) uint8.
    """
    scale = max_side_px / max(image.shape[:2]) if max_side_px else 1.0
    if scale >= 1.0:
        return image
    return cv2.resize(image, (max(int(round(image.shape[1] * scale)), 1), max(int(round(image.shape[0] * scale)), 1)),
                      interpolation=cv2.INTER_AREA)
