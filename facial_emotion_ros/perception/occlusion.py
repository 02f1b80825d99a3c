"""Detect covered mouths (mask, scarf, hand) with a linear classifier on gradient histograms of the lower face."""

import base64
import math
from typing import Optional, Sequence, Tuple, Union

import cv2
import numpy as np

#: Side of an aligned face, and the positions of eyes, nose and mouth corners in it.
_SIDE_PX = 32
_PLACES = np.array([[0.30, 0.32], [0.70, 0.32], [0.50, 0.54], [0.34, 0.74], [0.66, 0.74]]) * _SIDE_PX - 0.5
#: Faces are first shrunk to this side by averaging, which reduces noise.
_BEFORE_PX = 56
#: Cell size and directions of the histograms, and the first row of cells used: eyes and forehead are above.
_CELL_PX, _DIRECTIONS, _FIRST_ROW = 4, 8, 3

_CELLS = _SIDE_PX // _CELL_PX
#: Index of the first direction of each pixel's cell in the histograms.
_CELL_INDEX = _DIRECTIONS * np.arange(_CELLS**2).reshape(_CELLS, _CELLS).repeat(_CELL_PX, 0).repeat(_CELL_PX, 1)
#: Number of features: gradients in each direction and brightness, for each cell of the lower face.
FEATURES = (_CELLS - _FIRST_ROW) * _CELLS * (_DIRECTIONS + 1)
#: Added to the norm of the gradients and to the spread of the gray values, so that noise is not amplified.
_FLOOR, _LEAST_SPREAD = 10.0, 5.0

Box = Union[Sequence[float], np.ndarray]


def shrunk_face(image: np.ndarray, box: Box, side_px: int) -> Optional[Tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Crop a face, convert it to gray and shrink it by averaging; a smaller one keeps its size.

    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 of the face in pixels.
    :param side_px: square root of the target area.
    :returns: (h, w) uint8; x, y of its top left corner in the image; and the x and y scale factors. None for a box with
        a side below 4 pixels.
    """
    x0, y0 = max(int(round(box[0])), 0), max(int(round(box[1])), 0)
    part = image[y0 : max(int(round(box[3])), y0), x0 : max(int(round(box[2])), x0)]
    if min(part.shape[:2]) < 4:
        return None
    gray = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_BGR2GRAY)
    factor = min(side_px / math.sqrt(gray.size), 1.0)
    size = tuple(max(4, int(round(side * factor))) for side in (gray.shape[1], gray.shape[0]))
    return (
        cv2.resize(gray, size, interpolation=cv2.INTER_AREA),
        np.array([x0, y0]),
        np.array(size, np.float64) / gray.shape[1::-1],
    )


def lower_face_features(image: np.ndarray, box: Box, landmarks: np.ndarray) -> Optional[np.ndarray]:
    """Compute gradient histograms and brightness of the lower face's cells, normalised by those of the whole face.

    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 of the face in pixels.
    :param landmarks: (5, 2) pixels, see Faces.
    :returns: (FEATURES,) float32; None for a box with a side below 4 pixels.

    Source: Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005; square roots as in
    RootSIFT (Arandjelovic and Zisserman, CVPR 2012).
    """
    found = shrunk_face(image, box, _BEFORE_PX)
    if found is None:
        return None
    gray, corner, scale = found
    points = (np.asarray(landmarks, np.float64) - corner) * scale - 0.5
    face = cv2.warpAffine(
        gray,
        _similarity(points, _PLACES),
        (_SIDE_PX, _SIDE_PX),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    strength, angle = cv2.cartToPolar(cv2.Sobel(face, cv2.CV_32F, 1, 0), cv2.Sobel(face, cv2.CV_32F, 0, 1))
    direction = (angle * (_DIRECTIONS / (2 * math.pi))).astype(np.int32) % _DIRECTIONS
    sums = np.bincount((_CELL_INDEX + direction).ravel(), strength.ravel(), _DIRECTIONS * _CELLS**2)
    edges = sums / _CELL_PX**2
    edges = np.sqrt(edges / (math.sqrt(edges.dot(edges)) + _FLOOR))
    cells = cv2.resize(face, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA).astype(np.float32)
    cells = (cells - cells.mean()) / (cells.std() + _LEAST_SPREAD)
    return np.concatenate([edges[_FIRST_ROW * _CELLS * _DIRECTIONS :], 0.2 * cells[_FIRST_ROW:].ravel()]).astype(
        np.float32
    )


def mouth_occlusion(image: np.ndarray, box: Box, landmarks: np.ndarray) -> float:
    """Estimate the probability that the mouth is covered; error rates at 0.5: docs/faces_over_time.md.

    :param image: (H, W, 3) uint8 BGR.
    :param box: x0, y0, x1, y1 of the face in pixels.
    :param landmarks: (5, 2) pixels, see Faces; detectors place them on covered mouths too.
    :returns: in [0, 1]; 0 for a box with a side below 4 pixels.
    """
    features = lower_face_features(image, box, landmarks)
    if features is None:
        return 0.0
    return 1.0 / (1.0 + math.exp(-min(max(float(features.dot(WEIGHTS[:-1]) + WEIGHTS[-1]), -50.0), 50.0)))


def _similarity(points: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the (2, 3) least-squares similarity transform from points to places."""
    middle, target = points.mean(axis=0), places.mean(axis=0)
    apart, wanted = points - middle, places - target
    size = max(float((apart * apart).sum()), 1e-6)
    cosine = float((apart * wanted).sum()) / size
    sine = float((apart[:, 0] * wanted[:, 1] - apart[:, 1] * wanted[:, 0]).sum()) / size
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, target - turn.dot(middle)])


#: Weights of the features, and the bias: float16, little-endian. Fitted on 589 faces of FER+ train with covers drawn
#: over the mouths, and printed by `evaluate_over_time occlusion --dataset ferplus_train.npz --only ferplus_dev.txt
#: --scenes 600 --detector centerface_int8`.
WEIGHTS = np.frombuffer(
    base64.b64decode(
        'ALseL3yutzQaLROx0LgYOCA3dDBuOa24LTFKKA4wYTZvLQ46EzZ5N704NT1hOfIfMirDtac5pziurZM+aUBsMFcztjWaOMW4qjMZO6k6SzPgNSE8'
        'NSmstUQvpTzhNF00QblvNtQ6TTYtPGw2My6nKXm7QzZsPOI2Ubi3MWUy6SjrLfUyDDVJMQm02zQGMoa0mD1UPVc59jWVN0Q7aDg2MV8xaEDXO4sx'
        'lbqoOqZAjbHzuLc/obXVvTq+iaFHvmHBjr6ouaOw77rTvI+6lrCqvNCwQEBsQFa3HicpPaY6Vbu/OJk8kj7AOqA4Kj2CKTQoeiu4LjQ9IjPbs3w4'
        '7zjNNIAzLjebMDC1trlssGukH7t6PiE+RzctuSE6CDpePpmyojkMPReiP745vJ7A6L5svlW8tMFTwxu/Fa/QwrDBj74xwXPEX8B/vDG89sM7wrq8'
        'Rr6ONJM5eaqAvMm9Fbzju520Dy4BQGw+OytSOBk8HzmvNIqqbzlPrCG4Vzo8tastkTkuMu83KzUUtwUwbC2PsZ871z1CNzI7XLQ8qhgvUzi3KkI4'
        '8LtBv/64yjiXNZK+8rltwVLEd72Jrl++hr0rvaO+XcMRwti1M7wCwMi9QbTPwG29RDpHKGO6mTmCM5K3yLYKPdM9ojXmtsuXgSa2OOYtZThxN/g3'
        'jzVstd0qDqvLJvmou6zStJm1SDs/sbC3PTgItGU5EDeVOYY1KLdgO4I8bjpaNqS3Xz2DLie3m6bmPFulWbjNNS09iLhrMa64YDiCvC02zT28N9es'
        'S68UPLMs6zQwNmQ79zQKuW81+DyiuR00ljAnOJA6YTQsJtI6NrJvNDAv/KnrtcK0Pi6Xulg5+DtEOw24DrQYOXw0/TrMMm8yaTVKtfI0kzmGMas6'
        'ybBqtCIsxbm0t1G337RkLi41HDZcMQy4U7beo4YzQTlithy3qDH/t4GsrzphMaC2AD8='
    ),
    '<f2',
).astype(np.float32)
