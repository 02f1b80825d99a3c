"""Augmentation with camera effects that FER+ images do not have."""

import cv2
import numpy as np

#: Probability of each effect at full strength.
_OCCLUSION, _UNEVEN_LIGHT, _GAMMA, _MOTION, _RESOLUTION, _NOISE, _JPEG = 0.2, 0.5, 0.5, 0.3, 0.5, 0.4, 0.4


def vary_camera(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    """Apply effects of occlusion, light, optics, sensor and compression, in physical order.

    At full strength: eyes or mouth covered; a gain gradient of up to 4:1; gamma 0.5 to 2; motion blur of up to an
    eighth of the side; resolution down to a quarter; noise of up to 16 levels; JPEG quality 15 to 90.

    :param patch: (S, S) or (S, S, 3) uint8.
    :param strength: 0 to 1: scales probability and range of each effect; 0: none.
    :returns: uint8 array of the same shape.
    """
    for often, effect in (
        (_OCCLUSION, _cover),
        (_UNEVEN_LIGHT, _light_unevenly),
        (_GAMMA, _change_gamma),
        (_MOTION, _blur_by_motion),
        (_RESOLUTION, _lower_resolution),
        (_NOISE, _add_noise),
        (_JPEG, _compress),
    ):
        if generator.random() < often * strength:
            patch = effect(patch, generator, strength)
    return patch


def _cover(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    """Cover a band over the eyes or everything below the nose."""
    side = len(patch)
    top, bottom = (0.25, 0.45) if generator.random() < 0.5 else (0.65, 1.0)
    top, bottom = (np.array([top, bottom]) + generator.uniform(-0.05, 0.05, 2)) * side
    left, right = generator.uniform(-0.1, 0.2) * side, generator.uniform(0.8, 1.1) * side
    patch = patch.copy()
    patch[max(0, round(top)) : round(bottom), max(0, round(left)) : round(right)] = generator.integers(0, 256)
    return patch


def _light_unevenly(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    angle, fall = generator.uniform(0, 2 * np.pi), strength * generator.uniform(0, np.log(4))
    places = np.linspace(-0.5, 0.5, len(patch))
    gain = np.exp(fall * (np.cos(angle) * places[None] + np.sin(angle) * places[:, None]))
    return _to_levels(patch * (gain if patch.ndim == 2 else gain[..., None]))


def _change_gamma(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    gamma = np.exp(strength * generator.uniform(-np.log(2), np.log(2)))
    return cv2.LUT(patch, _to_levels(255 * (np.arange(256) / 255) ** gamma))


def _blur_by_motion(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    length = max(2.0, strength * generator.uniform(0, 1 / 8) * len(patch))
    angle = generator.uniform(0, np.pi)
    kernel = np.zeros((2 * int(length // 2) + 3,) * 2, np.float32)
    middle, reach = len(kernel) // 2, 0.5 * length * np.array([np.cos(angle), np.sin(angle)])
    # In 1/16 of a pixel, for cv2.line.
    begin, end = ([int(round(16 * (middle + sign * part))) for part in reach] for sign in (-1, 1))
    cv2.line(kernel, begin, end, 1.0, 1, cv2.LINE_AA, 4)
    return cv2.filter2D(patch, -1, kernel / max(kernel.sum(), 1e-6), borderType=cv2.BORDER_REPLICATE)


def _lower_resolution(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    side = len(patch)
    fewer = max(8, round(side * (1 - 0.75 * strength * generator.random())))
    small = cv2.resize(patch, (fewer, fewer), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (side, side), interpolation=cv2.INTER_LINEAR)


def _add_noise(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    return _to_levels(patch + generator.normal(0, strength * generator.uniform(0, 16), patch.shape))


def _compress(patch: np.ndarray, generator: np.random.Generator, strength: float) -> np.ndarray:
    quality = round(90 - 75 * strength * generator.random())
    _, coded = cv2.imencode('.jpg', patch, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(coded, cv2.IMREAD_UNCHANGED))


def _to_levels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
