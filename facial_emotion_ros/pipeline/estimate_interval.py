"""Estimate the faces of a stream in every n-th image, and repeat the estimates in between."""

import math
from dataclasses import replace
from typing import Dict, List, Sequence, Set

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.face_stream import MAX_GAP_S, FoundFaces


class EstimateInterval:
    """Keep the last estimates of a stream's faces for images in which they are not estimated.

    :meth:`is_due` may be ahead of :meth:`repeated` and :meth:`remember` by some images.
    """

    def __init__(self, every_n: int = 1) -> None:
        """Start without estimates.

        :param every_n: estimate in every n-th image, at least 1, and at least every 0.25 s. An image with a new face is
            estimated, too, and restarts the count.
        :raises BadParameter: for a value outside its range.
        """
        if isinstance(every_n, bool) or not isinstance(every_n, int) or every_n < 1:
            raise BadParameter('expected to estimate in every n-th image with n of 1 or more, got %r' % (every_n,))
        self.every_n = every_n
        self.forget()

    def forget(self) -> None:
        """Drop all estimates."""
        self.begin_anew()
        self._known: Dict[str, FaceEstimate] = {}

    def begin_anew(self) -> None:
        """Make estimates due in the next image; earlier images can still be repeated."""
        self._ids: Set[str] = set()
        self._estimated_s, self._since = -math.inf, 0

    def is_due(self, ids: Sequence[str], stamp_s: float) -> bool:
        """Return whether the next image's faces are to be estimated; else the last estimates are repeated.

        :param ids: of its faces.
        :param stamp_s: acquisition time in seconds.
        """
        is_due = (
            self._since >= self.every_n or not 0 <= stamp_s - self._estimated_s < MAX_GAP_S or not set(ids) <= self._ids
        )
        if is_due:
            self._ids, self._estimated_s, self._since = set(ids), stamp_s, 0
        self._since += 1
        return is_due

    def repeated(self, found: FoundFaces) -> List[FaceEstimate]:
        """Return the last estimates of an image's faces, with their new boxes."""
        faces = []
        for row, face_id in enumerate(found.ids):
            x0, y0, x1, y1 = (float(edge) for edge in found.boxes[row])
            place = {'box_score': float(found.scores[row]), 'landmarks': found.landmarks[row]}
            faces.append(replace(self._known[face_id], box=(x0, y0, x1, y1), **place))
        return faces

    def remember(self, ids: Sequence[str], faces: Sequence[FaceEstimate]) -> None:
        """Store the estimates of an image, not yet smoothed, for the next ones."""
        self._known = dict(zip(ids, faces))
