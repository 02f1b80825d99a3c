"""Read a face again only when it looks different: a still face says what it said."""

from typing import Dict, Optional, Sequence, Tuple

import numpy as np

from facial_emotion_ros.ensemble import EnsembleEstimates


class CropMemory:
    """What each face looked like when it was last read, and what the network said then.

    A crop is compared with the one that was read, not with the one before: a slow change adds up until it is seen.
    """

    def __init__(self):
        """Begin without faces."""
        self._known: Dict[str, Tuple[np.ndarray, Tuple[np.ndarray, ...]]] = {}
        #: How many faces were read and how many were not, since the beginning.
        self.read, self.reused = 0, 0

    def estimate(self, engine, ids: Sequence[str], crops: np.ndarray, below: float,
                 until_s: Optional[float] = None) -> EnsembleEstimates:
        """Read those faces that look different, and repeat the others' estimates.

        :param engine: EsrEngine.
        :param ids: N ids of faces.
        :param crops: (N, C, S, S) uint8, as :func:`.face_crop.cut_planes` makes them.
        :param below: a face is not read again where its crop differs by less than so many levels of 255 (mean of the
            absolute differences); 0 reads every face.
        :param until_s: see EsrEngine.run.
        :returns: EnsembleEstimates of the N faces.
        :raises BadModel: see EsrEngine.estimate.
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

    def forget(self):
        """Drop all faces."""
        self._known.clear()

    def _difference(self, face_id: str, crop: np.ndarray) -> float:
        if face_id not in self._known or self._known[face_id][0].shape != crop.shape:
            return float('inf')
        return float(np.abs(crop.astype(np.int16) - self._known[face_id][0]).mean())
