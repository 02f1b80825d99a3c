"""Which parts of a camera's images are blurred, so that no face is recognised in a picture of the report."""

import numpy as np

from facial_emotion_ros.core import visualization
from facial_emotion_ros.perception.face_tracker import intersection_over_union

#: The place of a face that the detector misses stays blurred for so long; a box that overlaps it so far (intersection
#: over union) is the face, found again.
_HOLD_S, _SAME = 0.5, 0.3


class FaceBlur:
    """Blurs the faces of one camera's images, in the order of time."""

    def __init__(self) -> None:
        """Begin without images."""
        self._before: list[tuple[float, np.ndarray]] = []

    def apply(self, image: np.ndarray, boxes: np.ndarray, time_s: float) -> np.ndarray:
        """Blur all boxes, and those of the last half second of faces that were not found again.

        :param image: (H, W, 3) uint8 BGR; not modified.
        :param boxes: (N, 4) x0 y0 x1 y1 of all that may be a face, in px.
        :param time_s: of the image, in seconds.
        :returns: (H, W, 3) uint8 BGR, a copy.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        self._before = [(seen_s, box) for seen_s, box in self._before if 0 <= time_s - seen_s <= _HOLD_S]
        held = np.array([box for _, box in self._before]).reshape(-1, 4)
        overlaps, found = intersection_over_union(held, boxes), set()
        while overlaps.size and overlaps.max() >= _SAME:  # each box is one face's
            row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
            found.add(row)
            overlaps[row], overlaps[:, column] = 0, 0
        missed = [each for row, each in enumerate(self._before) if row not in found]
        self._before = missed + [(time_s, box) for box in boxes]
        hidden = np.concatenate([boxes, *(box[None] for _, box in missed)])
        return visualization.blur_faces(image, hidden.tolist())
