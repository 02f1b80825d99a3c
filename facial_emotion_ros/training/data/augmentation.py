"""Random augmentation of training faces."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

from facial_emotion_ros.perception.face_crops import CropGeometry, to_input
from facial_emotion_ros.training.data.camera_variation import vary_camera

#: Maximum enlargement.
_ENLARGES = 0.2

#: Range of the blur's standard deviation, relative to the face's side.
_BLURS = 0.005, 0.04


def augment(
    faces: Sequence[np.ndarray] | np.ndarray,
    geometry: CropGeometry,
    generator: np.random.Generator,
    strength: float = 1.0,
    camera: float = 0.0,
) -> np.ndarray:
    """Augment faces and convert them to network inputs.

    Flip, rotation (20 degrees), scale (0.9 to 1.2) and shift (7%) are one warp to the input's size; then come contrast,
    brightness, blur and an erased patch. These are the ranges at full strength. Variations depend on the generator, not
    on the faces' size and colours.

    :param faces: N faces, (P, P) gray or (P, P, 3) BGR, uint8: an array, or a list of faces of any sizes.
    :param geometry: CropGeometry of the network.
    :param generator: numpy.random.Generator.
    :param strength: 0 to 1: scales all ranges and the frequency of blur and erasing; flips stay.
    :param camera: 0 to 1, likewise for camera effects: see :func:`camera_variation.vary_camera`.
    :returns: (N, 3, S, S) float32, contiguous; N = 0 gives (0, 3, S, S).
    """
    crops = np.empty((len(faces), 3, geometry.size_px, geometry.size_px), np.float32)
    for crop, face in zip(crops, faces):
        patch = _warp(_prepare(face, geometry), geometry.size_px, generator, strength)
        patch = _change_light(patch, generator, strength)
        if generator.random() < 0.3 * strength:
            patch = cv2.GaussianBlur(patch, (0, 0), generator.uniform(*_BLURS) * geometry.size_px)
        if generator.random() < 0.25 * strength:
            _erase(patch, generator)
        if camera:
            patch = vary_camera(patch, generator, camera)
        crop[:] = to_input(patch, geometry)
    return crops


def plain(faces: Sequence[np.ndarray] | np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Convert faces to network inputs without augmentation, as the node does.

    :param faces: N faces, (P, P) gray or (P, P, 3) BGR, uint8: an array, or a list of faces of any sizes.
    :param geometry: CropGeometry of the network.
    :returns: (N, 3, S, S) float32, contiguous; N = 0 gives (0, 3, S, S).
    """
    crops = np.empty((len(faces), 3, geometry.size_px, geometry.size_px), np.float32)
    for crop, face in zip(crops, faces):
        crop[:] = to_input(face, geometry)
    return crops


def _prepare(face: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Convert to gray for a gray network, and shrink faces that the warp would subsample."""
    if geometry.color == 'gray_x3' and face.ndim == 3:
        face = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
    enough = math.ceil((1 + _ENLARGES) * geometry.size_px)
    if face.shape[0] > enough:
        face = cv2.resize(face, (enough, enough), interpolation=cv2.INTER_AREA)
    return face


def _warp(face: np.ndarray, size_px: int, generator: np.random.Generator, strength: float) -> np.ndarray:
    side = face.shape[0]
    angle = np.deg2rad(strength * generator.uniform(-20, 20))
    scale = side / size_px / (1 + strength * generator.uniform(-0.1, _ENLARGES))
    mirror = -1.0 if generator.random() < 0.5 else 1.0
    shift = strength * generator.uniform(-0.07, 0.07, 2) * side
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[mirror * cos, -sin], [mirror * sin, cos]])
    # Maps centre to centre; pixel centres have integer coordinates.
    offset = (side - 1) / 2 + shift - linear @ np.full(2, (size_px - 1) / 2)
    return cv2.warpAffine(
        face,
        np.column_stack([linear, offset]),
        (size_px, size_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _change_light(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    contrast = 1 + strength * generator.uniform(-0.3, 0.3)
    brightness = strength * generator.uniform(-25, 25)
    middle = float(patch.mean())
    return np.clip((patch.astype(np.float32) - middle) * contrast + middle + brightness, 0, 255).astype(np.uint8)


def _erase(patch: np.ndarray, generator: np.random.Generator) -> None:
    side = patch.shape[0]
    height, width = generator.integers(side // 10, side // 3, 2)
    top, left = generator.integers(0, side - height), generator.integers(0, side - width)
    patch[top : top + height, left : left + width] = generator.integers(0, 256)
