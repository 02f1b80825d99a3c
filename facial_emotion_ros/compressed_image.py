"""The bytes of a JPEG or PNG picture -> an array of pixels, or BadImage that says why not.

What an unpacked picture would take is looked up, and refused, before it is unpacked.
"""

import re

import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.image import in_eight_bits
from facial_emotion_ros.jpeg_data import lacks_pixels
from facial_emotion_ros.picture_headers import JPEG_HEAD, PNG_HEAD, check_jpeg, check_png

#: Formats that tell of depth: as image_transport names them, and encodings that do not say what their numbers mean.
_DEPTH = re.compile(r'(?s).*depth|\s*(16|32|64)[USF]C[0-9]*\b', re.IGNORECASE)


def decode_compressed(pixels, described='', used_bits=None) -> np.ndarray:
    """Read the fields of a sensor_msgs/CompressedImage.

    A JPEG whose bits were turned on the way, but whose markers and length are right, cannot be told from a good one.

    :param pixels: the file as bytes, array.array('B') or (M,) uint8. What it is, its first bytes say.
    :param described: the message's format, as image_transport writes it ('rgb8; jpeg compressed bgr8'): it tells of
        depth, and of files that hold red where blue should be; other words do not matter.
    :param used_bits: see :func:`.image.decode_image`; it is called for a PNG of 16 bits, with the encoding 'png16'.
    :returns: (H, W, 3) uint8 BGR, contiguous; as the pixels lie in the file, whatever orientation EXIF may ask for.
    :raises BadImage: naming what was expected and what came.
    """
    if not isinstance(described, str):
        raise BadImage(f'expected the format as text, got {described!r}')
    if _DEPTH.match(described):
        raise BadImage(f'expected a camera picture, got the format {described[:40]!r}, which holds depth; connect the '
                       'colour image')
    octets = _octets(pixels)
    if not octets.startswith((JPEG_HEAD, PNG_HEAD)):
        raise BadImage(f'expected a JPEG or PNG file, got {len(octets)} bytes that begin with {octets[:8]!r} (format '
                       f'{described[:40]!r}); let the camera compress as jpeg or png')
    try:
        header = check_jpeg(octets) if octets.startswith(JPEG_HEAD) else check_png(octets)
    except BadImage as fault:
        raise BadImage(f'{fault}; correct the driver, or look for a transport that cuts or alters messages') from None
    height, width, content = header[:3]
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if octets.startswith(PNG_HEAD):
        flags |= cv2.IMREAD_ANYDEPTH
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as fault:
        raise BadImage(f'expected a whole picture of {width} x {height}, got one that OpenCV cannot read: '
                       f'{str(fault)[:120]}') from None
    if image is None or image.shape != (height, width, 3):
        raise BadImage(f'expected a whole picture of {width} x {height}, got {len(octets)} damaged bytes; look for a '
                       'transport that cuts messages')
    if header.scan is not None and lacks_pixels(header.scan, image):
        raise BadImage(f'expected a whole picture of {width} x {height}, got a JPEG file without the data of its last '
                       'pixels; look for a driver or transport that cuts pictures')
    if image.dtype == np.uint16:
        image = in_eight_bits(image, 'png16', used_bits)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if 'compressed rgb' in described else image


def _octets(pixels) -> bytes:
    try:
        view = memoryview(pixels)
    except (TypeError, ValueError):
        raise BadImage(f'expected the picture as a buffer of bytes, got {type(pixels).__name__}') from None
    if view.itemsize != 1:
        raise BadImage(f'expected the picture as bytes, got items of {view.itemsize} bytes')
    return view.tobytes()
