"""Raw fields of a camera image -> an array of pixels that the pipeline takes, or BadImage that says why not."""

import operator
import re
from typing import Callable, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.errors import BadImage

#: No camera has more pixels a side; a message that says so is damaged.
MAX_SIDE_PX = 1 << 15

#: More pixels than any robot's camera has; as BGR they take three times their number in bytes.
MAX_PIXELS = 1 << 26


class _Layout(NamedTuple):
    """How an encoding lays out its pixels."""

    #: Of one pixel in the rows of the image itself.
    channels: int
    #: Bytes of one channel.
    depth: int
    #: OpenCV's conversion to BGR; None where there is nothing to convert.
    conversion: Optional[int]
    #: Bytes of colour in rows of their own, as a share of those of the image's rows.
    more: float = 0.0
    #: Width and height are multiples of these, since neighbours share their colours.
    shared: Tuple[int, int] = (1, 1)
    #: Fewer pixels a side cannot be read.
    least_px: int = 1


#: Encodings as sensor_msgs/image_encodings.hpp names them. The colours of YUV are BT.601 of limited range, as cameras
#: and video drivers mean them. OpenCV names a Bayer pattern by the second row and column, ROS by the first.
_LAYOUTS = {
    'bgr8': _Layout(3, 1, None),
    'rgb8': _Layout(3, 1, cv2.COLOR_RGB2BGR),
    'bgra8': _Layout(4, 1, cv2.COLOR_BGRA2BGR),
    'rgba8': _Layout(4, 1, cv2.COLOR_RGBA2BGR),
    '8UC3': _Layout(3, 1, None),  # cv_bridge takes it for BGR too
    'mono8': _Layout(1, 1, cv2.COLOR_GRAY2BGR),
    'mono16': _Layout(1, 2, cv2.COLOR_GRAY2BGR),
    'bgr16': _Layout(3, 2, None),
    'rgb16': _Layout(3, 2, cv2.COLOR_RGB2BGR),
    'bayer_rggb8': _Layout(1, 1, cv2.COLOR_BayerBG2BGR, least_px=3),
    'bayer_bggr8': _Layout(1, 1, cv2.COLOR_BayerRG2BGR, least_px=3),
    'bayer_gbrg8': _Layout(1, 1, cv2.COLOR_BayerGR2BGR, least_px=3),
    'bayer_grbg8': _Layout(1, 1, cv2.COLOR_BayerGB2BGR, least_px=3),
    'uyvy': _Layout(2, 1, cv2.COLOR_YUV2BGR_UYVY, shared=(2, 1)),
    'yuv422': _Layout(2, 1, cv2.COLOR_YUV2BGR_UYVY, shared=(2, 1)),
    'yuyv': _Layout(2, 1, cv2.COLOR_YUV2BGR_YUY2, shared=(2, 1)),
    'yuv422_yuy2': _Layout(2, 1, cv2.COLOR_YUV2BGR_YUY2, shared=(2, 1)),
    'nv12': _Layout(1, 1, cv2.COLOR_YUV2BGR_NV12, more=0.5, shared=(2, 2)),
    'nv21': _Layout(1, 1, cv2.COLOR_YUV2BGR_NV21, more=0.5, shared=(2, 2)),
    'nv24': _Layout(1, 1, None, more=2.0),
    'bayer_rggb16': _Layout(1, 2, cv2.COLOR_BayerBG2BGR, least_px=3),
    'bayer_bggr16': _Layout(1, 2, cv2.COLOR_BayerRG2BGR, least_px=3),
    'bayer_gbrg16': _Layout(1, 2, cv2.COLOR_BayerGR2BGR, least_px=3),
    'bayer_grbg16': _Layout(1, 2, cv2.COLOR_BayerGB2BGR, least_px=3),
}

#: The encodings that `decode_image` reads by itself.
ENCODINGS = tuple(_LAYOUTS)
_ENCODINGS_TEXT = ', '.join([each for each in ENCODINGS if 'bayer' not in each] + ['bayer_*8', 'bayer_*16'])

#: So many of 16 bits do cameras use, where they do not use all: those of the sensor's converter.
_SENSOR_BITS = (10, 12, 14, 16)
#: A stream uses fewer bits again after so many images that needed no more: 10 s to a minute.
_FALL_AFTER = 300

#: Y, U, V of limited range -> B, G, R. Source: ITU-R BT.601.
_BT_601 = np.array([[255 / 219.0, 1.772 * 255 / 224.0, 0.0],
                    [255 / 219.0, -0.114 / 0.587 * 1.772 * 255 / 224.0, -0.299 / 0.587 * 1.402 * 255 / 224.0],
                    [255 / 219.0, 0.0, 1.402 * 255 / 224.0]])
_BT_601 = np.column_stack([_BT_601, -_BT_601.dot([16.0, 128.0, 128.0])])

#: Encodings whose colours follow the brightness in rows of their own: `height` rows are not all there is.
_MORE_ROWS = re.compile(r'(nv[0-9]{2}|i420|iyuv|yv12|yu12|yuv420)', re.IGNORECASE)

#: Encodings such as 32FC1: they tell type and number of channels, not what these mean; mostly depth.
_UNNAMED = re.compile(r'(8|16|32|64)[USF]C[0-9]*\Z')


class UsedBits:
    """How many bits of 16 the images of one stream use, found from their largest values.

    A sensor of 10 bits that fills the low ones gives values up to 1023: taken for 16 bits, its pictures are black.
    Brighter images raise the number at once, darker ones lower it only when they have lasted: the light may go out.
    """

    def __init__(self):
        """Know nothing yet."""
        self._streams = {}

    def of(self, encoding: str, brightest: int) -> int:
        """Take an image into account.

        :param encoding: of the image; each has a number of its own.
        :param brightest: its largest value, 0 to 65535.
        :returns: 10, 12, 14 or 16.
        """
        needed = next(bits for bits in _SENSOR_BITS if brightest < 1 << bits)
        bits, darker, most = self._streams.get(encoding, (0, 0, 0))
        if needed >= bits:
            bits, darker, most = needed, 0, 0
        else:
            darker, most = darker + 1, max(most, needed)
            if darker >= _FALL_AFTER:
                bits, darker, most = most, 0, 0
        self._streams[encoding] = bits, darker, most
        return bits


def light_range(image: np.ndarray) -> Tuple[int, int]:
    """Look at a few hundred pixels for the darkest and the brightest.

    :param image: (H, W, 3) uint8 BGR.
    :returns: least and largest value of any channel, 0 to 255.
    """
    some = image[::max(1, image.shape[0] // 32), ::max(1, image.shape[1] // 32)]
    return int(some.min()), int(some.max())


def decode_image(pixels, height: int, width: int, step: int, encoding: str, is_bigendian: bool = False,
                 fallback: Optional[Callable[[], np.ndarray]] = None,
                 used_bits: Optional[Callable[[str, int], int]] = None) -> np.ndarray:
    """Read the fields of a sensor_msgs/Image, all of them checked before a pixel is touched.

    :param pixels: the rows as bytes, array.array('B') or (M,) uint8: height x step bytes. nv12 and nv21 have half as
        many again behind them, nv24 twice as many; how many another encoding for the fallback has is its own affair.
    :param height: rows, at least 1 (3 for bayer); even for nv12 and nv21.
    :param width: pixels a row, at least 1 (3 for bayer); even where two neighbours share their colours.
    :param step: bytes from one row to the next; those after the row's pixels are padding.
    :param encoding: one of ENCODINGS.
    :param is_bigendian: byte order; it matters, and is checked, for channels of 16 bits alone.
    :param fallback: called without arguments for another colour encoding (the ROS side passes cv_bridge); returns
        (H, W, 3) uint8 BGR, which is checked, or raises BadImage. None refuses the encoding.
    :param used_bits: called for an image of 16 bits with its encoding and its largest value; returns how many of the
        bits, 8 to 16, make the range that becomes 0 to 255: `of` of the stream's UsedBits. None for all 16.
    :returns: (H, W, 3) uint8 BGR, contiguous and its own memory: a frame outlives the message that brought it.
    :raises BadImage: naming what was expected and what came.
    """
    height, width = _side(height, 'height'), _side(width, 'width')
    step = _whole(step, 'step')
    if height * width > MAX_PIXELS:
        raise BadImage(f'expected {MAX_PIXELS} pixels at most, got {width} x {height}; correct the driver')
    if not isinstance(encoding, str):
        raise BadImage(f'expected the encoding as text, got {encoding!r}')
    if encoding not in _LAYOUTS:
        return _decode_elsewhere(pixels, encoding, height, width, step, fallback)
    layout = _LAYOUTS[encoding]
    _check_size(layout, encoding, height, width)
    least = width * layout.channels * layout.depth
    if step < least:
        raise BadImage(f'expected a step of at least {least} bytes for {width} pixels of {encoding}, got {step}; '
                       'correct the driver')
    if layout.depth > 1 and is_bigendian not in (0, 1):
        raise BadImage(f'expected is_bigendian to be 0 or 1, got {is_bigendian!r}; correct the driver')
    octets = _rows(pixels, height, step, int(height * step * layout.more))
    if encoding == 'nv24':
        return _decode_nv24(octets, height, width, step)
    rows = octets.reshape(-1, step)[:, :least]
    if layout.depth == 2:
        values = np.ascontiguousarray(rows).view('>u2' if is_bigendian else '<u2')
        rows = in_eight_bits(values, encoding, used_bits)
    channels = rows.reshape(len(rows), width, layout.channels) if layout.channels > 1 else rows
    return channels.copy() if layout.conversion is None else cv2.cvtColor(channels, layout.conversion)


def in_eight_bits(values: np.ndarray, encoding: str, used_bits: Optional[Callable[[str, int], int]] = None):
    """Bring values of 16 bits into the range from 0 to 255.

    :param values: array of uint16 in either byte order, one value at least.
    :param encoding: what `used_bits` is told.
    :param used_bits: see :func:`decode_image`.
    :returns: array of uint8, of the same shape.
    """
    bits = max(used_bits(encoding, int(values.max())), 8) if used_bits else 16
    return (np.minimum(values, (1 << bits) - 1) >> (bits - 8)).astype(np.uint8)


def _check_size(layout, encoding, height, width):
    for side, name, multiple in ((width, 'width', layout.shared[0]), (height, 'height', layout.shared[1])):
        if side % multiple or side < layout.least_px:
            wanted = f'a multiple of {multiple}' if side % multiple else f'at least {layout.least_px}'
            raise BadImage(f'expected {wanted} as {name} of an image in {encoding}, got {side}; correct the driver')


def _decode_nv24(octets, height, width, step) -> np.ndarray:
    """Convert what OpenCV cannot: brightness in rows of `step`, then U and V of every pixel in rows of twice that."""
    planes = np.empty((height, width, 3), np.uint8)
    planes[:, :, 0] = np.maximum(octets[:height * step].reshape(height, step)[:, :width], 16)
    planes[:, :, 1:] = octets[height * step:].reshape(height, 2 * step)[:, :2 * width].reshape(height, width, 2)
    return cv2.transform(planes, _BT_601)


def check_image(image: np.ndarray) -> np.ndarray:
    """Refuse what is not a picture for the pipeline.

    :param image: (H, W, 3) uint8 BGR, H and W at least 1.
    :returns: the same array.
    :raises BadImage: naming what was expected and what came.
    """
    expected = 'expected an array of shape (H, W, 3), uint8, BGR, of one pixel at least'
    if not isinstance(image, np.ndarray):
        hint = '; was the file read at all?' if image is None else ''
        raise BadImage(f'{expected}, got {type(image).__name__}{hint}')
    if image.dtype != np.uint8:
        raise BadImage(f'{expected}, got {image.dtype}; scale to 0..255 and convert it')
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise BadImage(f'{expected}, got shape {image.shape}')
    return image


def _decode_elsewhere(pixels, encoding, height, width, step, fallback) -> np.ndarray:
    """Hand an encoding that is not in the table to the caller's converter, if it can be a colour picture at all.

    The converter may trust step and length as far as they can be told without knowing the encoding: no colour takes
    less than one byte a pixel in the rows of the image itself.
    """
    if _UNNAMED.match(encoding):
        raise BadImage(f'expected a camera picture, in bgr8 for example, got {encoding[:40]!r}, which does not say '
                       'what its channels mean (depth?); connect the colour image, or name its encoding in the driver')
    if fallback is None:
        raise BadImage(f'expected one of {_ENCODINGS_TEXT}, got {encoding[:40]!r}; let the driver convert, or '
                       'install cv_bridge')
    if step < width:
        raise BadImage(f'expected a step of at least {width} bytes for {width} pixels of {encoding[:40]!r}, got '
                       f'{step}; correct the driver')
    _rows(pixels, height, step, None if _MORE_ROWS.match(encoding) else 0)
    image = check_image(fallback())
    if image.shape[:2] != (height, width):
        raise BadImage(f'expected {height} x {width} pixels out of {encoding[:40]!r}, got {image.shape[:2]} from the '
                       'converter')
    return np.array(image, order='C')


def _whole(value, name: str) -> int:
    """Take a Python integer: products of those never overflow."""
    try:
        whole = operator.index(value)
    except TypeError:
        raise BadImage(f'expected a whole number as {name}, got {value!r}') from None
    return whole


def _side(value, name: str) -> int:
    whole = _whole(value, name)
    if not 1 <= whole <= MAX_SIDE_PX:
        raise BadImage(f'expected a {name} of 1 to {MAX_SIDE_PX} pixels, got {whole}; correct the driver')
    return whole


def _rows(pixels, height: int, step: int, more: Optional[int] = 0) -> np.ndarray:
    """View a buffer of `height` rows of `step` bytes and so many bytes more; None allows any number of those."""
    octets = _octets(pixels)
    wanted = height * step + (more or 0)
    if len(octets) < wanted or (len(octets) > wanted and more is not None):
        besides = f', and {more} of colour' if more else ''
        raise BadImage(f'expected {wanted} bytes{" or more" if more is None else ""} ({height} rows of {step}'
                       f'{besides}), got {len(octets)}; correct the driver, or look for a transport that cuts messages')
    return octets


def _octets(pixels) -> np.ndarray:
    """View any buffer of bytes as (M,) uint8, uncopied."""
    try:
        view = memoryview(pixels)
    except (TypeError, ValueError):  # ValueError: an array of a type that has no buffer format
        raise BadImage(f'expected the pixels as a buffer of bytes, got {type(pixels).__name__}') from None
    if view.itemsize != 1 or not view.contiguous:
        raise BadImage(f'expected the pixels as contiguous bytes, got items of format {view.format!r} and '
                       f'{view.itemsize} bytes')
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)
