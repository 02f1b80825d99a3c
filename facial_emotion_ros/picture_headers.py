"""What a picture file says of itself before it is unpacked: its kind and size, and whether it is whole.

A few kilobytes may hold a picture of gigabytes, or one that takes minutes to decode. So each file is walked through in
the same way as the decoder will walk through it, and its size, passes and end are looked at first.
"""

import re
import struct
import zlib
from typing import NamedTuple, Optional

from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.image import MAX_PIXELS, MAX_SIDE_PX
from facial_emotion_ros.jpeg_data import ScanData

#: Passes over a progressive JPEG. Encoders write 6 to 20.
MAX_SCANS = 100

#: Pixels times passes: a second or so of a decoder's time. 67 megapixels may have 16 passes, 20 megapixels 53.
MAX_SCAN_PIXELS = 1 << 30

#: Bytes of an unpacked PNG: 67 megapixels of 4 bytes.
MAX_PNG_BYTES = 1 << 28

#: Segments of a JPEG, chunks of a PNG: far more than any encoder writes.
MAX_PARTS = 1 << 16

JPEG_HEAD = b'\xff\xd8\xff'
PNG_HEAD = b'\x89PNG\r\n\x1a\n'

#: Where libjpeg sees a marker: neither a filling byte (FF) nor a stuffed one (00). Restarts belong to the data, and are
#: looked for apart.
_MARKER = re.compile(b'\xff[\x01-\xcf\xd8-\xfe]')
_RESTART = re.compile(b'\xff([\xd0-\xd7])')
_RESTARTS = bytes(range(0xD0, 0xD8))

#: Markers that stand alone or have no meaning in a file. libjpeg gives up at them. Source: ITU-T T.81, table B.1.
_ALONE, _SECOND_HEAD, _END, _SCAN, _RESTART_INTERVAL = 0x01, 0xD8, 0xD9, 0xDA, 0xDD
_TABLES, _EXIF = 0xC4, 0xE1
_NO_SEGMENTS = frozenset(range(0x02, 0xC0)) | frozenset(range(0xF0, 0xFE)) | {0xDE, 0xDF}

#: Frame headers, and those that OpenCV's decoders read: sequential (C0, C1, C9) and progressive (C2, CA).
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READ_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)
_HUFFMAN_SEQUENTIAL = (0xC0, 0xC1)

#: Channels by the colour type of a PNG.
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}


class Header(NamedTuple):
    """What was found.

    height, width: in pixels; content: the bytes for the decoder, without what it need not see; scan: the data of a
    sequential JPEG that is one scan without restarts; may_turn: whether EXIF may ask to turn the picture.
    """

    height: int
    width: int
    content: bytes
    scan: Optional[ScanData] = None
    may_turn: bool = False


class _Frame(NamedTuple):
    """A JPEG's frame header. components: identifier -> (blocks across, blocks down) of one MCU."""

    kind: int
    height: int
    width: int
    components: dict

    def blocks(self, identifiers):
        """Return MCUs, and blocks in all of them, of a scan over these components. Source: ITU-T T.81, A.2."""
        most_across = max(across for across, _ in self.components.values())
        most_down = max(down for _, down in self.components.values())
        if len(identifiers) == 1:
            across, down = self.components[identifiers[0]]
            units = (_ceil(_ceil(self.width * across, most_across), 8)
                     * _ceil(_ceil(self.height * down, most_down), 8))
            return units, units
        units = _ceil(self.width, 8 * most_across) * _ceil(self.height, 8 * most_down)
        return units, units * sum(across * down for across, down in (self.components[each] for each in identifiers))


def check_jpeg(content: bytes) -> Header:
    """Walk through a JPEG as libjpeg does, up to the end of its first picture.

    What follows the end (line ends of an HTTP stream, filling bytes, the film of a motion photo) does not matter. Of
    turned bits in the pixels only those are seen that make or break a marker.

    :param content: of the file.
    :raises BadImage: it was cut off, damaged, or takes more work than any camera's picture.
    """
    walk = _JpegWalk(content)
    for _ in range(MAX_PARTS):
        if walk.step():
            break
    else:
        raise BadImage('expected a JPEG file of %d segments at most, got more' % MAX_PARTS)
    if not walk.scans:
        raise _damaged('pixels before its end')
    return Header(walk.frame.height, walk.frame.width, content[:walk.place], walk.data, walk.may_turn)


class _JpegWalk:
    """A place in a JPEG file, and what was met on the way."""

    def __init__(self, content):
        self.content, self.place = content, 2
        self.frame, self.scans, self.restart_interval = None, 0, 0
        self.tables, self.data, self.may_turn = [], None, False

    def step(self):
        """Go on to behind the next marker and its segment.

        :returns: whether that was the picture's end.
        """
        found = _MARKER.search(self.content, self.place)
        if found is None:
            raise self.cut()
        marker, self.place = self.content[found.end() - 1], found.end()
        if marker == _END:
            if self.frame is None:
                raise _damaged('a frame header')
            return True
        if marker == _SECOND_HEAD:
            raise BadImage('expected a JPEG file with its end, got a second picture before the end of the first one')
        if marker in _NO_SEGMENTS:
            raise BadImage('expected a JPEG file of known segments, got one with the marker %02X: damaged' % marker)
        if marker != _ALONE:
            self.segment(marker)
        return False

    def segment(self, marker):
        """Read what matters of a segment, and step over it."""
        if self.place + 2 > len(self.content):
            raise self.cut()
        length, = struct.unpack_from('>H', self.content, self.place)
        body = self.content[self.place + 2:self.place + length]
        if length < 2:
            raise _damaged('segments of two bytes at least')
        if len(body) != length - 2:
            raise self.cut()
        self.place += length
        if marker in _FRAMES:
            if self.frame is not None:
                raise _damaged('one frame header alone')
            self.frame = _read_frame(marker, body)
        elif marker == _RESTART_INTERVAL:
            if len(body) != 2:
                raise _damaged('a restart interval of two bytes')
            self.restart_interval, = struct.unpack('>H', body)
        elif marker == _TABLES:
            self.tables.append(body)
        elif marker == _EXIF:
            self.may_turn = True
        elif marker == _SCAN:
            self.scan(body)

    def scan(self, body):
        """Check a scan's header, its place among the others, and its data."""
        if self.frame is None:
            raise _damaged('a frame header before the pixels')
        count = body[0] if body else 0
        identifiers = body[1:1 + 2 * count:2]
        if not 1 <= count <= 4 or len(body) != 2 * count + 4 or any(
                each not in self.frame.components for each in identifiers):
            raise _damaged('scans of the components in its frame header')
        self.scans += 1
        pixels = self.frame.height * self.frame.width
        if self.scans > MAX_SCANS or self.scans * pixels > MAX_SCAN_PIXELS:
            raise BadImage('expected a JPEG file of %d scans at most (fewer for many pixels), got one of %d or more at '
                           '%d x %d' % (MAX_SCANS, self.scans, self.frame.width, self.frame.height))
        end = _MARKER.search(self.content, self.place)
        if end is None:
            raise self.cut()
        units, blocks = self.frame.blocks(identifiers)
        self.check_restarts(end.start(), units)
        # Each block has a code for its mean and one for its end, of a bit each at least.
        if self.frame.kind in _HUFFMAN_SEQUENTIAL and 4 * (end.start() - self.place) < blocks:
            raise BadImage('expected a JPEG file with the data of %d x %d pixels, got one that lacks most of it: '
                           'damaged' % (self.frame.width, self.frame.height))
        if (self.frame.kind in _HUFFMAN_SEQUENTIAL and self.scans == 1 and not self.restart_interval
                and count == len(self.frame.components) in (1, 3)):
            sides = [self.frame.components[each] if count > 1 else (1, 1) for each in identifiers]
            numbers = [(each >> 4, each & 15) for each in body[2:2 + 2 * count:2]]
            self.data = ScanData(tuple(first + second for first, second in zip(sides, numbers)), tuple(self.tables),
                                 self.content[max(self.place, end.start() - 4096):end.start()])

    def check_restarts(self, end, units):
        """Count the restarts, which data that was lost or turned on the way lacks or misplaces."""
        expected = (units - 1) // self.restart_interval if self.restart_interval else 0
        found = b''.join(_RESTART.findall(self.content, self.place, end))
        in_turn = (_RESTARTS * (len(found) // 8 + 1))[:len(found)]
        if found != in_turn or not expected <= len(found) <= expected + 1:  # some encoders end with one more
            raise BadImage('expected a JPEG file with %d restarts in turn, got %d%s: damaged' % (
                expected, len(found), '' if found == in_turn else ', some out of turn'))

    def cut(self):
        """Return the refusal of a file without its end."""
        return BadImage('expected a JPEG file with its end, got one that was cut off after %d bytes'
                        % len(self.content))


def _read_frame(marker, body):
    """Read a frame header."""
    if len(body) < 6 or len(body) != 6 + 3 * body[5]:
        raise _damaged('a whole frame header')
    if marker not in _READ_FRAMES:
        raise BadImage('expected a sequential or progressive JPEG file, got one of another kind (marker %02X)' % marker)
    height, width = struct.unpack_from('>HH', body, 1)
    check_size(height, width)
    if body[0] != 8 or body[5] not in (1, 3, 4):
        raise BadImage('expected a JPEG file of 1, 3 or 4 components of 8 bits, got %d of %d bits' % (body[5], body[0]))
    components = {body[at]: (body[at + 1] >> 4, body[at + 1] & 15) for at in range(6, len(body), 3)}
    if len(components) != body[5] or not all(1 <= side <= 4 for sides in components.values() for side in sides):
        raise _damaged('components of their own names and sampling factors of 1 to 4')
    return _Frame(marker, height, width, components)


def check_png(content: bytes) -> Header:
    """Check every chunk's sum up to the file's end, and keep those that the pixels need.

    Texts and colour profiles go, since a decoder would unpack them too, and further pictures of an animation.

    :param content: of the file.
    :raises BadImage: it was cut off, damaged, or larger than any camera's picture.
    """
    place, kinds, kept = len(PNG_HEAD), [], [PNG_HEAD]
    while place + 12 <= len(content) and kinds[-1:] != [b'IEND'] and len(kinds) < MAX_PARTS:
        length, = struct.unpack_from('>I', content, place)
        end = place + 12 + length
        if end > len(content):
            break
        chunk = content[place:end]
        if zlib.crc32(chunk[4:-4]) & 0xFFFFFFFF != struct.unpack('>I', chunk[-4:])[0]:
            raise BadImage('expected a whole PNG file, got one with a damaged chunk at byte %d' % place)
        kinds.append(chunk[4:8])
        if kinds[-1][:1].isupper() or kinds[-1] in (b'tRNS', b'eXIf'):
            kept.append(chunk)
        place = end
    if kinds[:1] != [b'IHDR'] or kinds[-1:] != [b'IEND'] or content[8:12] != b'\0\0\0\r':
        raise BadImage('expected a PNG file from header to end, got one of %d bytes that is damaged or was cut off'
                       % len(content))
    width, height, depth, colours = struct.unpack_from('>IIBB', content, 16)
    check_size(height, width)
    if height * width * _PNG_CHANNELS.get(colours, 4) * depth > 8 * MAX_PNG_BYTES:
        raise BadImage('expected a PNG file of %d bytes at most when it is unpacked, got %d x %d of %d bits a channel'
                       % (MAX_PNG_BYTES, width, height, depth))
    return Header(height, width, b''.join(kept))


def check_size(height: int, width: int):
    """Refuse the size of a picture that no camera takes."""
    if not (1 <= height <= MAX_SIDE_PX and 1 <= width <= MAX_SIDE_PX and height * width <= MAX_PIXELS):
        raise BadImage('expected sides of 1 to %d pixels and %d pixels at most, got %d x %d'
                       % (MAX_SIDE_PX, MAX_PIXELS, width, height))


def _damaged(expected):
    return BadImage('expected a JPEG file with %s, got a damaged one' % expected)


def _ceil(number, divisor):
    return -(-number // divisor)
