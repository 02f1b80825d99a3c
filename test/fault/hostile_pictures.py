"""Picture files that shall stop whoever decodes them, made by a generator: small files of much work, and odd ones."""

import re
import struct
import zlib

import cv2
import numpy as np

END = b'\xff\xd9'
#: A scan of one component's coefficients 1 to 63, which says that 2^14 blocks have none.
EMPTY_SCAN = bytes.fromhex('ffda0008 0101 00 01 3f 00 00'.replace(' ', ''))
#: The one code of such a scan.
EMPTY_CODE = bytes.fromhex('ffc40014 10' + '01' + 15 * '00' + 'e0')
#: The seven passes of an interlaced PNG: first column and row, steps.
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def jpeg(*options, width=64, height=64, image=None):
    """Return a JPEG file; of a black picture unless one is given."""
    image = np.zeros((height, width, 3), np.uint8) if image is None else image
    return cv2.imencode('.jpg', image, list(options))[1].tobytes()


def progressive(width, height, scans, subsampled=True):
    """Return a progressive JPEG of a few bytes: the first scan of a black picture, and empty ones.

    :param subsampled: whether the colours have half of the resolution.
    """
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420 if subsampled else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
    small = sized(jpeg(cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling), width, height)
    start = small.index(b'\xff\xda')
    first = small[: re.compile(b'\xff[\x01-\xfe]').search(small, start + 14).start()]
    return first + EMPTY_CODE + EMPTY_SCAN * (scans - 1) + END


def sized(data, width, height):
    """Return a JPEG file whose frame header claims another size."""
    place = re.search(b'\xff[\xc0\xc1\xc2]', data).start()
    return data[: place + 5] + struct.pack('>HH', height, width) + data[place + 9 :]


def frame_of(data):
    """Return the frame header of a JPEG file, with its marker."""
    place = re.search(b'\xff[\xc0\xc1\xc2]', data).start()
    return data[place : place + 2 + struct.unpack('>H', data[place + 2 : place + 4])[0]]


def hidden(width, height, marker=0x00):
    """Return a JPEG file that shows 64 x 64 to whoever takes a stuffed FF 00 for a segment, and its size to libjpeg."""
    small = jpeg()
    real, decoy = frame_of(sized(small, width, height)), frame_of(small)
    place = small.index(frame_of(small))
    comment = b'\xff\xfe' + struct.pack('>H', len(decoy) + 2)  # for libjpeg the decoy is a comment's text
    wrapped = bytes([0xFF, marker]) + struct.pack('>H', len(real) + len(comment) + 2) + real + comment
    return small[:place] + wrapped + decoy + small[place + len(decoy) :]


def chunk(kind, content):
    """Return a chunk of PNG."""
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def png(width, height, depth=8, colours=2, interlaced=False, more=b'', whole=True):
    """Return a PNG file of zeros.

    :param more: chunks between header and pixels.
    :param whole: whether it has all of its pixels: to pack gigabytes takes long.
    """
    bits = {0: 1, 2: 3, 4: 2, 6: 4}[colours] * depth
    passes = PASSES if interlaced else ((0, 0, 1, 1),)
    packer = zlib.compressobj(9)
    packed = []
    if not whole:
        passes = ()
    for column, row, across, down in passes:
        columns, rows = -(-(width - column) // across), -(-(height - row) // down)
        left = (columns * bits // 8 + 1) * rows
        while left > 0:
            packed.append(packer.compress(bytes(min(left, 1 << 20))))
            left -= 1 << 20
    packed.append(packer.flush())
    header = struct.pack('>IIBBBBB', width, height, depth, colours, 0, 0, interlaced)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + more + chunk(b'IDAT', b''.join(packed)) + chunk(b'IEND', b'')


def text_bomb(count, length=7900000):
    """Return chunks whose texts a decoder would unpack."""
    return chunk(b'zTXt', b'k\0\0' + zlib.compress(bytes(length), 9)) * count


def animation(width, height, frames):
    """Return the chunks that make a PNG an animation of large, nearly empty frames."""
    parts = [chunk(b'acTL', struct.pack('>II', frames, 0))]
    for number in range(frames):
        parts.append(chunk(b'fcTL', struct.pack('>IIIIIHHBB', number, width, height, 0, 0, 1, 10, 0, 0)))
    return b''.join(parts)


def attacks():
    """List those that are to be refused.

    :returns: [(what it is, bytes)].
    """
    whole = jpeg(width=640, height=480)
    return [
        ('jpeg: 32000 x 32000 behind a stuffed byte', hidden(32000, 32000)),
        ('jpeg: 32000 x 32000 in a segment without meaning', hidden(32000, 32000, 0x02)),
        ('jpeg: two frame headers', whole[:-2].replace(frame_of(whole), frame_of(whole) * 2) + END),
        ('jpeg: 5000 scans of 4096 x 4096', progressive(4096, 4096, 5000)),
        ('jpeg: 90 scans of 8192 x 8192', progressive(8192, 8192, 90)),
        ('jpeg: 30000 x 30000', progressive(30000, 30000, 1)),
        ('jpeg: 8000 x 8000 without data', sized(jpeg(), 8000, 8000)),
        ('jpeg: height by a marker behind the pixels', sized(whole, 640, 0)[:-2] + b'\xff\xdc\0\x04\x01\xe0' + END),
        ('jpeg: 12 bits', whole.replace(frame_of(whole)[:5], frame_of(whole)[:4] + b'\x0c')),
        ('jpeg: lossless', whole.replace(b'\xff\xc0', b'\xff\xc3')),
        ('jpeg: 200000 segments', whole[:2] + b'\xff\xfe\0\x02' * 200000 + whole[2:]),
        ('png: 30000 x 30000', png(30000, 30000, whole=False)),
        ('png: 8192 x 8192 of 64 bits', png(8192, 8192, 16, 6, whole=False)),
        ('png: 8192 x 8192 of 64 bits, interlaced', png(8192, 8192, 16, 6, True, whole=False)),
        ('png: 200000 chunks', png(64, 64, more=chunk(b'tEXt', b'') * 200000)),
    ]


def costly():
    """List those that are read, since a camera might send such a picture: they shall cost no more than their pixels.

    :returns: [(what it is, bytes, (height, width))].
    """
    return [
        ('jpeg: 16 scans of 8192 x 8192', progressive(8192, 8192, 16), (8192, 8192)),
        ('jpeg: 64 scans of 4096 x 4096, colours in full', progressive(4096, 4096, 64, False), (4096, 4096)),
        ('png: 8192 x 8192, interlaced', png(8192, 8192, interlaced=True), (8192, 8192)),
        ('png: texts of gigabytes', png(64, 64, more=text_bomb(300)), (64, 64)),
        ('png: an animation', png(64, 64, more=animation(20000, 20000, 50)), (64, 64)),
    ]
