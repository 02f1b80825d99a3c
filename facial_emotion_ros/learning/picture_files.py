"""Faces in picture files, which are read when they are asked for: for sets that do not fit into memory."""

import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor

import cv2

from facial_emotion_ros.atomic_file import read_cached, write_whole
from facial_emotion_ros.errors import BadDataset, BadImage
from facial_emotion_ros.learning.damage import DamagedPicture, decode_face, refuse_many
from facial_emotion_ros.learning.face_set import FaceSet
from facial_emotion_ros.pictures import read_file

#: Larger pictures are shrunk to this side when they are read: no network here sees more than 128 px of a face.
MAX_SIDE_PX = 256

_CHUNK = 4096

#: Changes when pictures are checked in another way, so that what was remembered does not count any more.
_CHECKED_HOW = b'2 '


class PictureFiles(FaceSet):
    """Faces in picture files below one folder; names are paths relative to it, with slashes.

    Every picture is read once when the set is opened, to know the damaged ones before a training begins; what was found
    is remembered for as long as no file changes. Later, rows are read when they are asked for.
    """

    def __init__(self, name, root, names, distributions, labels, affect, damaged=(), check=True, report=None):
        """Take labels and names, and look for damaged pictures.

        :param root: folder that the names are relative to.
        :param damaged: DamagedPicture of what was found unusable already, beside the names.
        :param check: read every picture now; if not, the first damaged one that is asked for ends the reading.
        :param report: called with one line of text about each damaged picture; None for stderr.
        :raises BadDataset: if labels do not fit, or more than 1% of the pictures are damaged.
        """
        super().__init__(name, names, distributions, labels, affect, damaged)
        self.root = root
        found = check_pictures(root, self.names.tolist()) if check else {}
        if found:
            self._keep([each not in found for each in self.names])
        self.damaged += tuple(DamagedPicture(*each) for each in found.items())
        refuse_many(self.damaged, len(self.names) + len(self.damaged), root, report)

    def faces(self, rows=None):
        """Read faces from their files.

        :param rows: (M,) integer indices or (N,) bool; None for all, which large sets do not fit into memory for.
        :returns: list of M uint8 arrays, (P, P) gray or (P, P, 3) BGR: of pictures that are not square the middle.
        :raises BadDataset: if a picture cannot be read any more.
        """
        names = self.names if rows is None else self.names[rows]
        faces = []
        for name in names:
            try:
                faces.append(read_face(os.path.join(self.root, name)))
            except BadImage as error:
                raise BadDataset(f'{self.root}: {name}: {error}; open the set again') from None
        return faces


def read_face(path):
    """Read one picture of a face.

    :param path: of the file.
    :returns: (P, P) gray or (P, P, 3) BGR, uint8, P at most MAX_SIDE_PX: the middle square of the picture.
    :raises BadImage: with the reason.
    """
    picture = decode_face(read_file(path))
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    face = picture[top:top + side, left:left + side]
    if side > MAX_SIDE_PX:
        face = cv2.resize(face, (MAX_SIDE_PX, MAX_SIDE_PX), interpolation=cv2.INTER_AREA)
    return face


def check_pictures(root, names, threads=None):
    """Read pictures to find the damaged ones; what was found is kept in the user's cache until a file changes.

    :param root: folder that the names are relative to.
    :param names: list of names.
    :param threads: None for as many as there are processors.
    :returns: dict of name to reason, of the damaged ones.
    """
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        kept = os.path.join(_cache_folder(), f'{_signature(root, names, pool)}.json')
        damaged = read_cached(kept)
        if damaged is not None and all(isinstance(reason, str) for reason in damaged.values()):
            return damaged
        reasons = _in_chunks(pool, lambda name: _reason(os.path.join(root, name)), names)
        damaged = {name: reason for name, reason in zip(names, reasons) if reason}
    try:
        write_whole(kept, json.dumps(damaged).encode())
    except OSError:
        pass  # without a place to keep it, the next opening reads everything again
    return damaged


def _cache_folder():
    cache = os.environ.get('XDG_CACHE_HOME') or os.path.join(os.path.expanduser('~'), '.cache')
    return os.path.join(cache, 'facial_emotion_ros', 'checked_pictures')


def _reason(path):
    try:
        read_face(path)
    except BadImage as error:
        return str(error)
    return None


def _signature(root, names, pool):
    """Hash what changes when a file does: place, names, sizes and times of modification."""
    def state_of(name):
        try:
            status = os.stat(os.path.join(root, name))
        except OSError:
            return f'{name} absent'
        return f'{name} {status.st_size} {status.st_mtime_ns}'

    digest = hashlib.sha256(_CHECKED_HOW + os.fsencode(os.path.realpath(root)))
    for state in _in_chunks(pool, state_of, names):
        digest.update(b'\n' + os.fsencode(state))
    return digest.hexdigest()


def _in_chunks(pool, work, names):
    """Map in order, without a queue of hundreds of thousands of entries."""
    for first in range(0, len(names), _CHUNK):
        yield from pool.map(work, names[first:first + _CHUNK])
