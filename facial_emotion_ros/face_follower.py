"""Follow faces by their pixels from the image in which they were detected into the next ones: cheap, without drift."""

from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

#: A place that looks less like the face than this (correlation) is not believed.
LEAST_LIKENESS = 0.6

#: Width and height that a face is shrunk to: a third of a pixel is then about a hundredth of the face.
_WIDTH_PX, _HEIGHT_PX = 28, 36
#: Faces are looked for this far from where they are expected, in shares of their sides.
_REACH = 0.4


class FaceFollower:
    """Remembers how faces looked when they were detected, and finds them again near an expected place."""

    def __init__(self):
        """Begin without faces."""
        self._patterns = {}

    def remember(self, image: np.ndarray, ids: Sequence[str], boxes: np.ndarray):
        """Take the looks of the detected faces, and forget all others.

        :param image: (H, W, 3) uint8 BGR.
        :param ids: N ids.
        :param boxes: (N, 4) x0 y0 x1 y1 in pixels, inside the image.
        """
        self._patterns = dict((each, _shrunk(image, box, 0.0)) for each, box in zip(ids, boxes))

    def locate(self, image: np.ndarray, face_id: str, expected: np.ndarray) -> Optional[Tuple[np.ndarray, float]]:
        """Find a face again.

        :param image: (H, W, 3) uint8 BGR, later than that of `remember`.
        :param face_id: of a remembered face.
        :param expected: (4,) box where it should be, x0 y0 x1 y1 in pixels; its size is believed.
        :returns: (4,) float64 box of that size, and how much that place looks like the face (correlation, up to 1);
            None for a face that is not known, has no contrast or has left the image.
        """
        pattern = self._patterns.get(face_id)
        expected = np.asarray(expected, np.float64)
        middle, size = 0.5 * (expected[:2] + expected[2:]), (image.shape[1], image.shape[0])
        if pattern is None or pattern.std() < 1.0 or (middle < 0).any() or (middle > size).any():
            return None
        found = cv2.matchTemplate(_shrunk(image, expected, _REACH), pattern, cv2.TM_CCOEFF_NORMED)
        found = np.where(np.isfinite(found), found, 0.0)
        row, column = np.unravel_index(found.argmax(), found.shape)
        x = column + _summit(found[row], column) - (found.shape[1] - 1) / 2.0
        y = row + _summit(found[:, column], row) - (found.shape[0] - 1) / 2.0
        sides = expected[2:] - expected[:2]
        shift = np.array([x / _WIDTH_PX, y / _HEIGHT_PX]) * sides
        return expected + np.concatenate([shift, shift]), float(found[row, column])


def _shrunk(image, box, reach):
    """Cut a box with so much around it, gray and at a fixed scale; beyond the image its border is repeated."""
    x0, y0, x1, y1 = (float(edge) for edge in box)
    width, height = max(x1 - x0, 1.0), max(y1 - y0, 1.0)
    columns, rows = _WIDTH_PX + 2 * int(reach * _WIDTH_PX), _HEIGHT_PX + 2 * int(reach * _HEIGHT_PX)
    scale_x, scale_y = width / _WIDTH_PX, height / _HEIGHT_PX
    left, top = 0.5 * (x0 + x1 - columns * scale_x), 0.5 * (y0 + y1 - rows * scale_y)
    # Whole pixels are averaged first where the face is large, so that none is skipped.
    step_x, step_y = max(1, int(scale_x)), max(1, int(scale_y))
    x_range = int(np.floor(left)), int(np.ceil(left + columns * scale_x)) + step_x
    y_range = int(np.floor(top)), int(np.ceil(top + rows * scale_y)) + step_y
    part = image[max(y_range[0], 0):max(y_range[1], 0), max(x_range[0], 0):max(x_range[1], 0)]
    if not part.size:
        return np.zeros((rows, columns), np.uint8)
    part = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2GRAY)
    ratio_x, ratio_y = 1.0, 1.0
    if step_x > 1 or step_y > 1:
        size = max(1, part.shape[1] // step_x), max(1, part.shape[0] // step_y)
        ratio_x, ratio_y = part.shape[1] / float(size[0]), part.shape[0] / float(size[1])
        part = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
    # From the pattern's pixels to the shrunk part's: both count from the middles of their pixels.
    matrix = np.array([
        [scale_x / ratio_x, 0, (left - max(x_range[0], 0) + 0.5 * scale_x) / ratio_x - 0.5],
        [0, scale_y / ratio_y, (top - max(y_range[0], 0) + 0.5 * scale_y) / ratio_y - 0.5]], np.float64)
    return cv2.warpAffine(part, matrix, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)


def _summit(values, place):
    """Return where between pixels a parabola through a maximum and its neighbours has its summit, in [-0.5, 0.5]."""
    if not 0 < place < len(values) - 1:
        return 0.0
    before, at, after = (float(value) for value in values[place - 1:place + 2])
    bend = before - 2 * at + after
    return 0.0 if bend > -1e-9 else min(max(0.5 * (before - after) / bend, -0.5), 0.5)
