"""Mixes two sets in a given ratio."""

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.face_set import FaceSet, Rows


class MixedFaces(FaceSet):
    """The concatenated rows of two sets."""

    _per_row = FaceSet._per_row + ('draw_factors', '_places')

    def __init__(self, first: FaceSet, second: FaceSet, second_share: float) -> None:
        """Mix two sets.

        :param second_share: fraction of the drawn faces from the second set, between 0 and 1, before a phase's `rare`.
        :raises BadDataset: if a set is empty.
        """
        if not len(first) or not len(second):
            raise BadDataset(
                f'expected at least one face in each set, got {len(first)} of {first.name} and '
                f'{len(second)} of {second.name}'
            )
        super().__init__(
            f'{first.name} and {second.name}',
            *(np.concatenate([getattr(first, name), getattr(second, name)]) for name in FaceSet._per_row),
            first.damaged + second.damaged,  # type: ignore[call-arg]
        )
        self.affect_source = first.affect_source
        self._sets = first, second
        self._places = np.concatenate([np.arange(len(first)), -1 - np.arange(len(second))])
        factor = second_share / (1 - second_share) * len(first) / len(second)
        self.draw_factors = np.concatenate([np.ones(len(first)), np.full(len(second), factor)])

    def faces(self, rows: Rows | None = None) -> list[np.ndarray]:
        """Read faces of both sets; see :meth:`FaceSet.faces`."""
        places = self._places if rows is None else self._places[rows]
        faces = np.empty(len(places), object)
        for a_set, chosen, own in ((self._sets[0], places >= 0, places), (self._sets[1], places < 0, -1 - places)):
            for place, face in zip(np.flatnonzero(chosen), a_set.faces(own[chosen])):
                faces[place] = face
        return list(faces)
