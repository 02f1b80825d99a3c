"""Pictures that occur more than once, and lists of held-out pictures that have no copy elsewhere.

FER2013 was collected by web search, and holds many pictures twice, some of them cut, mirrored or lit differently. A
picture that the network has learned says nothing about others, so none of those may stop a training or choose a
threshold.
"""

import cv2
import numpy as np

from facial_emotion_ros.errors import BadDataset

#: Thumbnails that correlate more than this count as the same picture. Of the 439 faces of FER+ valid that are listed
#: as copies of train (279 of them pixel for pixel), all 439 are found so when mirror images are looked at too, and 61
#: more, near copies and some look-alikes: leaving out too many does no harm. At 0.98, 374 of the 439 are found.
SAME_PICTURE = 0.95

_SIDE_PX = 16
_CHUNK = 1000


def thumbnails(face_set, rows=None, mirrored=False):
    """Reduce faces to what stays alike when a picture is scaled or lit differently.

    :param face_set: FaceSet.
    :param rows: (M,) indices; None for all.
    :param mirrored: of the pictures' mirror images.
    :returns: (M, 256) float32: 16x16 gray, zero mean, length 1; of a picture of one gray level, zeros.
    """
    rows = np.arange(len(face_set)) if rows is None else np.asarray(rows)
    small = np.empty((len(rows), _SIDE_PX * _SIDE_PX), np.float32)
    for first in range(0, len(rows), _CHUNK):
        for place, face in enumerate(face_set.faces(rows[first:first + _CHUNK]), first):
            gray = face if face.ndim == 2 else cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
            gray = gray[:, ::-1] if mirrored else gray
            small[place] = cv2.resize(gray, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA).ravel()
    small -= small.mean(1, keepdims=True)
    small /= np.maximum(np.linalg.norm(small, axis=1, keepdims=True), 1e-6)
    return small


def have_copies(face_set, others=()):
    """Tell which pictures of a set occur once more in it, or in other sets, there mirrored or not.

    :param face_set: FaceSet of N faces.
    :param others: FaceSets.
    :returns: (N,) bool.
    """
    own = thumbnails(face_set)
    found = _alike(own, own, among_themselves=True)
    for other in others:
        for mirrored in (False, True):
            found |= _alike(own, thumbnails(other, mirrored=mirrored))
    return found


def choose_held_out(face_set, others, count, seed, candidates=None):
    """Draw pictures to hold out from those that have no copy, neither in their set nor in others.

    :param face_set: FaceSet to hold out from.
    :param others: FaceSets that the rows shall not occur in either, such as the split that is reported.
    :param count: how many.
    :param seed: of the draw.
    :param candidates: (M,) indices of rows that may be drawn; None for those with a category.
    :returns: (count,) int64 indices, ascending.
    :raises BadDataset: if there are fewer such rows.
    """
    candidates = face_set.where_category() if candidates is None else np.asarray(candidates)
    candidates = candidates[~have_copies(face_set, others)[candidates]]
    if len(candidates) < count:
        raise BadDataset(
            f'{face_set.name}: {count} pictures without a copy expected, there are {len(candidates)}; hold out fewer'
        )
    return np.sort(np.random.default_rng(seed).permutation(candidates)[:count])


def _alike(own, others, among_themselves=False):
    found = np.zeros(len(own), bool)
    for first in range(0, len(own), _CHUNK):
        alike = own[first:first + _CHUNK] @ others.T
        if among_themselves:
            each = np.arange(len(alike))
            alike[each, first + each] = 0
        found[first:first + _CHUNK] = alike.max(1, initial=0) > SAME_PICTURE
    return found
