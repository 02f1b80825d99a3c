"""What a bundle says of a set of labelled faces: run once, looked at as often as one likes."""

from dataclasses import dataclass, replace

import numpy as np

from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.learning.augmentation import plain
from facial_emotion_ros.learning.face_set import ANNOTATED

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Reading:
    """What is known of M faces, and what a network says of them.

    :param names: (M,) str.
    :param labels: (M,) int64, places in EMOTIONS by the set's own protocol, -1 where there is none.
    :param affect_truth: (M, 2) float32 valence and arousal, NaN where unknown.
    :param affect_source: 'annotated' or 'derived from votes'.
    :param logits: (M, B, 8) float32, as the network gives them.
    :param affect: (M, B, 2) float32, not bounded.
    """

    names: np.ndarray
    labels: np.ndarray
    affect_truth: np.ndarray
    affect_source: str
    logits: np.ndarray
    affect: np.ndarray

    def __len__(self):
        return len(self.names)

    def rows(self, chosen):
        """Keep some rows.

        :param chosen: (M,) bool or integer indices.
        :returns: Reading of these rows.
        """
        kept = {name: array[chosen] for name, array in vars(self).items() if name != 'affect_source'}
        return replace(self, **kept)

    def labelled(self):
        """Keep the rows that have a label."""
        return self.rows(self.labels >= 0)

    def without(self, names):
        """Leave faces out.

        :param names: of their pictures, such as copies of training pictures.
        :returns: Reading of the other rows.
        :raises BadDataset: if none of the names is among them: the list is for another set.
        """
        leaves = np.isin(self.names, list(names))
        if not leaves.any():
            raise BadDataset(
                f'pictures to leave out expected among the {len(self)} that are read, but none of the {len(names)} '
                f'names is there ({", ".join(list(names)[:3])}, ...); is the list for another set?'
            )
        return self.rows(~leaves)


def rows_to_read(face_set):
    """Tell which faces of a set have something to compare with.

    :param face_set: FaceSet.
    :returns: (M,) int64: rows with a label, and where people rated affect all rows with that. (Affect that is derived
        from votes is compared on labelled rows alone: it says nothing more.)
    """
    wanted = face_set.labels >= 0
    if face_set.affect_source == ANNOTATED:
        wanted = wanted | ~np.isnan(face_set.affect).any(1)
    return np.flatnonzero(wanted)


def read_faces(engine, face_set, report=None):
    """Run an engine on a set of faces: single crop, no test-time augmentation.

    :param engine: EsrEngine.
    :param face_set: FaceSet.
    :param report: called with the number of faces done so far, and that of all.
    :returns: Reading of the rows of :func:`rows_to_read`.
    :raises BadDataset: if no face has a label.
    """
    if not (face_set.labels >= 0).any():
        raise BadDataset(f'{face_set.name}: faces with a label expected, none of its {len(face_set)} has one')
    rows = rows_to_read(face_set)
    parts = []
    for first in range(0, len(rows), _BATCH):
        parts.append(engine.run(plain(face_set.faces(rows[first:first + _BATCH]), engine.geometry)))
        if report:
            report(min(first + _BATCH, len(rows)), len(rows))
    logits, affect = (np.concatenate(part) for part in zip(*parts))
    return Reading(
        face_set.names[rows], face_set.labels[rows], face_set.affect[rows], face_set.affect_source, logits, affect
    )
