"""Check JPEG and PNG files before decoding: size, completeness, and decoding effort.

A few kilobytes may expand to gigabytes, or take minutes to decode. So each file's size, scans and end are parsed as its
decoder does it.
"""

import re
import struct
import zlib
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.image_decoding import MAX_PIXELS, MAX_SIDE_PX
from facial_emotion_ros.perception.truncated_jpeg import ScanData

#: Maximum number of scans of a progressive JPEG. Encoders write 6 to 20.
MAX_SCANS = 100

#: Maximum of pixels times scans, about 1 s of decoding: 16 scans at 67 megapixels, 53 at 20.
MAX_SCAN_PIXELS = 1 << 30

#: Maximum size of a decoded PNG in bytes: 67 megapixels of 4 bytes.
MAX_PNG_BYTES = 1 << 28

#: Maximum number of JPEG segments or PNG chunks, far more than any encoder writes.
MAX_PARTS = 1 << 16

JPEG_HEAD = b'\xff\xd8\xff'
PNG_HEAD = b'\x89PNG\r\n\x1a\n'

#: A marker as libjpeg parses it: neither fill bytes (FF) nor stuffed ones (00). Restart markers are part of the data.
_MARKER = re.compile(b'\xff[\x01-\xcf\xd8-\xfe]')
_RESTART = re.compile(b'\xff([\xd0-\xd7])')
_RESTARTS = bytes(range(0xD0, 0xD8))

#: Markers, and those that libjpeg refuses. Source: ITU-T T.81, table B.1.
_ALONE, _SECOND_HEAD, _END, _SCAN, _RESTART_INTERVAL = 0x01, 0xD8, 0xD9, 0xDA, 0xDD
_TABLES, _EXIF = 0xC4, 0xE1
_NO_SEGMENTS = frozenset(range(0x02, 0xC0)) | frozenset(range(0xF0, 0xFE)) | {0xDE, 0xDF}

#: Frame headers (SOF), and those that OpenCV reads: sequential (C0, C1, C9) and progressive (C2, CA).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READ_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_HUFFMAN_SEQUENTIAL = (0xC0, 0xC1)

#: Colour type of a PNG -> number of channels.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Header(NamedTuple):
    """The header of a picture file.

    :param height, width: in pixels.
    :param content: the bytes that the decoder needs.
    :param scan: of a sequential JPEG with one scan and no restart markers; else None.
    :param may_turn: whether it has EXIF, which may rotate the picture.
    """

    height: int
    width: int
    content: bytes
    scan: Optional[ScanData] = None
    may_turn: bool = False


class _Frame(NamedTuple):
    """A JPEG's frame header; components: identifier -> horizontal and vertical blocks of one MCU."""

    kind: int
    height: int
    width: int
    components: Dict[int, Tuple[int, int]]

    def blocks(self, identifiers: Sequence[int]) -> Tuple[int, int]:
        """Return the number of MCUs and of blocks in a scan of these components. Source: ITU-T T.81, A.2."""
        most_across = max(across for across, _ in self.components.values())
        most_down = max(down for _, down in self.components.values())
        if len(identifiers) == 1:
            across, down = self.components[identifiers[0]]
            units = _ceil(_ceil(self.width * across, most_across), 8) * _ceil(_ceil(self.height * down, most_down), 8)
            return units, units
        units = _ceil(self.width, 8 * most_across) * _ceil(self.height, 8 * most_down)
        return units, units * sum(across * down for across, down in (self.components[each] for each in identifiers))


def check_jpeg(content: bytes) -> Header:
    """Parse a JPEG as libjpeg does, up to the end of its first picture.

    Data after that (line ends of an HTTP stream, fill bytes, the video of a motion photo) is ignored. Bit errors in the
    pixels are detected only where they create or destroy a marker.

    :raises BadImage: if it is truncated, damaged, or takes more effort to decode than any camera's picture.
    """
    parser = _JpegParser(content)
    for _ in range(MAX_PARTS):
        if parser.step():
            break
    else:
        raise BadImage('expected a JPEG file of %d segments at most, got more' % MAX_PARTS)
    if parser.frame is None or not parser.scans:
        raise _damaged('pixels before its end')
    return Header(parser.frame.height, parser.frame.width, content[: parser.place], parser.data, parser.may_turn)


class _JpegParser:
    """Parser state: the position in a JPEG file, and what was read so far."""

    def __init__(self, content: bytes) -> None:
        self.content, self.place = content, 2
        self.frame: Optional[_Frame] = None
        self.scans, self.restart_interval = 0, 0
        self.tables: List[bytes] = []
        self.data: Optional[ScanData] = None
        self.may_turn = False

    def step(self) -> bool:
        """Parse the next marker and its segment; return True at the picture's end."""
        found = _MARKER.search(self.content, self.place)
        if found is None:
            raise self.cut()
        marker, self.place = self.content[found.end() - 1], found.end()
        if marker == _END:
            if self.frame is None:
                raise _damaged('a frame header')
            return True
        if marker == _SECOND_HEAD:
            raise BadImage('expected a complete JPEG file, got a second picture before the end of the first one')
        if marker in _NO_SEGMENTS:
            raise BadImage('expected a JPEG file of known segments, got one with the marker %02X: damaged' % marker)
        if marker != _ALONE:
            self.segment(marker)
        return False

    def segment(self, marker: int) -> None:
        """Parse the segment of a marker."""
        if self.place + 2 > len(self.content):
            raise self.cut()
        (length,) = struct.unpack_from('>H', self.content, self.place)
        body = self.content[self.place + 2 : self.place + length]
        if length < 2:
            raise _damaged('segments of at least two bytes')
        if len(body) != length - 2:
            raise self.cut()
        self.place += length
        if marker in _FRAMES:
            if self.frame is not None:
                raise _damaged('a single frame header')
            self.frame = _read_frame(marker, body)
        elif marker == _RESTART_INTERVAL:
            if len(body) != 2:
                raise _damaged('a restart interval of two bytes')
            (self.restart_interval,) = struct.unpack('>H', body)
        elif marker == _TABLES:
            self.tables.append(body)
        elif marker == _EXIF:
            self.may_turn = True
        elif marker == _SCAN:
            self.scan(body)

    def scan(self, body: bytes) -> None:
        """Check a scan's header and data."""
        if self.frame is None:
            raise _damaged('a frame header before the pixels')
        count = body[0] if body else 0
        identifiers = body[1 : 1 + 2 * count : 2]
        if (
            not 1 <= count <= 4
            or len(body) != 2 * count + 4
            or any(each not in self.frame.components for each in identifiers)
        ):
            raise _damaged('scans of the components in its frame header')
        self.scans += 1
        pixels = self.frame.height * self.frame.width
        if self.scans > MAX_SCANS or self.scans * pixels > MAX_SCAN_PIXELS:
            raise BadImage(
                'expected a JPEG file of %d scans at most (fewer for many pixels), got one of %d or more at '
                '%d x %d' % (MAX_SCANS, self.scans, self.frame.width, self.frame.height)
            )
        end = _MARKER.search(self.content, self.place)
        if end is None:
            raise self.cut()
        units, blocks = self.frame.blocks(identifiers)
        self.check_restarts(end.start(), units)
        # Each block has at least two codes (DC and end of block) of at least one bit.
        if self.frame.kind in _HUFFMAN_SEQUENTIAL and 4 * (end.start() - self.place) < blocks:
            raise BadImage(
                'expected a JPEG file with the data of %d x %d pixels, got one without most of it: '
                'damaged' % (self.frame.width, self.frame.height)
            )
        is_whole = self.scans == 1 and count == len(self.frame.components) in (1, 3)
        if self.frame.kind in _HUFFMAN_SEQUENTIAL and is_whole and not self.restart_interval:
            sides = [self.frame.components[each] if count > 1 else (1, 1) for each in identifiers]
            numbers = [(each >> 4, each & 15) for each in body[2 : 2 + 2 * count : 2]]
            self.data = ScanData(
                tuple((side[0], side[1], pair[0], pair[1]) for side, pair in zip(sides, numbers)),
                tuple(self.tables),
                self.content[max(self.place, end.start() - 4096) : end.start()],
            )

    def check_restarts(self, end: int, units: int) -> None:
        """Check that the restart markers up to `end` are complete and in order, else the data is damaged."""
        expected = (units - 1) // self.restart_interval if self.restart_interval else 0
        found = b''.join(_RESTART.findall(self.content, self.place, end))
        in_turn = (_RESTARTS * (len(found) // 8 + 1))[: len(found)]
        if found != in_turn or not expected <= len(found) <= expected + 1:  # some encoders add one at the end
            raise BadImage(
                'expected a JPEG file with %d restart markers in order, got %d%s: damaged'
                % (expected, len(found), '' if found == in_turn else ', some out of order')
            )

    def cut(self) -> BadImage:
        """Return the error for a truncated file."""
        return BadImage('expected a complete JPEG file, got one that was cut off after %d bytes' % len(self.content))


def _read_frame(marker: int, body: bytes) -> _Frame:
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _damaged('a complete frame header')
    if marker not in _READ_FRAMES:
        raise BadImage('expected a sequential or progressive JPEG file, got another kind (marker %02X)' % marker)
    height, width = struct.unpack_from('>HH', body, 1)
    check_size(height, width)
    if body[0] != 8 or body[5] not in (1, 3, 4):
        raise BadImage('expected a JPEG file of 1, 3 or 4 components of 8 bits, got %d of %d bits' % (body[5], body[0]))
    components = {body[at]: (body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body), 3)}
    if len(components) != body[5] or not all(1 <= side <= 4 for sides in components.values() for side in sides):
        raise _damaged('different component identifiers and sampling factors of 1 to 4')
    return _Frame(marker, height, width, components)


def check_png(content: bytes) -> Header:
    """Check the CRC of every chunk of a PNG, and keep the chunks that the pixels need.

    Texts and colour profiles, which a decoder would decompress, and further frames of an animation are dropped.

    :raises BadImage: if it is truncated, damaged, or larger than any camera's picture.
    """
    place, kept = len(PNG_HEAD), [PNG_HEAD]
    kinds: List[bytes] = []
    while place + 12 <= len(content) and kinds[-1:] != [b'IEND'] and len(kinds) < MAX_PARTS:
        (length,) = struct.unpack_from('>I', content, place)
        end = place + 12 + length
        if end > len(content):
            break
        chunk = content[place:end]
        if zlib.crc32(chunk[4:-4]) & 0xFFFFFFFF != struct.unpack('>I', chunk[-4:])[0]:
            raise BadImage('expected a complete PNG file, got one with a damaged chunk at byte %d' % place)
        kinds.append(chunk[4:8])
        if kinds[-1][:1].isupper() or kinds[-1] in (b'tRNS', b'eXIf'):
            kept.append(chunk)
        place = end
    if kinds[:1] != [b'IHDR'] or kinds[-1:] != [b'IEND'] or content[8:12] != b'\0\0\0\r':
        raise BadImage(
            'expected a complete PNG file, got one of %d bytes that is damaged or was cut off' % len(content)
        )
    width, height, depth, colours = struct.unpack_from('>IIBB', content, 16)
    check_size(height, width)
    if height * width * _PNG_CHANNELS.get(colours, 4) * depth > 8 * MAX_PNG_BYTES:
        raise BadImage(
            'expected a PNG file of at most %d bytes when decoded, got %d x %d with %d bits per channel'
            % (MAX_PNG_BYTES, width, height, depth)
        )
    return Header(height, width, b''.join(kept))


def check_size(height: int, width: int) -> None:
    """Refuse a picture without pixels, or larger than any camera's.

    :raises BadImage: with the limits and the size.
    """
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX and height * width <= MAX_PIXELS):
        raise BadImage(
            'expected sides of 1 to %d pixels and %d pixels at most, got %d x %d'
            % (MAX_SIDE_PX, MAX_PIXELS, width, height)
        )


def _damaged(expected: str) -> BadImage:
    return BadImage('expected a JPEG file with %s, got a damaged one' % expected)


def _ceil(number: int, divisor: int) -> int:
    return -(-number // divisor)
