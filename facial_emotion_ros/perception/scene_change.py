"""Detect scene changes (cuts) in a stream, after which no face may inherit another one's id."""

from typing import Optional, Tuple

import cv2
import numpy as np

#: Images with a lower correlation are of different scenes. Measured (docs/faces_over_time.md): at least 0.73 within a
#: scene, 0.91 during pans by a fifth of the view; lower for 98% of 600 drawn and all of 84 photographed scene pairs.
MIN_CORRELATION = 0.8

_WIDTH_PX, _HEIGHT_PX = 48, 36
#: Margin around the new image's middle, which is searched in the old one: a camera may pan by this share of each side.
_MARGIN = 0.2
#: Images with a lower standard deviation of gray levels cannot be compared.
_FLAT = 3.0


class SceneChangeDetector:
    """Compare gray thumbnails by correlation, with shifts of up to a fifth."""

    def __init__(self) -> None:
        self._thumbnail: Optional[np.ndarray] = None
        self._shape: Optional[Tuple[int, ...]] = None

    def is_cut(self, image: np.ndarray) -> bool:
        """Compare the next image with the last one that had contrast.

        :param image: (H, W, 3) uint8 BGR.
        :returns: whether the scene or the size differs; also True for a hand in front of the camera or a flash. Images
            without contrast (covered, dark, overexposed) are skipped.
        """
        thumbnail, shape, before = _thumbnail(image), image.shape[:2], self._thumbnail
        resized, self._shape = self._shape not in (None, shape), shape
        if thumbnail.std() < _FLAT:
            return resized
        self._thumbnail = thumbnail
        return resized or before is not None and correlation(before, thumbnail) < MIN_CORRELATION

    def forget(self) -> None:
        """Forget the last image."""
        self._thumbnail, self._shape = None, None


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Return the best correlation of the second thumbnail's middle with a part of the first.

    :param first, second: (36, 48) uint8.
    :returns: up to 1; 1 for a middle without contrast.
    """
    rows, columns = int(_HEIGHT_PX * _MARGIN), int(_WIDTH_PX * _MARGIN)
    middle = second[rows:-rows, columns:-columns]
    if middle.std() < 0.5 * _FLAT:
        return 1.0
    found = cv2.matchTemplate(first, middle, cv2.TM_CCOEFF_NORMED)
    return float(np.where(np.isfinite(found), found, 0.0).clip(-1, 1).max())


def _thumbnail(image: np.ndarray) -> np.ndarray:
    # Every n-th pixel first: averaging over all pixels would take milliseconds.
    step = max(1, min(image.shape[0] // (3 * _HEIGHT_PX), image.shape[1] // (3 * _WIDTH_PX)))
    gray = cv2.cvtColor(image[::step], cv2.COLOR_BGR2GRAY)[:, ::step]
    return cv2.resize(np.ascontiguousarray(gray), (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
