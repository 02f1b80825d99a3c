"""Appearance descriptors (gradient histograms) that re-identify faces within a stream; nothing is stored."""

import base64

import cv2
import numpy as np

from facial_emotion_ros.perception.face_crops import CropGeometry, cut_planes

_CELLS, _CELL_PX, _DIRECTIONS = 6, 8, 8
_SIDE_PX = _CELLS * _CELL_PX
#: Length of a descriptor.
SIZE = _CELLS * _CELLS * _DIRECTIONS

#: Crop: gray, eyes level, slightly larger than the face.
GEOMETRY = CropGeometry(size_px=_SIDE_PX, margin=1.25, center_x=0.5, center_y=0.5, level_eyes=True, landmark_weight=0.7)

#: Index of each pixel's first histogram bin.
_BINS = _DIRECTIONS * (
    _CELLS * (np.arange(_SIDE_PX)[:, None] // _CELL_PX) + np.arange(_SIDE_PX)[None] // _CELL_PX
).astype(np.int64)

# Mean of `gradient_histogram` over faces of FER+ train, which all faces have in common and which is subtracted. Printed
# by `evaluate_over_time identity`; one byte a value, in steps of 1/2048.
MEAN = (
    np.frombuffer(
        base64.b64decode(
            'd1ZAMoppVjmgkEQjQz1ER3t+ckJFNUdIRUJyfntIRzVDI0SQoEdEPYoyQFZ3OVZpjGpGR4hRPziMeExGXICVaIdbQTQ1TaWz'
            'NTRBW4ezpU1cRkx4jGiVgIhHRmqMOD9RoGJITHpAPUuFd6qJTzQtT4y0pWNlUz9KZWOltIxKP1NPiap3hU8tNHpMSGKgSz1A'
            'j0FBT39ISWWcMSE3WFxjn2JTWGN9nqqHfWNYU2KHqp5YNyExnJ9jXH9PQUGPZUlIbjxTXYBMUFyNPD9fZUNTol1rmYlkYYR5'
            'ZImZa115hGFlXz88jaJTQ4BdUzxuXFBMVj1zYmc8XUxjU3VXV0BeZ1hKakpJRIl1SUpqSlh1iURXV3VTY2deQGdicz1WTF08'
        ),
        np.uint8,
    ).astype(np.float32)
    / 2048.0
)


def describe(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Compute a face's appearance descriptor; the dot product of two is larger for the same person.

    :param image: (H, W, 3) uint8 BGR.
    :param box: (4,) x0 y0 x1 y1 in pixels.
    :param landmarks: (5, 2) in pixels, see Faces.
    :returns: (SIZE,) float32 of length 1; zeros for a face without contrast, which matches no other.
    """
    histogram = gradient_histogram(image, box, landmarks)
    return unit(histogram - MEAN) if histogram.any() else histogram


def gradient_histogram(image: np.ndarray, box: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Compute histograms of gradient directions in 6 x 6 cells of the face, before the mean is subtracted.

    Source: Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection", CVPR 2005; each cell is
    normalised by itself, so that light from one side changes little.

    :param image, box, landmarks: see :func:`describe`.
    :returns: (SIZE,) float32 of length 1; zeros for a face without contrast.
    """
    crop = cut_planes(image, box[None], GEOMETRY, landmarks[None])[0, 0]
    gray = cv2.GaussianBlur(crop.astype(np.float32), (0, 0), 1.0)
    strength, angle = cv2.cartToPolar(cv2.Sobel(gray, cv2.CV_32F, 1, 0), cv2.Sobel(gray, cv2.CV_32F, 0, 1))
    angle *= _DIRECTIONS / (2 * np.pi)
    lower = angle.astype(np.int64)
    share = angle - lower
    histogram = np.zeros(SIZE)
    # Linear interpolation between the two nearest directions.
    for direction, weight in ((lower, 1 - share), (lower + 1, share)):
        bins = _BINS + direction % _DIRECTIONS
        histogram += np.bincount(bins.ravel(), (strength * weight).ravel(), SIZE)
    cells = histogram.reshape(-1, _DIRECTIONS)
    lengths = np.sqrt((cells**2).sum(axis=1))
    # Suppresses cells with less than about 2% of the strongest cell's contrast: noise.
    cells = cells / np.maximum(lengths + 0.02 * lengths.max(), 1e-6)[:, None]
    return unit(np.sqrt(np.minimum(cells, 0.6)).ravel().astype(np.float32))


def unit(vector: np.ndarray) -> np.ndarray:
    """Scale a vector to length 1; zeros stay."""
    return vector / max(float(np.sqrt(vector.dot(vector))), 1e-9)
