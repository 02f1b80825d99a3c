"""Blur the faces in a camera's images for anonymized reports and videos, including faces missed for a moment."""

import numpy as np

from facial_emotion_ros.core import visualization
from facial_emotion_ros.perception.face_tracker import intersection_over_union

#: The area of a missed face stays blurred for this time; a box with at least this IoU is the same face.
_HOLD_S, _SAME = 0.5, 0.3


class FaceBlur:
    """Blurs the faces in one camera's images, in time order."""

    def __init__(self) -> None:
        """Start without images."""
        self._before: list[tuple[float, np.ndarray]] = []

    def apply(self, image: np.ndarray, boxes: np.ndarray, time_s: float) -> np.ndarray:
        """Blur all boxes, and boxes of the last half second without a match.

        :param image: (H, W, 3) uint8 BGR; not modified.
        :param boxes: (N, 4) x0 y0 x1 y1 in px of all face candidates.
        :param time_s: time of the image.
        :returns: (H, W, 3) uint8 BGR, a copy.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        self._before = [(seen_s, box) for seen_s, box in self._before if 0 <= time_s - seen_s <= _HOLD_S]
        held = np.array([box for _, box in self._before]).reshape(-1, 4)
        overlaps, found = intersection_over_union(held, boxes), set()
        while overlaps.size and overlaps.max() >= _SAME:  # greedy one-to-one matching
            row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
            found.add(row)
            overlaps[row], overlaps[:, column] = 0, 0
        missed = [each for row, each in enumerate(self._before) if row not in found]
        self._before = missed + [(time_s, box) for box in boxes]
        hidden = np.concatenate([boxes, *(box[None] for _, box in missed)])
        return visualization.blur_faces(image, hidden.tolist())
