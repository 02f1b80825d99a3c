"""Rotate the images of cameras mounted sideways or upside down, and boxes and landmarks back."""

from dataclasses import replace
from typing import Any, Callable, List, Optional, Tuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.estimates import FaceEstimate

#: Special angle: find the one at which faces are upright.
AUTO = -1
ANGLES = (0, 90, 180, 270)

#: Without an upright face for the first time (s), another angle is tried in each interval of the second (s).
_SEARCH_AFTER_S, _SEARCH_EVERY_S = 2.0, 0.5
#: Order of the search: cameras are mounted upside down more often than sideways.
_SEARCHED = (180, 90, 270)

#: Cosine of 45 degrees, the maximum roll of an upright face. The detector also finds large faces rotated by 90 or 180
#: degrees, with partly rotated landmarks: in six such views, the least roll by the landmarks was 70 degrees.
_UPRIGHT = 0.7

_CODES = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}


def rotated(image: np.ndarray, degrees: int) -> np.ndarray:
    """Rotate an image clockwise.

    :param image: (H, W, 3) uint8.
    :param degrees: one of ANGLES; 0 returns the image itself.
    """
    return cv2.rotate(image, _CODES[degrees]) if degrees else image


def rotated_points(points: np.ndarray, degrees: int, size: Tuple[int, int]) -> np.ndarray:
    """Rotate points with their image, clockwise.

    :param points: (..., 2) x, y in pixels; 0 is the image's edge.
    :param degrees: one of ANGLES.
    :param size: height and width of the image before rotation.
    """
    height, width = size
    x, y = points[..., 0], points[..., 1]
    ways = {0: (x, y), 90: (height - y, x), 180: (width - x, height - y), 270: (y, width - x)}
    return np.stack(ways[degrees], axis=-1)


def rotated_boxes(boxes: np.ndarray, degrees: int, size: Tuple[int, int]) -> np.ndarray:
    """Rotate boxes with their image, clockwise.

    :param boxes: (N, 4) x0, y0, x1, y1 in pixels.
    :param degrees: one of ANGLES.
    :param size: height and width of the image before rotation.
    """
    corners = rotated_points(np.reshape(boxes, (-1, 2, 2)), degrees, size)
    return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def rotated_back(face: FaceEstimate, degrees: int, image: np.ndarray) -> FaceEstimate:
    """Transform the box and landmarks of an estimate back to the image before rotation.

    :param face: found in the rotated image.
    :param degrees: by which that was rotated, one of ANGLES.
    :param image: (H, W, 3) the rotated image.
    """
    if not degrees:
        return face
    back, size = 360 - degrees, image.shape[:2]
    x0, y0, x1, y1 = (float(edge) for edge in rotated_boxes(np.array([face.box]), back, size)[0])
    return replace(face, box=(x0, y0, x1, y1), landmarks=rotated_points(face.landmarks, back, size))


def has_upright(landmarks: np.ndarray) -> bool:
    """Return whether any face is upright: its mouth is below its eyes.

    :param landmarks: (N, 5, 2), see Faces.
    """
    down = landmarks[:, 3:].mean(axis=1) - landmarks[:, :2].mean(axis=1)
    return bool((down[:, 1] > _UPRIGHT * np.hypot(down[:, 0], down[:, 1])).any())


class Orientation:
    """The angle by which the images of one stream are rotated."""

    def __init__(self, degrees: int = 0) -> None:
        """Set the angle; see :meth:`adjust`."""
        self.adjust(degrees)

    def adjust(self, degrees: int) -> None:
        """Change the angle.

        :param degrees: clockwise, one of ANGLES; or AUTO, which starts with 0.
        :raises BadParameter: for any other value.
        """
        if isinstance(degrees, bool) or degrees not in ANGLES + (AUTO,):
            raise BadParameter(f'expected to rotate images by 0, 90, 180 or 270 degrees, or -1 (auto), got {degrees!r}')
        self.setting = degrees
        #: The current angle, one of ANGLES.
        self.degrees = max(degrees, 0)
        self._upright_s: Optional[float] = None
        self._searched_s, self._turn = 0.0, 0

    def of_picture(self, image: np.ndarray, find: Callable[[np.ndarray], Any]) -> Tuple[int, np.ndarray, Any]:
        """Find the faces in a single picture; with AUTO at the first angle at which one is upright, else at 0.

        :param image: (H, W, 3) uint8 BGR.
        :param find: returns the faces of an image, with `landmarks`.
        :returns: the angle, the rotated image and its faces.
        """
        tried: List[Tuple[int, np.ndarray, Any]] = []
        for degrees in (0,) + _SEARCHED if self.setting == AUTO else (self.degrees,):
            turned = rotated(image, degrees)
            tried.append((degrees, turned, find(turned)))
            if has_upright(tried[-1][2].landmarks):
                return tried[-1]
        return tried[0]

    def search(self, image: np.ndarray, landmarks: np.ndarray, stamp_s: float, detector: Any) -> bool:
        """With AUTO, try another angle if no upright face was found for a while.

        :param image: (H, W, 3) uint8 BGR, the stream's next one, not rotated.
        :param landmarks: (N, 5, 2) of the faces found at the current angle.
        :param stamp_s: acquisition time in seconds.
        :param detector: object with `detect(image) -> Faces`.
        :returns: whether the angle has changed, because an upright face was found at the new one.
        """
        if self.setting != AUTO:
            return False
        if self._upright_s is None or stamp_s < self._searched_s or has_upright(landmarks):
            self._upright_s = self._searched_s = stamp_s
            return False
        if stamp_s - self._upright_s < _SEARCH_AFTER_S or stamp_s - self._searched_s < _SEARCH_EVERY_S:
            return False
        self._searched_s = stamp_s
        degrees = (self.degrees + _SEARCHED[self._turn % len(_SEARCHED)]) % 360
        self._turn += 1
        if not has_upright(detector.detect(rotated(image, degrees)).landmarks):
            return False
        self.degrees, self._upright_s, self._turn = degrees, stamp_s, 0
        return True
