"""Whether a decoded JPEG had the data of its last pixels: libjpeg makes those gray that are missing, and goes on.

Nothing but a decoder knows where the data of a picture without restart markers ends. But its gray can be seen, and had
the picture really been gray there, its data would end with the codes for that.
"""

import struct
from typing import Dict, NamedTuple, Optional, Tuple

import numpy as np

#: What libjpeg makes of missing pixels: no difference from the middle of the range.
_MISSING = 128

#: So many bits of codes do not stand there by chance.
_SURE_BITS = 64

#: Some cameras write a few more bytes behind the data.
_MORE_BYTES = 64


class ScanData(NamedTuple):
    """The one scan of a sequential picture without restarts.

    components: (blocks across, blocks down of one MCU, DC table, AC table) in the scan's order; tables: bodies of the
    Huffman tables' segments; data: the coded bits, stuffed.
    """

    components: Tuple[Tuple[int, int, int, int], ...]
    tables: Tuple[bytes, ...]
    data: bytes


def lacks_pixels(scan: ScanData, image: np.ndarray) -> bool:
    """Tell whether the data ended before the picture did.

    :param scan: of its file.
    :param image: (H, W, 3) or (H, W) uint8, as it lies in the file.
    :returns: whether its end is the decoder's gray; False where that cannot be known.
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
    # Colours of lower resolution are blended with those of the neighbours.
    if not (image[min(top + 2, image.shape[0] - 1):, left + 2:] == _MISSING).all():
        return False
    end = scan.data.rstrip(b'\xff')[-(len(unit) * count // 4 + _MORE_BYTES):].replace(b'\xff\x00', b'\xff')
    bits = ''.join(map('{:08b}'.format, end))
    return unit * count not in bits


def _unit_without_difference(scan) -> str:
    """Return the bits of an MCU that looks as the one before it and has nothing in it; '' where there are no codes."""
    codes = {}  # type: Dict[int, Optional[str]]
    for body in scan.tables:
        codes.update(_codes_of_zero(body))
    bits = ''
    for across, down, dc_table, ac_table in scan.components:
        dc_code, ac_code = codes.get(dc_table), codes.get(16 | ac_table)
        if dc_code is None or ac_code is None:
            return ''
        bits += (dc_code + ac_code) * (across * down)
    return bits


def _codes_of_zero(body) -> Dict[int, Optional[str]]:
    """Read the code of the symbol 0 (no difference, end of block) in each table. Source: ITU-T T.81, annex C.

    :param body: of a segment of Huffman tables.
    :returns: class and number of the table -> code as text of 0 and 1, None where it has none.
    """
    found, place = {}, 0
    while place + 17 <= len(body):
        counts = struct.unpack_from('16B', body, place + 1)
        symbols = body[place + 17:place + 17 + sum(counts)]
        code, number, text = 0, 0, None
        for length, count in enumerate(counts, 1):
            for symbol in symbols[number:number + count]:
                if symbol == 0 and text is None:
                    text = '{:0{}b}'.format(code, length)
                code += 1
            number += count
            code <<= 1
        found[body[place]] = text
        place += 17 + sum(counts)
    return found
