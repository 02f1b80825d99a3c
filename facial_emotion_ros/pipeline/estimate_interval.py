"""Estimate the faces of a stream in every n-th image, and repeat the estimates in between."""

import math
from dataclasses import replace
from typing import Dict, List, Optional, Sequence

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.face_stream import MAX_GAP_S, FoundFaces


class EstimateInterval:
    """Keeps the last estimates of a stream's faces for images in which they are not estimated."""

    def __init__(self, every_n: int = 1) -> None:
        """Begin without estimates.

        :param every_n: estimate in every n-th image, at least 1, and at least every 0.25 s. An image with a new face is
            estimated, and counts as the first.
        :raises BadParameter: for a value outside its range.
        """
        if isinstance(every_n, bool) or not isinstance(every_n, int) or every_n < 1:
            raise BadParameter('expected to estimate in every n-th image with n of 1 or more, got %r' % (every_n,))
        self.every_n = every_n
        self.forget()

    def forget(self) -> None:
        """Drop all estimates."""
        self._known: Dict[str, FaceEstimate] = {}
        self._estimated_s, self._since = -math.inf, 0

    def repeated(self, found: FoundFaces, stamp_s: float) -> Optional[List[FaceEstimate]]:
        """Return the last estimates of the next image's faces, at their new places; None where estimates are due.

        :param found: its faces.
        :param stamp_s: when it was taken, in seconds.
        """
        if (
            self._since >= self.every_n
            or not 0 <= stamp_s - self._estimated_s < MAX_GAP_S
            or not all(face_id in self._known for face_id in found.ids)
        ):
            return None
        self._since += 1
        faces = []
        for row, face_id in enumerate(found.ids):
            x0, y0, x1, y1 = (float(edge) for edge in found.boxes[row])
            place = {'box_score': float(found.scores[row]), 'landmarks': found.landmarks[row]}
            faces.append(replace(self._known[face_id], box=(x0, y0, x1, y1), **place))
        return faces

    def remember(self, ids: Sequence[str], faces: Sequence[FaceEstimate], stamp_s: float) -> None:
        """Take the estimates of an image, not yet smoothed, for the next ones."""
        if self.every_n > 1:
            self._known, self._estimated_s, self._since = dict(zip(ids, faces)), stamp_s, 1
