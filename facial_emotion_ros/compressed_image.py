"""The bytes of a JPEG or PNG picture -> an array of pixels, or BadImage that says why not.

What an unpacked picture would take is looked up, and refused, before it is unpacked.
"""

import struct
import zlib

import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.image import MAX_SIDE_PX

#: More pixels than any camera has: a few kilobytes of PNG may claim to hold gigabytes.
MAX_PIXELS = 1 << 26

_PNG_HEAD = b'\x89PNG\r\n\x1a\n'
_JPEG_HEAD = b'\xff\xd8\xff'
_JPEG_END = b'\xff\xd9'

#: Markers of JPEG that stand alone, and those that begin a frame header. Source: ITU-T T.81, table B.1.
_JPEG_ALONE = (0x01,) + tuple(range(0xD0, 0xDA))
_JPEG_FRAMES = tuple(number for number in range(0xC0, 0xD0) if number not in (0xC4, 0xC8, 0xCC))


def decode_compressed(pixels, described='') -> np.ndarray:
    """Read the fields of a sensor_msgs/CompressedImage.

    A JPEG whose bits were turned on the way, but whose ends are there, cannot be told from a good one.

    :param pixels: the file as bytes, array.array('B') or (M,) uint8. What it is, its first bytes say.
    :param described: the message's format, as image_transport writes it ('rgb8; jpeg compressed bgr8'): it tells of
        depth, and of files that hold red where blue should be; other words do not matter.
    :returns: (H, W, 3) uint8 BGR, contiguous; as the pixels lie in the file, whatever orientation EXIF may ask for.
    :raises BadImage: naming what was expected and what came.
    """
    if not isinstance(described, str):
        raise BadImage(f'expected the format as text, got {described!r}')
    if 'depth' in described.lower():
        raise BadImage(f'expected a camera picture, got the format {described[:40]!r}, which holds depth; connect the '
                       'colour image')
    octets = _octets(pixels)
    if octets.startswith(_JPEG_HEAD):
        height, width = _check_jpeg(octets)
    elif octets.startswith(_PNG_HEAD):
        height, width = _check_png(octets)
    else:
        raise BadImage(f'expected a JPEG or PNG file, got {len(octets)} bytes that begin with {octets[:8]!r} (format '
                       f'{described[:40]!r}); let the camera compress as jpeg or png')
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX and height * width <= MAX_PIXELS):
        raise BadImage(f'expected sides of 1 to {MAX_SIDE_PX} pixels and {MAX_PIXELS} pixels at most, got {width} x '
                       f'{height}; correct the driver')
    try:
        image = cv2.imdecode(np.frombuffer(octets, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as fault:
        raise BadImage(f'expected a whole picture of {width} x {height}, got one that OpenCV cannot read: '
                       f'{str(fault)[:120]}') from None
    if image is None or image.shape != (height, width, 3):
        raise BadImage(f'expected a whole picture of {width} x {height}, got {len(octets)} damaged bytes; look for a '
                       'transport that cuts messages')
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if 'compressed rgb' in described else image


def _octets(pixels) -> bytes:
    try:
        view = memoryview(pixels)
    except (TypeError, ValueError):
        raise BadImage(f'expected the picture as a buffer of bytes, got {type(pixels).__name__}') from None
    if view.itemsize != 1:
        raise BadImage(f'expected the picture as bytes, got items of {view.itemsize} bytes')
    return view.tobytes()


def _check_jpeg(octets):
    """Look for the end, which a file that was cut lacks, and read the frame header.

    :returns: height, width.
    """
    if not octets.rstrip(b'\0').endswith(_JPEG_END):  # some cameras fill up to a block's size
        raise BadImage(f'expected a JPEG file with its end, got {len(octets)} bytes of one that was cut; look for a '
                       'transport that cuts messages')
    place = 2
    while place + 4 <= len(octets) and octets[place] == 0xFF:
        marker = octets[place + 1]
        if marker == 0xFF:  # a filling byte
            place += 1
        elif marker in _JPEG_ALONE:
            place += 2
        elif marker in _JPEG_FRAMES and place + 9 <= len(octets):
            return struct.unpack('>HH', octets[place + 5:place + 9])
        else:
            place += 2 + struct.unpack('>H', octets[place + 2:place + 4])[0]
    raise BadImage(f'expected a JPEG file with a frame header, got {len(octets)} damaged bytes')


def _check_png(octets):
    """Check every chunk's sum, and read the header.

    :returns: height, width.
    """
    place, kinds = len(_PNG_HEAD), []
    while place + 12 <= len(octets) and kinds[-1:] != [b'IEND']:
        length = struct.unpack('>I', octets[place:place + 4])[0]
        end = place + 8 + length
        if end + 4 > len(octets):
            break
        if zlib.crc32(octets[place + 4:end]) & 0xFFFFFFFF != struct.unpack('>I', octets[end:end + 4])[0]:
            raise BadImage(f'expected a whole PNG file, got one with a damaged chunk at byte {place}; look for a '
                           'transport that alters messages')
        kinds.append(octets[place + 4:place + 8])
        place = end + 4
    if kinds[:1] != [b'IHDR'] or kinds[-1:] != [b'IEND'] or octets[8:12] != b'\0\0\0\r':
        raise BadImage(f'expected a PNG file from header to end, got {len(octets)} bytes that are not; look for a '
                       'transport that cuts messages')
    width, height = struct.unpack('>II', octets[16:24])
    return height, width
