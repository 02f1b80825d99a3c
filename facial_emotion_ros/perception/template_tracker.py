"""Track faces by template matching against the image in which they were detected: fast, and without drift."""

from typing import Dict, Optional, Sequence, Tuple

import cv2
import numpy as np

#: Matches with a lower correlation are rejected.
MIN_CORRELATION = 0.6

#: Size of a template: a third of a pixel is about a hundredth of the face.
_WIDTH_PX, _HEIGHT_PX = 28, 36
#: Search range around the expected position, as a share of the face's sides.
_REACH = 0.4


class TemplateTracker:
    """Keep a template of each detected face, and locate it near an expected position."""

    def __init__(self) -> None:
        self._templates: Dict[str, np.ndarray] = {}

    def remember(self, image: np.ndarray, ids: Sequence[str], boxes: np.ndarray) -> None:
        """Store templates of detected faces, and drop all others.

        :param image: (H, W, 3) uint8 BGR.
        :param ids: N ids.
        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, inside the image.
        """
        self._templates = {each: _shrunk(image, box, 0.0) for each, box in zip(ids, boxes)}

    def locate(self, image: np.ndarray, face_id: str, expected: np.ndarray) -> Optional[Tuple[np.ndarray, float]]:
        """Locate a face in a later image.

        :param image: (H, W, 3) uint8 BGR.
        :param face_id: of a remembered face.
        :param expected: (4,) expected box, x0 y0 x1 y1 in pixels.
        :returns: (4,) float64 box of the same size, and the correlation, up to 1; None for a face that is unknown, has
            no contrast or has left the image.
        """
        template = self._templates.get(face_id)
        expected = np.asarray(expected, np.float64)
        middle, size = 0.5 * (expected[:2] + expected[2:]), (image.shape[1], image.shape[0])
        if template is None or template.std() < 1.0 or (middle < 0).any() or (middle > size).any():
            return None
        found = cv2.matchTemplate(_shrunk(image, expected, _REACH), template, cv2.TM_CCOEFF_NORMED)
        found = np.where(np.isfinite(found), found, 0.0)
        row, column = divmod(int(found.argmax()), found.shape[1])
        x = column + _peak_offset(found[row], column) - (found.shape[1] - 1) / 2.0
        y = row + _peak_offset(found[:, column], row) - (found.shape[0] - 1) / 2.0
        sides = expected[2:] - expected[:2]
        shift = np.array([x / _WIDTH_PX, y / _HEIGHT_PX]) * sides
        return expected + np.concatenate([shift, shift]), float(found[row, column])


def _shrunk(image: np.ndarray, box: np.ndarray, reach: float) -> np.ndarray:
    """Crop a box with a margin, gray and at the template's scale, with replicated borders."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    width, height = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    columns, rows = _WIDTH_PX + 2 * int(reach * _WIDTH_PX), _HEIGHT_PX + 2 * int(reach * _HEIGHT_PX)
    scale_x, scale_y = width / _WIDTH_PX, height / _HEIGHT_PX
    left, top = 0.5 * (x0 + x1 - columns * scale_x), 0.5 * (y0 + y1 - rows * scale_y)
    # Large faces are first averaged, so that no pixel is skipped.
    step_x, step_y = max(1, int(scale_x)), max(1, int(scale_y))
    x_range = int(np.floor(left)), int(np.ceil(left + columns * scale_x)) + step_x
    y_range = int(np.floor(top)), int(np.ceil(top + rows * scale_y)) + step_y
    part = image[max(y_range[0], 0) : max(y_range[1], 0), max(x_range[0], 0) : max(x_range[1], 0)]
    if not part.size:
        return np.zeros((rows, columns), np.uint8)
    part = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2GRAY)
    ratio_x, ratio_y = 1.0, 1.0
    if step_x > 1 or step_y > 1:
        size = max(1, part.shape[1] // step_x), max(1, part.shape[0] // step_y)
        ratio_x, ratio_y = part.shape[1] / float(size[0]), part.shape[0] / float(size[1])
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    # From the template's pixel centres to the shrunk part's.
    matrix = np.array(
        [
            [scale_x / ratio_x, 0, (left - max(x_range[0], 0) + 0.5 * scale_x) / ratio_x - 0.5],
            [0, scale_y / ratio_y, (top - max(y_range[0], 0) + 0.5 * scale_y) / ratio_y - 0.5],
        ],
        np.float64,
    )
    return cv2.warpAffine(
        part, matrix, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE
    )


def _peak_offset(values: np.ndarray, place: int) -> float:
    """Return the offset from a maximum to the vertex of the parabola through its neighbours, in [-0.5, 0.5]."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, at, after = (float(value) for value in values[place - 1 : place + 2])
    bend = before - 2 * at + after
    return 0.0 if bend > -1e-9 else min(max(0.5 * (before - after) / bend, -0.5), 0.5)
