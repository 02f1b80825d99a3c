"""List, read and check picture files, and fit pictures into frames."""

import functools
import os
import stat
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.core.text import printable
from facial_emotion_ros.perception.decoder_warnings import DAMAGE, decode
from facial_emotion_ros.perception.image_formats import CONVERT, PICTURE_SUFFIXES, UNREAD_SUFFIXES, check_picture
from facial_emotion_ros.perception.truncated_jpeg import lacks_pixels

#: Larger files are refused.
MAX_FILE_BYTES = 1 << 28

#: Gray level of blank frames, and around a picture whose aspect ratio differs from the frame's.
BACKGROUND = 64


class Listing(NamedTuple):
    """Paths of pictures, and (name, reason) of pictures that are skipped."""

    paths: List[str]
    left_out: List[Tuple[str, str]]


def list_pictures(path: str) -> Listing:
    """List the pictures of a folder by their suffixes, sorted, without hidden files and subfolders.

    :param path: of the folder, or of one picture file of any name.
    :raises OSError: if the folder cannot be read.
    """
    if os.path.isfile(path):
        reason = why_unread(path)
        return Listing([] if reason else [path], [(os.path.basename(path), reason)] if reason else [])
    names = sorted(name for name in os.listdir(path) if not name.startswith('.'))
    return Listing(
        [os.path.join(path, name) for name in names if name.lower().endswith(PICTURE_SUFFIXES)],
        [(name, why_unread(name)) for name in names if why_unread(name)],
    )


def why_unread(name: str) -> str:
    """Return why a picture file of this name cannot be read; '' if it can, or is not a picture."""
    suffix = os.path.splitext(name)[1].lower()
    return 'OpenCV does not read %s files; %s' % (suffix, CONVERT) if suffix in UNREAD_SUFFIXES else ''


def read_picture(path: str, on_damage: Optional[Callable[[str], Any]] = None) -> np.ndarray:
    """Decode a picture file.

    :param path: of the file.
    :param on_damage: see `decode_picture`; None logs the warning with the file's name.
    :returns: (H, W, 3) uint8 BGR, with EXIF rotation applied.
    :raises BadImage: see `read_file` and `decode_picture`.
    """
    return decode_picture(
        read_file(path), on_damage=on_damage or functools.partial(DAMAGE.add, printable(os.path.basename(path)))
    )


def read_file(path: str) -> bytes:
    """Read a regular file; pipes and devices are refused, since they may never end.

    :raises BadImage: if it cannot be read or is too large.
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


def decode_picture(
    content: bytes, flags: int = cv2.IMREAD_COLOR, on_damage: Optional[Callable[[str], Any]] = None
) -> np.ndarray:
    """Decode a picture file; refuse huge ones, and truncated ones, which OpenCV would fill up with gray.

    :param content: of the file.
    :param flags: of cv2.imdecode.
    :param on_damage: called with the decoder's warning about a picture that it still decodes; None logs it.
    :returns: (H, W, 3) uint8 BGR, or as the flags say.
    :raises BadImage: with the reason.
    """
    header = check_picture(content)
    height, width, content = header[:3]
    try:
        picture, damage = decode(content, flags)
    except cv2.error as error:
        raise BadImage(
            'expected a complete picture of %d x %d, got one that OpenCV cannot read (%s)'
            % (width, height, str(error).strip().splitlines()[-1][:120])
        ) from None
    if picture is None or sorted(picture.shape[:2]) != sorted((height, width)):  # EXIF may rotate it
        raise BadImage(
            'expected a complete picture of %d x %d, got a damaged one, or one that this OpenCV cannot read; %s'
            % (width, height, CONVERT)
        )
    is_turned = header.may_turn and not flags & cv2.IMREAD_IGNORE_ORIENTATION
    if header.scan is not None and not is_turned and lacks_pixels(header.scan, picture):
        raise BadImage('expected a complete picture of %d x %d, got a truncated JPEG file' % (width, height))
    if damage:
        (on_damage or functools.partial(DAMAGE.add, 'A picture'))(damage)
    return picture


def fit(
    picture: np.ndarray, width: int, height: int, around: int = BACKGROUND, enlarging: int = cv2.INTER_CUBIC
) -> np.ndarray:
    """Scale a picture to fit into the centre of a frame; its aspect ratio is kept.

    :param picture: (H, W, 3) uint8.
    :param width, height: of the frame in px.
    :param around: gray level around the picture.
    :param enlarging: interpolation of OpenCV for a smaller picture.
    :returns: (height, width, 3) uint8.
    """
    scale = min(width / picture.shape[1], height / picture.shape[0])
    columns, rows = max(int(round(picture.shape[1] * scale)), 1), max(int(round(picture.shape[0] * scale)), 1)
    scaled = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA if scale < 1 else enlarging)
    frame = np.full((height, width, 3), around, np.uint8)
    x, y = (width - columns) // 2, (height - rows) // 2
    frame[y : y + rows, x : x + columns] = scaled
    return frame


def shrink(image: np.ndarray, max_side_px: int) -> np.ndarray:
    """Scale an image down to a maximum side.

    :param image: (H, W, 3) uint8.
    :param max_side_px: limit of the longer side; 0 for none.
    :returns: (h, w, 3) uint8.
    """
    scale = max_side_px / max(image.shape[:2]) if max_side_px else 1.0
    if scale >= 1.0:
        return image
    size = max(int(round(image.shape[1] * scale)), 1), max(int(round(image.shape[0] * scale)), 1)
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA)
