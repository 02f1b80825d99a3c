"""Reuse the last estimate of a face whose crop has hardly changed."""

from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from facial_emotion_ros.emotion.ensemble import EnsembleEstimates
from facial_emotion_ros.emotion.esr import EsrEngine


class EstimateCache:
    """The last estimated crop of each face, and its estimate.

    A crop is compared with the last estimated one, not with the previous one, so that slow changes add up.
    """

    def __init__(self) -> None:
        self._known: Dict[str, Tuple[np.ndarray, Tuple[np.ndarray, ...]]] = {}
        #: Number of estimated faces, and of reused estimates.
        self.read, self.reused = 0, 0

    def estimate(
        self, engine: EsrEngine, ids: Sequence[str], crops: np.ndarray, below: float, until_s: Optional[float] = None
    ) -> EnsembleEstimates:
        """Estimate the faces that have changed, and reuse the last estimates of the others.

        :param engine: the network.
        :param ids: N ids of faces.
        :param crops: (N, C, S, S) uint8, see :func:`face_crops.cut_planes`.
        :param below: reuse below this mean absolute difference of the crops, in levels of 255; 0 estimates every face.
        :param until_s: see EsrEngine.run.
        :raises BadModel: see EsrEngine.run.
        """
        if below <= 0:
            self._known.clear()
            self.read += len(ids)
            return engine.estimate(crops, until_s)
        rows = [row for row, face_id in enumerate(ids) if self._difference(face_id, crops[row]) >= below]
        if rows:
            fresh = engine.estimate(crops[rows], until_s)
            for place, row in enumerate(rows):
                numbers = tuple(each[place] for each in vars(fresh).values())
                self._known[ids[row]] = crops[row].copy(), numbers
        self.read += len(rows)
        self.reused += len(ids) - len(rows)
        self._known = {face_id: self._known[face_id] for face_id in ids}
        return EnsembleEstimates(*(np.stack(each) for each in zip(*(self._known[face_id][1] for face_id in ids))))

    def forget(self) -> None:
        """Drop all faces."""
        self._known.clear()

    def _difference(self, face_id: str, crop: np.ndarray) -> float:
        if face_id not in self._known or self._known[face_id][0].shape != crop.shape:
            return float('inf')
        return float(np.abs(crop.astype(np.int16) - self._known[face_id][0]).mean())
