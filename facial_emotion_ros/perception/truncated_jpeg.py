"""Detect truncated JPEGs, whose missing pixels libjpeg fills with gray.

Without restart markers, only a decoder knows where a picture's data ends. So the end of the image is checked for that
gray: if it were part of the picture, the data would end with the codes of gray blocks.
"""

import struct
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

#: Gray level of missing pixels, as libjpeg fills them.
_MISSING = 128

#: Number of matching bits that rules out coincidence.
_SURE_BITS = 64

#: Some cameras append a few bytes to the data.
_MORE_BYTES = 64


class ScanData(NamedTuple):
    """The scan of a sequential JPEG with one scan and no restart markers.

    :param components: (horizontal and vertical blocks of one MCU, DC table, AC table) in the scan's order.
    :param tables: bodies of the Huffman tables' segments.
    :param data: end of the coded data, with stuffed bytes.
    """

    components: Tuple[Tuple[int, int, int, int], ...]
    tables: Tuple[bytes, ...]
    data: bytes


def lacks_pixels(scan: ScanData, image: np.ndarray) -> bool:
    """Return whether the decoder filled up the end of a picture; False where this cannot be determined.

    :param scan: of its file.
    :param image: (H, W, 3) or (H, W) uint8, without EXIF rotation.
    """
    across = max(each[0] for each in scan.components) * 8
    down = max(each[1] for each in scan.components) * 8
    columns, rows = -(-image.shape[1] // across), -(-image.shape[0] // down)
    if not (image[-1, -1] == _MISSING).all():
        return False
    unit = _unit_without_difference(scan)
    if not unit:
        return False
    count = max(3, -(-_SURE_BITS // len(unit)))
    left, top = (columns - count - 1) * across, (rows - 1) * down
    if left < 0:
        return False
    # 2 pixels of margin: upsampled chroma is blended with the neighbours'.
    if not (image[min(top + 2, image.shape[0] - 1) :, left + 2 :] == _MISSING).all():
        return False
    end = scan.data.rstrip(b'\xff')[-(len(unit) * count // 4 + _MORE_BYTES) :].replace(b'\xff\x00', b'\xff')
    bits = ''.join(map('{:08b}'.format, end))
    return unit * count not in bits


def _unit_without_difference(scan: ScanData) -> str:
    """Return the bits of an MCU with DC differences of 0 and no AC coefficients; '' where there are no such codes."""
    codes: Dict[int, Optional[str]] = {}
    for body in scan.tables:
        codes.update(_codes_of_zero(body))
    bits = ''
    for across, down, dc_table, ac_table in scan.components:
        dc_code, ac_code = codes.get(dc_table), codes.get(16 | ac_table)
        if dc_code is None or ac_code is None:
            return ''
        bits += (dc_code + ac_code) * (across * down)
    return bits


def _codes_of_zero(body: bytes) -> Dict[int, Optional[str]]:
    """Read the code of symbol 0 (no difference, end of block) in each Huffman table. Source: ITU-T T.81, annex C.

    :param body: of a Huffman table segment (DHT).
    :returns: class and number of the table -> code as text of 0 and 1; None if it has none.
    """
    found: Dict[int, Optional[str]] = {}
    place = 0
    while place + 17 <= len(body):
        counts = struct.unpack_from('16B', body, place + 1)
        symbols = body[place + 17 : place + 17 + sum(counts)]
        code, number = 0, 0
        text: Optional[str] = None
        for length, count in enumerate(counts, 1):
            for symbol in symbols[number : number + count]:
                if symbol == 0 and text is None:
                    text = '{:0{}b}'.format(code, length)
                code += 1
            number += count
            code <<= 1
        found[body[place]] = text
        place += 17 + sum(counts)
    return found
