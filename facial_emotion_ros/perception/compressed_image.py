"""Decode the bytes of a sensor_msgs/CompressedImage, or raise BadImage."""

import functools
import re
from typing import Any, Callable, Optional

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.decoder_warnings import DAMAGE
from facial_emotion_ros.perception.image_decoding import byte_view, to_eight_bits
from facial_emotion_ros.perception.image_files import decode_picture
from facial_emotion_ros.perception.image_headers import JPEG_HEAD, PNG_HEAD

#: Formats of depth images: image_transport's names, and encodings without channel names.
_DEPTH = re.compile(r'(?s).*depth|\s*(16|32|64)[USF]C[0-9]*\b', re.IGNORECASE)


def decode_compressed(
    pixels: Any,
    described: str = '',
    used_bits: Optional[Callable[[str, int], int]] = None,
    on_damage: Optional[Callable[[str], Any]] = None,
) -> np.ndarray:
    """Decode the fields of a sensor_msgs/CompressedImage.

    A JPEG with bit errors but correct markers and length is decoded; the decoder detects only some of them.

    :param pixels: the file as bytes, array.array('B') or (M,) uint8. Its first bytes determine its type.
    :param described: the message's format, as image_transport writes it ('rgb8; jpeg compressed bgr8'): identifies
        depth images, and files with red and blue swapped.
    :param used_bits: see :func:`image_decoding.decode_image`; called for a 16-bit PNG, with the encoding 'png16'.
    :param on_damage: called with the decoder's warning about a picture that it still decodes; None logs it.
    :returns: (H, W, 3) uint8 BGR, contiguous; without EXIF rotation.
    :raises BadImage: naming what was expected and what came.
    """
    if not isinstance(described, str):
        raise BadImage(f'expected the format as text, got {described!r}')
    if _DEPTH.match(described):
        raise BadImage(
            f'expected a camera picture, got the format {described[:40]!r} of a depth image; connect the colour image'
        )
    content = byte_view(pixels).tobytes()
    if not content.startswith((JPEG_HEAD, PNG_HEAD)):
        raise BadImage(
            f'expected a JPEG or PNG file, got {len(content)} bytes that begin with {content[:8]!r} (format '
            f'{described[:40]!r}); set the camera to jpeg or png'
        )
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION | cv2.IMREAD_ANYDEPTH
    try:
        image = decode_picture(content, flags, on_damage or functools.partial(DAMAGE.add, 'A compressed image'))
    except BadImage as fault:
        raise BadImage(f'{fault}; check the driver, and the transport for truncated or altered messages') from None
    if image.dtype == np.uint16:
        image = to_eight_bits(image, 'png16', used_bits)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if 'compressed rgb' in described else image
