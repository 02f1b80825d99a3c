"""FER+ as arrays in memory, with its published protocol."""

import os
from dataclasses import dataclass

import cv2
import numpy as np

from facial_emotion_ros.emotions import FERPLUS_VOTE_COLUMNS
from facial_emotion_ros.errors import BadDataset

_KEYS = ('png', 'offsets', 'votes', 'names')


@dataclass(frozen=True)
class FerPlus:
    """One split of FER+.

    :param faces: (N, 48, 48) uint8, gray.
    :param votes: (N, 10) int64, in FER+'s column order: eight emotions, unknown, not a face.
    :param names: (N,) str, file names.
    """

    faces: np.ndarray
    votes: np.ndarray
    names: np.ndarray

    def __len__(self):
        return len(self.faces)

    def rows(self, chosen):
        """Keep some rows.

        :param chosen: (M,) integer indices or (N,) bool.
        :returns: FerPlus of these rows.
        """
        return FerPlus(self.faces[chosen], self.votes[chosen], self.names[chosen])

    def majority(self):
        """Apply the "majority" protocol: single votes count as none, the winner needs more than half of the rest.

        :returns: rows (M,) int64 that the protocol keeps, and labels (M,) int64 in the order of EMOTIONS.

        Source: Barsoum et al., ICMI 2016, section 3; used by ESR (AAAI 2020, section 4).
        """
        votes = np.where(self.votes > 1, self.votes, 0)
        winner = votes.argmax(1)
        keeps = (2 * votes.max(1) > votes.sum(1)) & (winner < 8)
        class_of_column = np.argsort(FERPLUS_VOTE_COLUMNS)
        rows = np.flatnonzero(keeps)
        return rows, class_of_column[winner[rows]]

    def soft_labels(self):
        """Turn the votes for emotions, single votes aside, into distributions.

        :returns: rows (M,) int64 with any such vote, and distributions (M, 8) float32 in the order of EMOTIONS.
        """
        votes = np.where(self.votes > 1, self.votes, 0)[:, list(FERPLUS_VOTE_COLUMNS)].astype(np.float32)
        rows = np.flatnonzero(votes.sum(1) > 0)
        return rows, votes[rows] / votes[rows].sum(1, keepdims=True)


def read_ferplus(path):
    """Read a split of FER+ from one npz file.

    :param path: npz with png (uint8, all pictures one after the other), offsets (N + 1, int), votes (N, 10) and names.
    :returns: FerPlus.
    :raises BadDataset: if the file is absent, keys or shapes do not fit, or a picture cannot be read.
    """
    if not os.path.isfile(path):
        raise BadDataset(f'{path}: a FER+ npz file expected, there is none; the README says how to make one')
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive]
            if missing:
                raise BadDataset(f'{path}: arrays {", ".join(_KEYS)} expected, {", ".join(missing)} missing')
            png, offsets, votes, names = (archive[key] for key in _KEYS)
    except (OSError, ValueError) as error:
        raise BadDataset(f'{path}: a FER+ npz file expected, it cannot be read ({error})') from error
    if votes.shape != (len(names), 10) or offsets.shape != (len(names) + 1,):
        raise BadDataset(
            f'{path}: votes (N, 10) and offsets (N + 1,) expected for {len(names)} names, '
            f'got {votes.shape} and {offsets.shape}'
        )
    faces = np.empty((len(names), 48, 48), np.uint8)
    for row in range(len(names)):
        face = cv2.imdecode(png[offsets[row]:offsets[row + 1]], cv2.IMREAD_GRAYSCALE)
        if face is None or face.shape != (48, 48):
            came = 'no picture' if face is None else f'{face.shape[1]}x{face.shape[0]}'
            raise BadDataset(f'{path}: row {row}: a 48x48 picture expected, got {came}')
        faces[row] = face
    return FerPlus(faces, votes.astype(np.int64), np.char.decode(names) if names.dtype.kind == 'S' else names)


def read_names(path):
    """Read picture names, one a line.

    :param path: text file; what follows white space on a line does not count.
    :returns: list of str.
    :raises BadDataset: if the file cannot be read.
    """
    try:
        with open(path, encoding='utf-8') as file:
            return [line.split()[0] for line in file if line.strip() and not line.startswith('#')]
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f'{path}: a list of picture names expected, it cannot be read ({error})') from error
