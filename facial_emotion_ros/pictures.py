"""Picture files: reading, refusing damaged ones, and fitting them into frames."""
import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage

#: Names of pictures that are looked at in a folder.
PICTURE_SUFFIXES = ('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff', '.ppm', '.pgm')

#: Gray level around a picture that has another shape than the frame, and of the frames between two pictures.
BACKGROUND = 64


def read_picture(path: str) -> np.ndarray:
    """
    Decode a picture file, and refuse one that is cut off, which OpenCV would fill up with gray.

    :param path: of the file.
    :returns: (H, W, 3) uint8 BGR.
    :raises BadImage: it cannot be read or decoded, or its end is missing.
    """
    try:
        with open(path, 'rb') as stream:
            content = stream.read()
    except OSError as error:
        raise BadImage('cannot be read (%s)' % error.strerror) from None
    if not content:
        raise BadImage('the file is empty')
    if content.startswith(b'\xff\xd8') and content.rfind(b'\xff\xd9') <= content.rfind(b'\xff\xda'):
        raise BadImage('the JPEG file is cut off')
    if content.startswith(b'\x89PNG') and b'IEND' not in content:
        raise BadImage('the PNG file is cut off')
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise BadImage('cannot be decoded (%s)' % str(error).strip().splitlines()[-1]) from None
    if picture is None:
        raise BadImage('cannot be decoded as a picture')
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
