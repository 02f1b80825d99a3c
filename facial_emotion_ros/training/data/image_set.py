"""Faces in image files, read on access, for sets that do not fit into memory."""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np
from numpy.typing import ArrayLike

from facial_emotion_ros.core.errors import BadDataset, BadImage
from facial_emotion_ros.core.files import read_cached, write_atomic
from facial_emotion_ros.core.resources import cache_folder
from facial_emotion_ros.perception.image_files import read_file
from facial_emotion_ros.training.data.corrupt_images import CorruptImage, decode_face, refuse_many
from facial_emotion_ros.training.data.face_set import FaceSet, Rows

#: Larger images are shrunk to this side: no network here sees more than 128 px of a face.
MAX_SIDE_PX = 256

_CHUNK = 4096

#: Version of the check: a new one invalidates cached results.
_CHECK_VERSION = b'2 '


class ImageSet(FaceSet):
    """Faces in image files below one folder; names are relative paths with slashes.

    files: (N,) str, the images that are read, below the folder.

    Opening a set reads every image once to find damaged ones before a training; the result is cached until a file
    changes.
    """

    _per_row = FaceSet._per_row + ('files',)

    def __init__(
        self,
        name: str,
        root: str,
        names: ArrayLike,
        distributions: ArrayLike,
        labels: ArrayLike,
        affect: ArrayLike,
        damaged: Iterable[CorruptImage] = (),
        check: bool = True,
        report: Callable[[str], object] | None = None,
        files: ArrayLike | None = None,
    ) -> None:
        """Store labels and names, and check the images.

        :param root: folder that the names are relative to.
        :param damaged: unusable images found before.
        :param check: read every image now; otherwise access to a damaged one raises.
        :param report: called with a message about each damaged image; None for stderr.
        :param files: (N,) str; None if they are the names.
        :raises BadDataset: if labels are invalid, or more than 1% of the images are damaged.
        """
        super().__init__(name, names, distributions, labels, affect, damaged)
        self.root = root
        self.files = self.names if files is None else np.asarray(files, str)
        found = check_pictures(root, self.files.tolist()) if check else {}
        if found:
            damaged = np.isin(self.files, list(found))
            for name, file in zip(self.names[damaged], self.files[damaged]):
                self.damaged += (CorruptImage(str(name), found[file] if file == name else f'{file}: {found[file]}'),)
            self._keep(~damaged)
        refuse_many(self.damaged, len(self.names) + len(self.damaged), root, report)

    def faces(self, rows: Rows | None = None) -> list[np.ndarray]:
        """Read faces from their files.

        :param rows: (M,) integer indices or (N,) bool; None for all.
        :returns: list of M uint8 arrays, (P, P) gray or (P, P, 3) BGR: the centre square of each image.
        :raises BadDataset: if an image cannot be read.
        """
        faces = []
        for name in self.files if rows is None else self.files[rows]:
            try:
                faces.append(read_face(os.path.join(self.root, name)))
            except BadImage as error:
                raise BadDataset(f'{self.root}: {name}: {error}; open the set again') from None
        return faces


def read_face(path: str) -> np.ndarray:
    """Read one face.

    :returns: (P, P) gray or (P, P, 3) BGR, uint8, P at most MAX_SIDE_PX: the centre square of the image.
    :raises BadImage: with the reason.
    """
    picture = decode_face(read_file(path))
    height, width = picture.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    face = picture[top : top + side, left : left + side]
    if side > MAX_SIDE_PX:
        face = cv2.resize(face, (MAX_SIDE_PX, MAX_SIDE_PX), interpolation=cv2.INTER_AREA)
    return face


def check_pictures(root: str, names: Sequence[str]) -> dict[str, str]:
    """Find damaged images; the result is cached until a file changes.

    :param root: folder that the names are relative to.
    :param names: list of names.
    :returns: reason by name of each damaged image.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        kept = os.path.join(cache_folder('checked_pictures'), f'{_signature(root, names, pool)}.json')
        damaged = read_cached(kept)
        if damaged is not None and all(isinstance(reason, str) for reason in damaged.values()):
            return damaged
        reasons = _in_chunks(pool, lambda name: _reason(os.path.join(root, name)), names)
        damaged = {name: reason for name, reason in zip(names, reasons) if reason}
    try:
        write_atomic(kept, json.dumps(damaged).encode())
    except OSError:
        pass  # without a cache, all images are checked again next time
    return damaged


def _reason(path: str) -> str | None:
    try:
        read_face(path)
    except BadImage as error:
        return str(error)
    return None


def _signature(root: str, names: Sequence[str], pool: ThreadPoolExecutor) -> str:
    """Hash folder, names, sizes and modification times."""

    def state_of(name):
        try:
            status = os.stat(os.path.join(root, name))
        except OSError:
            return f'{name} absent'
        return f'{name} {status.st_size} {status.st_mtime_ns}'

    digest = hashlib.sha256(_CHECK_VERSION + os.fsencode(os.path.realpath(root)))
    for state in _in_chunks(pool, state_of, names):
        digest.update(b'\n' + os.fsencode(state))
    return digest.hexdigest()


def _in_chunks(pool: ThreadPoolExecutor, work: Callable[[str], Any], names: Sequence[str]) -> Iterator[Any]:
    """Map in order, with a bounded queue."""
    for first in range(0, len(names), _CHUNK):
        yield from pool.map(work, names[first : first + _CHUNK])
