"""Finds near-duplicate images, and draws held-out sets without them.

FER2013 was collected by web search and has many duplicates, some cropped, mirrored or relit; held-out faces must not
occur in the training set.
"""

import hashlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.face_set import FaceSet

#: Thumbnails with a higher correlation count as the same image. With mirror images, this finds all 439 known copies of
#: train in FER+ valid (279 of them exact) and 61 more near copies and look-alikes; 0.98 finds 374 of the 439.
SAME_PICTURE = 0.95

_SIDE_PX = 16
_CHUNK = 1000


def thumbnails(face_set: FaceSet, mirrored: bool = False) -> np.ndarray:
    """Reduce faces to thumbnails invariant to scale, brightness and contrast.

    :param face_set: FaceSet.
    :param mirrored: flip the faces.
    :returns: (N, 256) float32: 16x16 gray, zero mean, length 1; zeros for a uniform image.
    """
    rows = np.arange(len(face_set))
    small = np.empty((len(rows), _SIDE_PX * _SIDE_PX), np.float32)
    for first in range(0, len(rows), _CHUNK):
        for place, face in enumerate(face_set.faces(rows[first : first + _CHUNK]), first):
            gray = face if face.ndim == 2 else cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
            gray = gray[:, ::-1] if mirrored else gray
            small[place] = cv2.resize(gray, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).ravel()
    small -= small.mean(1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    return small


def have_copies(face_set: FaceSet, others: Iterable[FaceSet] = ()) -> np.ndarray:
    """Return which images of a set have a copy in it, or in other sets, there also mirrored: (N,) bool."""
    own = thumbnails(face_set)
    found = _have_match(own, own, among_themselves=True)
    for other in others:
        for mirrored in (False, True):
            found |= _have_match(own, thumbnails(other, mirrored=mirrored))
    return found


def exact_copies(face_set: FaceSet, other: FaceSet) -> np.ndarray:
    """Return which faces of a set are in another one, pixel by pixel: (N,) bool."""
    known = set(_digests(other))
    return np.array([digest in known for digest in _digests(face_set)], bool)


def choose_held_out(
    face_set: FaceSet, others: Iterable[FaceSet], count: int, seed: int, candidates: np.ndarray | None = None
) -> np.ndarray:
    """Draw images to hold out that have no copy, neither in their set nor in others.

    :param face_set: FaceSet to hold out from.
    :param others: sets that must not contain them either, such as the test split.
    :param count: number of images.
    :param seed: of the draw.
    :param candidates: (M,) eligible rows; None for those with a category.
    :returns: (count,) int64 indices, ascending.
    :raises BadDataset: if there are fewer such rows.
    """
    candidates = face_set.where_category() if candidates is None else np.asarray(candidates)
    candidates = candidates[~have_copies(face_set, others)[candidates]]
    if len(candidates) < count:
        raise BadDataset(
            f'{face_set.name}: expected {count} images without a copy, got {len(candidates)}; hold out fewer'
        )
    return np.sort(np.random.default_rng(seed).permutation(candidates)[:count])


def _digests(face_set: FaceSet) -> Iterator[bytes]:
    """Yield a hash of each face's shape and pixels."""
    for first in range(0, len(face_set), _CHUNK):
        for face in face_set.faces(np.arange(first, min(first + _CHUNK, len(face_set)))):
            yield hashlib.sha256(b'%d %d ' % face.shape[:2] + np.ascontiguousarray(face).tobytes()).digest()


def _have_match(own: np.ndarray, others: np.ndarray, among_themselves: bool = False) -> np.ndarray:
    found = np.zeros(len(own), bool)
    for first in range(0, len(own), _CHUNK):
        alike = own[first : first + _CHUNK] @ others.T
        if among_themselves:
            each = np.arange(len(alike))
            alike[each, first + each] = 0
        found[first : first + _CHUNK] = alike.max(1, initial=0) > SAME_PICTURE
    return found
