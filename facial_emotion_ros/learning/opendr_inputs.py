"""Whatever a caller has of faces -> the crops that a network wants."""

import warnings

import numpy as np

from facial_emotion_ros.errors import BadImage
from facial_emotion_ros.face_crop import to_input
from facial_emotion_ros.learning.opendr_types import Image

#: Floats beyond this were certainly not meant to lie in [0, 1].
_MAX_FLOAT = 16.0

_EXPECTED = (
    'expected a face or a list of faces: an Image, an array (H, W, 3) or (H, W) of uint8, or an array or tensor '
    '(3, H, W) or (N, 3, H, W)'
)


def crops_of(batch, geometry):
    """Turn faces into network inputs. Each picture is a whole crop: nothing looks for the face in it.

    Whole numbers are pictures from 0 to 255, floats lie in [0, 1] already; both are blue first, as OpenCV and our data
    sets have them, but for Images, which know it themselves. Where either could hold the planes, it is the last
    dimension of an array and the first of a tensor. Colour, scale and size come from the geometry.

    :param batch: Image, array or torch tensor of one face; array or tensor (N, ...) of several; list of such faces.
    :param geometry: CropGeometry of the network's input.
    :returns: (N, 3, S, S) float32, contiguous; N = 0 gives (0, 3, S, S).
    :raises BadImage: if something is no face, or floats lie far from [0, 1].
    """
    crops = [to_input(face, geometry) for face in _faces(batch)]
    if not crops:
        return np.zeros((0, 3, geometry.size_px, geometry.size_px), np.float32)
    return np.ascontiguousarray(np.stack(crops), np.float32)


def _faces(batch):
    """Give each face as (H, W) or (H, W, 3), blue first, from 0 to 255."""
    if isinstance(batch, (list, tuple)):
        return [face for each in batch for face in _faces(each)]
    if isinstance(batch, Image):
        return [_in_255(_last(batch.opencv(), False))]
    is_tensor = hasattr(batch, 'detach')
    pixels = batch.detach().cpu().numpy() if is_tensor else batch
    if not isinstance(pixels, np.ndarray):
        raise BadImage(f'{_EXPECTED}, got {type(batch).__name__}')
    if pixels.ndim == 4:
        return [_in_255(_last(each, is_tensor)) for each in pixels]
    return [_in_255(_last(pixels, is_tensor))]


def _last(pixels, is_tensor):
    """Bring the planes to the last dimension; a single one falls away."""
    shape = pixels.shape
    if not pixels.size or pixels.ndim not in (2, 3):
        raise BadImage(f'{_EXPECTED}, got shape {shape}')
    if pixels.ndim == 2:
        return pixels
    places = [place for place in ((0, 2) if is_tensor else (2, 0)) if shape[place] in (1, 3)]
    if not places:
        raise BadImage(f'{_EXPECTED}, got shape {shape}; one or three planes expected')
    pixels = np.moveaxis(pixels, places[0], -1)
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels


def _in_255(pixels):
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind not in 'fiu':
        raise BadImage(f'{_EXPECTED}, got values of type {pixels.dtype}')
    low, high = float(pixels.min()), float(pixels.max())
    if not np.isfinite(low + high):
        raise BadImage('finite values expected, got NaN or infinity; the network would read them as neutral')
    if pixels.dtype.kind in 'iu':
        if low < 0 or high > 255:
            raise BadImage(f'whole numbers from 0 to 255 expected, got {low:g} to {high:g}')
        return np.ascontiguousarray(pixels, np.uint8)
    if max(-low, high) > _MAX_FLOAT:
        raise BadImage(f'floats in [0, 1] expected, got {low:g} to {high:g}; divide by 255, or give uint8')
    if low < -1e-3 or high > 1.001:
        warnings.warn(f'faces as floats in [0, 1] expected, got {low:.2f} to {high:.2f}: they are read as they are; '
                      'ESR wants them neither centred nor scaled otherwise', RuntimeWarning, stacklevel=2)
    return np.ascontiguousarray(pixels, np.float32) * np.float32(255)
