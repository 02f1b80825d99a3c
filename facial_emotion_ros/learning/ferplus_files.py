"""FER+ as people have it on their disks, read into memory."""

import os

import numpy as np

from facial_emotion_ros.errors import BadDataset, BadImage
from facial_emotion_ros.learning.damage import DamagedPicture, decode_face, refuse_many
from facial_emotion_ros.learning.ferplus import SIDE_PX, FerPlus

_KEYS = ('png', 'offsets', 'votes', 'names')


def read_ferplus(path, new_votes=False):
    """Read a split of FER+.

    :param path: npz with png (uint8, all pictures one after the other), offsets (N + 1, int), votes (N, 10) and names.
    :param new_votes: take the array votes_new, which holds the votes of fer2013new.csv.
    :returns: FerPlus without the damaged pictures, which are listed.
    :raises BadDataset: if the file is absent, keys or shapes do not fit, or more than 1% of the pictures are damaged.
    """
    if not os.path.isfile(path):
        raise BadDataset(f'{path}: a FER+ npz file expected, there is none; docs/datasets.md says how to make one')
    keys = tuple(key.replace('votes', 'votes_new') if new_votes else key for key in _KEYS)
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in keys if key not in archive]
            if missing:
                raise BadDataset(f'{path}: arrays {", ".join(keys)} expected, {", ".join(missing)} missing')
            png, offsets, votes, names = (archive[key] for key in keys)
    except (OSError, ValueError) as error:
        raise BadDataset(f'{path}: a FER+ npz file expected, it cannot be read ({error})') from error
    if votes.shape != (len(names), 10) or offsets.shape != (len(names) + 1,):
        raise BadDataset(
            f'{path}: votes (N, 10) and offsets (N + 1,) expected for {len(names)} names, '
            f'got {votes.shape} and {offsets.shape}'
        )
    names = np.char.decode(names) if names.dtype.kind == 'S' else names
    pictures = (png[offsets[row]:offsets[row + 1]] for row in range(len(names)))
    return _collect(path, pictures, votes, names)


def _collect(where, pictures, votes, names):
    """Decode all pictures; those that are no 48x48 picture are left out and listed."""
    faces = np.empty((len(names), SIDE_PX, SIDE_PX), np.uint8)
    damaged, whole = [], np.ones(len(names), bool)
    for row, content in enumerate(pictures):
        try:
            faces[row] = _decode(content)
        except BadImage as error:
            whole[row] = False
            damaged.append(DamagedPicture(str(names[row]), str(error)))
    refuse_many(damaged, len(names), where)
    name = os.path.splitext(os.path.basename(os.path.abspath(where)))[0]
    if damaged:
        faces, votes, names = faces[whole], votes[whole], names[whole]
    return FerPlus(faces, votes, names, name, damaged)


def _decode(content):
    face = decode_face(content, gray=True)
    if face.shape != (SIDE_PX, SIDE_PX):
        raise BadImage(f'a {SIDE_PX}x{SIDE_PX} picture expected, got {face.shape[1]}x{face.shape[0]}')
    return face
