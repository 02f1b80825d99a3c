"""Decode the fields of a sensor_msgs/Image into a BGR array, or raise BadImage."""

import operator
import re
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadImage

#: Maximum side: limit of OpenCV's warpAffine, and more than any camera has.
MAX_SIDE_PX = (1 << 15) - 2

#: Maximum number of pixels: 192 MiB as BGR, more than any robot's camera has.
MAX_PIXELS = 1 << 26


class _Layout(NamedTuple):
    """The pixel layout of an encoding.

    :param channels: interleaved channels of one pixel, without chroma rows.
    :param depth: bytes of one channel.
    :param conversion: OpenCV's conversion to BGR; None for none.
    :param more: bytes of separate chroma rows, as a share of the other rows' bytes.
    :param shared: (x, y) chroma subsampling: width and height are multiples of these.
    :param least_px: minimum width and height.
    """

    channels: int
    depth: int
    conversion: Optional[int]
    more: float = 0.0
    shared: Tuple[int, int] = (1, 1)
    least_px: int = 1


#: Encodings of sensor_msgs/image_encodings.hpp. YUV is BT.601 with limited range, as cameras and video drivers use it.
#: OpenCV names a Bayer pattern by the second row and column, ROS by the first.
_LAYOUTS: Dict[str, _Layout] = {
    'bgr8': _Layout(3, 1, None),
    'rgb8': _Layout(3, 1, cv2.COLOR_RGB2BGR),
    'bgra8': _Layout(4, 1, cv2.COLOR_BGRA2BGR),
    'rgba8': _Layout(4, 1, cv2.COLOR_RGBA2BGR),
    '8UC3': _Layout(3, 1, None),  # cv_bridge treats it as BGR, too
    'mono8': _Layout(1, 1, cv2.COLOR_GRAY2BGR),
    '8UC1': _Layout(1, 1, cv2.COLOR_GRAY2BGR),  # infrared and monochrome cameras; depth has more bits
    'mono16': _Layout(1, 2, cv2.COLOR_GRAY2BGR),
    'bgr16': _Layout(3, 2, None),
    'rgb16': _Layout(3, 2, cv2.COLOR_RGB2BGR),
    'uyvy': _Layout(2, 1, cv2.COLOR_YUV2BGR_UYVY, shared=(2, 1)),
    'yuv422': _Layout(2, 1, cv2.COLOR_YUV2BGR_UYVY, shared=(2, 1)),
    'yuyv': _Layout(2, 1, cv2.COLOR_YUV2BGR_YUY2, shared=(2, 1)),
    'yuv422_yuy2': _Layout(2, 1, cv2.COLOR_YUV2BGR_YUY2, shared=(2, 1)),
    'nv12': _Layout(1, 1, cv2.COLOR_YUV2BGR_NV12, more=0.5, shared=(2, 2)),
    'nv21': _Layout(1, 1, cv2.COLOR_YUV2BGR_NV21, more=0.5, shared=(2, 2)),
    'nv24': _Layout(1, 1, None, more=2.0),
}
_BAYER = (
    ('rggb', cv2.COLOR_BayerBG2BGR),
    ('bggr', cv2.COLOR_BayerRG2BGR),
    ('gbrg', cv2.COLOR_BayerGR2BGR),
    ('grbg', cv2.COLOR_BayerGB2BGR),
)
for _pattern, _conversion in _BAYER:
    _LAYOUTS['bayer_%s8' % _pattern] = _Layout(1, 1, _conversion, least_px=3)
    _LAYOUTS['bayer_%s16' % _pattern] = _Layout(1, 2, _conversion, least_px=3)

#: Encodings that `decode_image` decodes without its fallback.
ENCODINGS = tuple(_LAYOUTS)
_ENCODINGS_TEXT = ', '.join([each for each in ENCODINGS if 'bayer' not in each] + ['bayer_*8', 'bayer_*16'])

#: Significant bits of 16-bit images: the resolution of the sensor's converter.
_SENSOR_BITS = (10, 12, 14, 16)
#: The number of bits is lowered after this many images that need fewer: 10 s to a minute.
_FALL_AFTER = 300

#: Y, U, V of limited range -> B, G, R. Source: ITU-R BT.601.
_BT_601 = np.array(
    [
        [255 / 219.0, 1.772 * 255 / 224.0, 0.0],
        [255 / 219.0, -0.114 / 0.587 * 1.772 * 255 / 224.0, -0.299 / 0.587 * 1.402 * 255 / 224.0],
        [255 / 219.0, 0.0, 1.402 * 255 / 224.0],
    ]
)
_BT_601 = np.column_stack([_BT_601, -_BT_601.dot([16.0, 128.0, 128.0])])

#: Encodings with chroma rows after the `height` rows of luma.
_MORE_ROWS = re.compile(r'(nv[0-9]{2}|i420|iyuv|yv12|yu12|yuv420)', re.IGNORECASE)

#: Encodings without channel names, such as 32FC1: mostly depth.
_UNNAMED = re.compile(r'(8|16|32|64)[USF]C[0-9]*\Z')


class UsedBits:
    """Estimate the number of significant bits in a stream's 16-bit images, from their largest values.

    A 10-bit sensor may give values up to 1023: scaled as 16 bits, its images would be black. Brighter images raise the
    number at once; darker ones lower it only after a while, since the scene may just be dark.
    """

    def __init__(self) -> None:
        self._streams: Dict[str, Tuple[int, int, int]] = {}

    def of(self, encoding: str, brightest: int) -> int:
        """Update the number with an image.

        :param encoding: of the image; each has its own number.
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
    """Return the smallest and the largest value in a sample of about a thousand pixels.

    :param image: (H, W, 3) uint8 BGR.
    """
    some = image[:: max(1, image.shape[0] // 32), :: max(1, image.shape[1] // 32)]
    return int(some.min()), int(some.max())


def decode_image(
    pixels: Any,
    height: int,
    width: int,
    step: int,
    encoding: str,
    is_bigendian: bool = False,
    fallback: Optional[Callable[[], np.ndarray]] = None,
    used_bits: Optional[Callable[[str, int], int]] = None,
) -> np.ndarray:
    """Check and decode the fields of a sensor_msgs/Image.

    :param pixels: bytes, array.array('B') or (M,) uint8: height x step bytes, followed by half as many for nv12 and
        nv21, twice as many for nv24, and any number for encodings of the fallback.
    :param height: rows, at least 1 (3 for bayer); even for nv12 and nv21.
    :param width: pixels per row, at least 1 (3 for bayer); even with chroma subsampling.
    :param step: bytes from one row to the next, padding included.
    :param encoding: one of ENCODINGS.
    :param is_bigendian: byte order of 16-bit channels; checked for those only.
    :param fallback: called for another colour encoding (the node passes cv_bridge); returns (H, W, 3) uint8 BGR or
        raises BadImage. None refuses the encoding.
    :param used_bits: called for a 16-bit image with its encoding and its largest value; returns the number of
        significant bits, 8 to 16: method `of` of the stream's UsedBits. None for 16.
    :returns: (H, W, 3) uint8 BGR, contiguous; a copy, since a frame outlives its message.
    :raises BadImage: naming what was expected and what came.
    """
    height, width = _side(height, 'height'), _side(width, 'width')
    step = _integer(step, 'step')
    if height * width > MAX_PIXELS:
        raise BadImage(f'expected {MAX_PIXELS} pixels at most, got {width} x {height}; correct the driver')
    if not isinstance(encoding, str):
        raise BadImage(f'expected the encoding as text, got {encoding!r}')
    if encoding not in _LAYOUTS:
        return _decode_with_fallback(pixels, encoding, height, width, step, fallback)
    layout = _LAYOUTS[encoding]
    _check_size(layout, encoding, height, width)
    least = width * layout.channels * layout.depth
    if step < least:
        raise BadImage(
            f'expected a step of at least {least} bytes for {width} pixels of {encoding}, got {step}; '
            'correct the driver'
        )
    if layout.depth > 1 and is_bigendian not in (0, 1):
        raise BadImage(f'expected is_bigendian to be 0 or 1, got {is_bigendian!r}; correct the driver')
    content = _rows(pixels, height, step, int(height * step * layout.more))
    if encoding == 'nv24':
        return _decode_nv24(content, height, width, step)
    rows = content.reshape(-1, step)[:, :least]
    if layout.depth == 2:
        values = np.ascontiguousarray(rows).view('>u2' if is_bigendian else '<u2')
        rows = to_eight_bits(values, encoding, used_bits)
    channels = rows.reshape(len(rows), width, layout.channels) if layout.channels > 1 else rows
    return channels.copy() if layout.conversion is None else cv2.cvtColor(channels, layout.conversion)


def to_eight_bits(
    values: np.ndarray, encoding: str, used_bits: Optional[Callable[[str, int], int]] = None
) -> np.ndarray:
    """Scale 16-bit values to 8 bits.

    :param values: array of uint16 in either byte order, with one value at least.
    :param encoding: argument of `used_bits`.
    :param used_bits: see :func:`decode_image`.
    :returns: array of uint8, of the same shape.
    """
    bits = max(used_bits(encoding, int(values.max())), 8) if used_bits else 16
    return (np.minimum(values, (1 << bits) - 1) >> (bits - 8)).astype(np.uint8)


def _check_size(layout: _Layout, encoding: str, height: int, width: int) -> None:
    for side, name, multiple in ((width, 'width', layout.shared[0]), (height, 'height', layout.shared[1])):
        if side % multiple or side < layout.least_px:
            wanted = f'a multiple of {multiple}' if side % multiple else f'at least {layout.least_px}'
            raise BadImage(f'expected {wanted} as {name} of an image in {encoding}, got {side}; correct the driver')


def _decode_nv24(content: np.ndarray, height: int, width: int, step: int) -> np.ndarray:
    """Convert nv24, which OpenCV does not know: luma in rows of `step`, then U and V of each pixel in rows of twice."""
    planes = np.empty((height, width, 3), np.uint8)
    planes[:, :, 0] = np.maximum(content[: height * step].reshape(height, step)[:, :width], 16)
    planes[:, :, 1:] = content[height * step :].reshape(height, 2 * step)[:, : 2 * width].reshape(height, width, 2)
    return cv2.transform(planes, _BT_601)


def check_image(image: np.ndarray) -> np.ndarray:
    """Check an image for the pipeline: (H, W, 3) uint8 BGR, with sides of 1 to MAX_SIDE_PX.

    :returns: the image; if it is not contiguous, a copy that is, since OpenCV would copy it in each call.
    :raises BadImage: naming what was expected and what came.
    """
    expected = f'expected an array of shape (H, W, 3), uint8, BGR, with sides of 1 to {MAX_SIDE_PX} pixels'
    if not isinstance(image, np.ndarray):
        hint = '; was the file read at all?' if image is None else ''
        raise BadImage(f'{expected}, got {type(image).__name__}{hint}')
    if image.dtype != np.uint8:
        raise BadImage(f'{expected}, got {image.dtype}; scale to 0..255 and convert it')
    if image.ndim != 3 or image.shape[2] != 3 or not image.size or max(image.shape) > MAX_SIDE_PX:
        raise BadImage(
            f'{expected}, got shape {image.shape}; convert gray or BGRA with cv2.cvtColor, shrink a larger one'
        )
    return np.ascontiguousarray(image)


def _decode_with_fallback(
    pixels: Any, encoding: str, height: int, width: int, step: int, fallback: Optional[Callable[[], np.ndarray]]
) -> np.ndarray:
    """Decode an encoding that is not in the table with the caller's converter.

    Step and length are checked as far as possible: every colour encoding has at least one byte per pixel in its rows.
    """
    if _UNNAMED.match(encoding):
        raise BadImage(
            f'expected a camera picture, in bgr8 for example, got {encoding[:40]!r}, which does not say '
            'what its channels mean (depth?); connect the colour image, or name its encoding in the driver'
        )
    if fallback is None:
        raise BadImage(
            f'expected one of {_ENCODINGS_TEXT}, got {encoding[:40]!r}; correct the driver, or install cv_bridge'
        )
    if step < width:
        raise BadImage(
            f'expected a step of at least {width} bytes for {width} pixels of {encoding[:40]!r}, got '
            f'{step}; correct the driver'
        )
    _rows(pixels, height, step, None if _MORE_ROWS.match(encoding) else 0)
    image = check_image(fallback())
    if image.shape[:2] != (height, width):
        raise BadImage(
            f'expected {height} x {width} pixels out of {encoding[:40]!r}, got {image.shape[:2]} from the converter'
        )
    return np.array(image, order='C')


def _integer(value: Any, name: str) -> int:
    """Convert to a Python int, whose products cannot overflow."""
    try:
        return operator.index(value)
    except TypeError:
        raise BadImage(f'expected an integer as {name}, got {value!r}') from None


def _side(value: Any, name: str) -> int:
    side = _integer(value, name)
    if not 1 <= side <= MAX_SIDE_PX:
        raise BadImage(f'expected a {name} of 1 to {MAX_SIDE_PX} pixels, got {side}; correct the driver')
    return side


def _rows(pixels: Any, height: int, step: int, more: Optional[int]) -> np.ndarray:
    """View a buffer of `height` rows of `step` bytes, and `more` bytes after them (None: any number)."""
    content = byte_view(pixels)
    wanted = height * step + (more or 0)
    if len(content) < wanted or (len(content) > wanted and more is not None):
        besides = f', and {more} of colour' if more else ''
        raise BadImage(
            f'expected {wanted} bytes{" or more" if more is None else ""} ({height} rows of {step}'
            f'{besides}), got {len(content)}; check the driver, and the transport for truncated messages'
        )
    return content


def byte_view(pixels: Any) -> np.ndarray:
    """View a buffer of bytes as (M,) uint8, without a copy.

    :raises BadImage: if it is not a contiguous buffer of bytes.
    """
    try:
        view = memoryview(pixels)
    except (TypeError, ValueError):  # ValueError: an array of a type that has no buffer format
        raise BadImage(f'expected the pixels as a buffer of bytes, got {type(pixels).__name__}') from None
    if view.itemsize != 1 or not view.contiguous:
        raise BadImage(
            f'expected the pixels as contiguous bytes, got items of format {view.format!r} and {view.itemsize} bytes'
        )
    return np.frombuffer(view, np.uint8) if view.nbytes else np.empty(0, np.uint8)
