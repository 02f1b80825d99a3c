"""Tell when a stream may show another scene from one image to the next: no face may then pass its id to another one."""

import cv2
import numpy as np

#: Least likeness of two images of one scene. Measured (docs/faces_over_time.md): 0.73 and more within one scene, 0.91
#: while the camera turns by a fifth of its view; of 600 pairs of drawn scenes 98%, of 84 of photographs all lie below.
LEAST_LIKENESS = 0.8

_WIDTH_PX, _HEIGHT_PX = 48, 36
#: The middle of the new image is looked for in the old one, so a camera may turn by this share of the image's sides.
_MARGIN = 0.2
#: An image with less contrast than this (deviation in gray levels) shows nothing that could be compared.
_FLAT = 3.0


class SceneCut:
    """Compares thumbnails: gray, without brightness and contrast, shifted against each other by up to a fifth."""

    def __init__(self):
        """Begin without an image."""
        self._thumbnail, self._shape = None, None

    def is_cut(self, image: np.ndarray) -> bool:
        """Take the next image.

        :param image: (H, W, 3) uint8 BGR.
        :returns: whether it seems to show another scene than the one before, or has another size. A hand before the
            camera or a flash may seem so too: look at the faces. Images without contrast (covered, dark, overexposed)
            are passed over: the next one is compared with the last that showed something.
        """
        thumbnail, shape, before = _thumbnail(image), image.shape[:2], self._thumbnail
        resized, self._shape = self._shape not in (None, shape), shape
        if thumbnail.std() < _FLAT:
            return resized
        self._thumbnail = thumbnail
        return resized or before is not None and likeness(before, thumbnail) < LEAST_LIKENESS

    def forget(self):
        """Forget the image before."""
        self._thumbnail, self._shape = None, None


def likeness(first: np.ndarray, second: np.ndarray) -> float:
    """Compare two thumbnails.

    :param first: (36, 48) uint8.
    :param second: the same of the later image.
    :returns: the best correlation of its middle with a part of the first, up to 1; 1 for a middle without contrast.
    """
    rows, columns = int(_HEIGHT_PX * _MARGIN), int(_WIDTH_PX * _MARGIN)
    middle = second[rows:-rows, columns:-columns]
    if middle.std() < 0.5 * _FLAT:
        return 1.0
    found = cv2.matchTemplate(first, middle, cv2.TM_CCOEFF_NORMED)
    return float(np.where(np.isfinite(found), found, 0.0).clip(-1, 1).max())


def _thumbnail(image):
    # Every n-th pixel first: averaging over all of them would take milliseconds.
    step = max(1, min(image.shape[0] // (3 * _HEIGHT_PX), image.shape[1] // (3 * _WIDTH_PX)))
    gray = cv2.cvtColor(np.ascontiguousarray(image[::step, ::step]), cv2.COLOR_BGR2GRAY)
    return cv2.resize(gray, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
