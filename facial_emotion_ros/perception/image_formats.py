"""Detect type and size of picture files from their headers; list the suffixes that OpenCV reads."""

import re
import struct
from typing import Callable, Dict, List, NamedTuple, Tuple

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.image_headers import JPEG_HEAD, PNG_HEAD, Header, check_jpeg, check_png, check_size

#: Suffixes of picture files that are read; the last three only by some builds of OpenCV.
PICTURE_SUFFIXES = tuple(
    '.jpg .jpeg .jpe .jfif .png .bmp .dib .webp .tif .tiff .ppm .pgm .pbm .pnm .jp2 .gif .avif'.split()
)

#: Suffixes of picture files that OpenCV does not read.
UNREAD_SUFFIXES = tuple('.heic .heif .hif .jxl .apng .svg .psd .xcf .dng .cr2 .cr3 .nef .arw .raf .orf .rw2'.split())

#: Advice for a file that cannot be read.
CONVERT = 'convert it to JPEG or PNG'

_VIDEO = 'expected a picture file that OpenCV reads, got a video; pass it as one, for example with --video'

#: ISO base media file brands of AVIF and HEIC. Source: ISO/IEC 23008-12, the AVIF specification.
_AVIF_BRANDS = (b'avif', b'avis')
_HEIF_BRANDS = (b'heic', b'heix', b'hevc', b'hevx', b'heim', b'heis', b'mif1', b'msf1')

#: First bytes of a JPEG 2000 codestream: SOC and SIZ markers.
_CODESTREAM = b'\xff\x4f\xff\x51'

#: One white-space character at a time: `\s+` in a repeated group would backtrack exponentially.
_PNM = re.compile(rb'P[1-6](?:\s|#[^\n]*\n)+(\d{1,9})(?:\s|#[^\n]*\n)+(\d{1,9})\s')


class _Kind(NamedTuple):
    """A file type: its name, and a function that returns height and width."""

    name: str
    size_of: Callable[[bytes], Tuple[int, int]]


def check_picture(content: bytes) -> Header:
    """Parse a picture file's header; refuse a file that is damaged, too large, or of a type that OpenCV does not read.

    :raises BadImage: with the reason.
    """
    if not content:
        raise BadImage('expected a picture file, got an empty one')
    if content.startswith(JPEG_HEAD):
        return check_jpeg(content)
    if content.startswith(PNG_HEAD):
        return check_png(content)
    kind = _kind_of(content)
    try:
        height, width = kind.size_of(content)
    except (struct.error, ValueError, IndexError):
        raise BadImage('expected a complete %s file, got one with a damaged header' % kind.name) from None
    check_size(height, width)
    return Header(height, width, content)


def _kind_of(content: bytes) -> _Kind:
    for head, kind in _KINDS.items():
        if content.startswith(head):
            return kind
    if content[8:12] == b'WEBP':
        return _Kind('WebP', _webp_size)
    if content[4:8] == b'ftyp':
        length = struct.unpack_from('>I', content)[0]
        brands = {content[at : at + 4] for at in range(8, min(length, 256), 4)}
        if brands.intersection(_AVIF_BRANDS):
            return _Kind('AVIF', _avif_size)
        if brands.intersection(_HEIF_BRANDS):
            raise BadImage('expected a picture file that OpenCV reads, got a HEIC file; %s' % CONVERT)
        raise BadImage(_VIDEO)
    if content[8:12] == b'AVI ' or content.startswith(b'\x1aE\xdf\xa3'):  # Matroska, WebM
        raise BadImage(_VIDEO)
    if _PNM.match(content):
        return _Kind('PNM', _pnm_size)
    raise BadImage(
        'expected a picture file that OpenCV reads, got one that begins with %r; %s' % (content[:8], CONVERT)
    )


def _bmp_size(content: bytes) -> Tuple[int, int]:
    if struct.unpack_from('<I', content, 14)[0] == 12:
        width, height = struct.unpack_from('<HH', content, 18)
    else:
        width, height = struct.unpack_from('<ii', content, 18)
    return abs(height), width  # negative: rows are stored from the top


def _gif_size(content: bytes) -> Tuple[int, int]:
    width, height = struct.unpack_from('<HH', content, 6)
    return height, width


def _webp_size(content: bytes) -> Tuple[int, int]:
    kind = content[12:16]
    if kind == b'VP8X':
        across, across_high, down, down_high = struct.unpack_from('<HBHB', content, 24)
        return (down_high << 16 | down) + 1, (across_high << 16 | across) + 1
    if kind == b'VP8L':
        (bits,) = struct.unpack_from('<I', content, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind != b'VP8 ':
        raise ValueError
    width, height = struct.unpack_from('<HH', content, 26)
    return height & 0x3FFF, width & 0x3FFF


def _tiff_size(content: bytes) -> Tuple[int, int]:
    order = '<' if content[:2] == b'II' else '>'
    (place,) = struct.unpack_from(order + 'I', content, 4)
    (count,) = struct.unpack_from(order + 'H', content, place)
    found: Dict[int, int] = {}
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + 'HH', content, entry)
        if tag in (256, 257):
            (found[tag],) = struct.unpack_from(order + {3: 'H', 4: 'I'}.get(kind, 'I'), content, entry + 8)
    return found.get(257, 0), found.get(256, 0)


def _pnm_size(content: bytes) -> Tuple[int, int]:
    found = _PNM.match(content)
    assert found is not None  # by _kind_of
    return int(found.group(2)), int(found.group(1))


def _jp2_size(content: bytes) -> Tuple[int, int]:
    """Read the SIZ segment of the codestream, after the boxes. Source: ITU-T T.800, A.5.1 and I.4."""
    place = 0
    while content[place : place + 4] != _CODESTREAM:
        length, kind = struct.unpack_from('>I4s', content, place)
        head = 8
        if length == 1:
            length, head = struct.unpack_from('>Q', content, place + 8)[0], 16
        if kind == b'jp2c':
            place += head
            break
        if not head <= length <= len(content):  # 0 is the last box
            raise ValueError
        place += length
    if content[place : place + 4] != _CODESTREAM:
        raise ValueError
    right, bottom, left, top = struct.unpack_from('>4I', content, place + 8)
    return bottom - top, right - left


def _avif_size(content: bytes) -> Tuple[int, int]:
    """Return the largest size among the items: tiles, previews, and the whole image."""
    sizes: List[Tuple[int, int]] = []
    for found in re.finditer(b'ispe\0\0\0\0', content[: 1 << 20]):
        width, height = struct.unpack_from('>II', content, found.end())
        sizes.append((height, width))
    return max(sizes, key=lambda size: size[0] * size[1])


#: First bytes -> type.
_KINDS: Dict[bytes, _Kind] = {
    b'BM': _Kind('BMP', _bmp_size),
    b'GIF8': _Kind('GIF', _gif_size),
    b'II*\0': _Kind('TIFF', _tiff_size),
    b'MM\0*': _Kind('TIFF', _tiff_size),
    b'\0\0\0\x0cjP  \r\n': _Kind('JPEG 2000', _jp2_size),
    _CODESTREAM: _Kind('JPEG 2000', _jp2_size),
}
