"""Predictions of a bundle for a set of labelled faces."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.training.data.augmentation import plain
from facial_emotion_ros.training.data.face_set import ANNOTATED, FaceSet

_BATCH = 64


@dataclass(frozen=True, eq=False)
class DatasetPredictions:
    """Labels and predictions of M faces.

    :param names: (M,) str.
    :param labels: (M,) int64, indices in EMOTIONS by the set's protocol, -1 for none.
    :param affect_truth: (M, 2) float32 valence and arousal, NaN where unknown.
    :param affect_source: 'annotated' or 'derived from votes'.
    :param logits: (M, B, 8) float32.
    :param affect: (M, B, 2) float32, not bounded.
    """

    names: np.ndarray
    labels: np.ndarray
    affect_truth: np.ndarray
    affect_source: str
    logits: np.ndarray
    affect: np.ndarray

    def __len__(self) -> int:
        return len(self.names)

    def rows(self, chosen: np.ndarray) -> 'DatasetPredictions':
        """Keep some rows.

        :param chosen: (M,) bool or integer indices.
        """
        kept = {name: array[chosen] for name, array in vars(self).items() if name != 'affect_source'}
        return replace(self, **kept)

    def labelled(self) -> 'DatasetPredictions':
        """Keep the rows that have a label."""
        return self.rows(self.labels >= 0)

    def without(self, names: Collection[str]) -> 'DatasetPredictions':
        """Exclude faces.

        :param names: names to exclude, such as copies of training pictures.
        :raises BadDataset: if none of the names is present: the list is for another set.
        """
        leaves = np.isin(self.names, list(names))
        if not leaves.any():
            raise BadDataset(
                f'expected names of faces to exclude, none of these {len(names)} is among the {len(self)} of the '
                f'set ({", ".join(list(names)[:3])}, ...); is the list for another set?'
            )
        return self.rows(~leaves)


def rows_to_read(face_set: FaceSet) -> np.ndarray:
    """Select the faces with labels to compare predictions with.

    :returns: (M,) int64: rows with a label, and if affect was annotated also rows with affect. (Affect derived from
        votes is compared on labelled rows only.)
    """
    wanted = face_set.labels >= 0
    if face_set.affect_source == ANNOTATED:
        wanted = wanted | ~np.isnan(face_set.affect).any(1)
    return np.flatnonzero(wanted)


def read_faces(
    engine: EsrEngine, face_set: FaceSet, report: Callable[[int, int], object] | None = None
) -> DatasetPredictions:
    """Run an engine on a set of faces: single crop, no test-time augmentation.

    :param engine: EsrEngine.
    :param face_set: FaceSet.
    :param report: called with the numbers of faces done and in total.
    :returns: predictions of the rows of :func:`rows_to_read`.
    :raises BadDataset: if no face has a label.
    """
    if not (face_set.labels >= 0).any():
        raise BadDataset(f'{face_set.name}: expected faces with a label, none of its {len(face_set)} has one')
    rows = rows_to_read(face_set)
    parts = []
    for first in range(0, len(rows), _BATCH):
        parts.append(engine.run(plain(face_set.faces(rows[first : first + _BATCH]), engine.geometry)))
        if report:
            report(min(first + _BATCH, len(rows)), len(rows))
    logits, affect = (np.concatenate(part) for part in zip(*parts))
    return DatasetPredictions(
        face_set.names[rows], face_set.labels[rows], face_set.affect[rows], face_set.affect_source, logits, affect
    )
