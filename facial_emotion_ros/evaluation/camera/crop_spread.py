"""Measures how much crops of one face vary, since the detector places its box slightly differently in each image."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.evaluation.camera.end_to_end import which_face
from facial_emotion_ros.evaluation.camera.scenes import HEIGHT_PX, WIDTH_PX, LabelledFace, laid_on_gray
from facial_emotion_ros.perception.face_crops import CropGeometry, crop_squares, eye_angles
from facial_emotion_ros.perception.face_detector import FaceDetector

#: Sides of a face's box in pixels.
SIZES_PX = (24, 32, 48, 64, 96, 150, 300)
#: Images per size, each shifted by another fraction of a pixel.
MOVES = 4
#: Differences of a crop from that of the same face in its original image: natural logarithm of the side, shift of the
#: centre along and across the eye line in sides of the crop, and roll in degrees.
FIGURES = ('log_scale', 'shift_x', 'shift_y', 'roll')


def crop_spread(
    detector: FaceDetector,
    faces: Iterable[LabelledFace],
    geometry: CropGeometry,
    sizes: Sequence[int] = SIZES_PX,
    report: Callable[[int], object] | None = None,
) -> list[dict[str, Any]]:
    """Crop the same faces at many sizes and positions.

    :param detector: FaceDetector.
    :param faces: faces; those not detected in their original image are skipped.
    :param geometry: CropGeometry.
    :param sizes: sides of a face's box in pixels.
    :param report: called with the number of faces done.
    :returns: one row per size: `size_px`, `n` images, `found`, and for each of FIGURES `NAME_middle` (median),
        `NAME_spread` (half the distance from the 16th to the 84th percentile, one standard deviation if normal),
        `NAME_low` and `NAME_high` (5th and 95th percentile); NaN if none is found.
    """
    counts = dict.fromkeys(sizes, 0)
    differences: dict[int, list[tuple[float, ...]]] = {size: [] for size in sizes}
    for done, face in enumerate(faces, 1):
        own = _crop(detector, face.image, face.middle, face.box_px, geometry)
        for size in sizes if own is not None else ():
            for move in range(MOVES):
                generator = np.random.default_rng([0, done, size, move])
                image, factors, shift = _moved(face, size / face.box_px, generator)
                seen = _crop(detector, image, face.middle * factors + shift, size, geometry)
                counts[size] += 1
                if seen is not None:
                    differences[size].append(_difference(seen, own, factors, shift))
        if report:
            report(done)
    return [_row(size, counts[size], np.array(differences[size]).reshape(-1, len(FIGURES))) for size in sizes]


def _crop(detector, image, middle, box_px, geometry):
    """Return centre (x, y), side and angle of the crop of a face at a known position; None if not found."""
    if middle is None:
        return None
    seen = detector.detect(image)
    row = which_face(seen, middle, box_px)
    if row is None:
        return None
    left, top, side = crop_squares(seen.boxes[row : row + 1], geometry, seen.landmarks[row : row + 1])[0]
    angle = eye_angles(seen.landmarks[row : row + 1])[0] if geometry.level_eyes else 0.0
    center = np.array([geometry.center_x, geometry.center_y])
    return np.array([left, top]) + side * (center + _turn(angle).dot(0.5 - center)), side, angle


def _turn(angle):
    return np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def _moved(face, factor, generator):
    """Resize a face's image with a random pixel offset, and paste it near the middle of a gray 640x480 image.

    :returns: (480, 640, 3) uint8, and the (x, y) factors and shifts from the face's image to it.
    """
    step = max(1, int(math.ceil(1 / factor)))  # source pixels per target pixel
    begin = generator.integers(0, step, 2)
    padded = cv2.copyMakeBorder(face.image, begin[1], step - begin[1], begin[0], step - begin[0], cv2.BORDER_REPLICATE)
    size = np.array(padded.shape[1::-1])
    to = np.maximum(1, np.round(size * factor)).astype(int)
    small = cv2.resize(
        padded, (int(to[0]), int(to[1])), interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    )
    factors = to / size
    # The face's middle is placed near that of the image.
    place = np.array([WIDTH_PX, HEIGHT_PX]) * generator.uniform(0.4, 0.6, 2) - (face.middle + begin) * factors
    place = np.round(place).astype(int)
    return laid_on_gray(small, *place), factors, begin * factors + place


def _difference(seen, own, factors, shift):
    """Return FIGURES of a crop against that in the face's original image."""
    side = own[1] * math.sqrt(factors.prod())
    apart = _turn(-own[2]).dot(seen[0] - (own[0] * factors + shift)) / side
    return math.log(seen[1] / side), apart[0], apart[1], math.degrees(seen[2] - own[2])


def _row(size, count, differences):
    row = {'size_px': size, 'n': count, 'found': len(differences)}
    for name, values in zip(FIGURES, differences.T):
        low, below, middle, above, high = np.percentile(values, [5, 16, 50, 84, 95]) if len(values) else [math.nan] * 5
        row.update(
            {
                f'{name}_middle': float(middle),
                f'{name}_spread': float(0.5 * (above - below)),
                f'{name}_low': float(low),
                f'{name}_high': float(high),
            }
        )
    return row
