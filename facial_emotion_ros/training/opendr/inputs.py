"""Converts faces in any form to network inputs."""

import warnings
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.perception.face_crops import CropGeometry, to_input
from facial_emotion_ros.training.opendr.types import Image

#: Floats beyond this are rejected as not in [0, 1]; smaller deviations only give a warning.
_MAX_FLOAT = 16.0

_EXPECTED = (
    'expected a face or a list of faces: an Image, an array (H, W, 3) or (H, W) of uint8, or an array or tensor '
    '(3, H, W) or (N, 3, H, W)'
)


def crops_of(batch: Any, geometry: CropGeometry) -> np.ndarray:
    """Convert cropped faces to network inputs, without face detection.

    Integers are 0 to 255, floats are in [0, 1]; both are BGR, as in OpenCV and our data sets, except for Images, which
    know their order. Where ambiguous, channels are last in an array and first in a tensor.

    :param batch: Image, array or torch tensor of one face; array or tensor (N, ...) of several; list of such faces.
    :param geometry: CropGeometry of the network's input.
    :returns: (N, 3, S, S) float32, contiguous; N = 0 gives (0, 3, S, S).
    :raises BadImage: if something is no image, or floats lie far from [0, 1].
    """
    crops = [to_input(face, geometry) for face in _faces(batch)]
    if not crops:
        return np.zeros((0, 3, geometry.size_px, geometry.size_px), np.float32)
    return np.ascontiguousarray(np.stack(crops), np.float32)


def _faces(batch: Any) -> list[np.ndarray]:
    """Return each face as (H, W) or (H, W, 3), BGR, 0 to 255."""
    if isinstance(batch, (list, tuple)):
        return [face for each in batch for face in _faces(each)]
    if isinstance(batch, Image):
        return [_to_255(_channels_last(batch.opencv(), False))]
    is_tensor = hasattr(batch, 'detach')
    pixels = batch.detach().cpu().numpy() if is_tensor else batch
    if not isinstance(pixels, np.ndarray):
        raise BadImage(f'{_EXPECTED}, got {type(batch).__name__}')
    if pixels.ndim == 4:
        return [_to_255(_channels_last(each, is_tensor)) for each in pixels]
    return [_to_255(_channels_last(pixels, is_tensor))]


def _channels_last(pixels: np.ndarray, is_tensor: bool) -> np.ndarray:
    """Move the channels to the last dimension; drop a single one."""
    shape = pixels.shape
    if not pixels.size or pixels.ndim not in (2, 3):
        raise BadImage(f'{_EXPECTED}, got shape {shape}')
    if pixels.ndim == 2:
        return pixels
    places = [place for place in ((0, 2) if is_tensor else (2, 0)) if shape[place] in (1, 3)]
    if not places:
        raise BadImage(f'{_EXPECTED}, got shape {shape}, without one or three channels')
    pixels = np.moveaxis(pixels, places[0], -1)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _to_255(pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind not in 'fiu':
        raise BadImage(f'{_EXPECTED}, got values of type {pixels.dtype}')
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite(low + high):
        raise BadImage('expected finite values, got NaN or infinity')
    if pixels.dtype.kind in 'iu':
        if low < 0 or high > 255:
            raise BadImage(f'expected integers from 0 to 255, got {low:g} to {high:g}')
        return np.ascontiguousarray(pixels, np.uint8)
    if max(-low, high) > _MAX_FLOAT:
        raise BadImage(f'expected floats in [0, 1], got {low:g} to {high:g}; divide by 255, or use uint8')
    if low < -1e-3 or high > 1.001:
        warnings.warn(
            f'expected floats in [0, 1], got {low:.2f} to {high:.2f}: used as they are; ESR expects no mean or '
            'standard deviation normalisation',
            RuntimeWarning,
            stacklevel=2,
        )
    return np.ascontiguousarray(pixels, np.float32) * np.float32(255)
