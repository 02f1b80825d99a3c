"""Shadow mapping and ambient occlusion."""

from collections.abc import Callable

import cv2
import numpy as np

from facial_emotion_ros.training.synthetic.rasterizer import rasterize

#: Shadow map: side in pixels and in decimetres, and depth tolerance.
_MAP_PX, _MAP_SIDE, _TOLERANCE = 220, 3.4, 0.07


def unshadowed(
    vertices: np.ndarray, triangles: np.ndarray, at_pixels: Callable[[np.ndarray], np.ndarray], lamp: np.ndarray
) -> np.ndarray:
    """Compute which pixels the light reaches, by a shadow map.

    :param vertices: (V, 3) in camera directions.
    :param triangles: (T, 3).
    :param at_pixels: interpolates (V, n) at the pixels, (S, S, n).
    :param lamp: (3,) unit vector towards the light.
    :returns: (S, S) float32, 0 or 1.
    """
    across = np.cross([0, 1, 0], lamp)
    across /= np.linalg.norm(across)
    seen = vertices @ np.stack([across, np.cross(lamp, across), lamp]).T
    points = _MAP_PX / 2 + seen[:, :2] * [1, -1] * _MAP_PX / _MAP_SIDE
    _, _, depth = rasterize(points, -seen[:, 2], triangles, _MAP_PX)
    depth[np.isinf(depth)] = 1e3
    place = at_pixels(np.column_stack([points, -seen[:, 2]])).astype(np.float32)
    nearest = cv2.remap(depth, place[..., 0], place[..., 1], cv2.INTER_NEAREST, borderValue=1e3)
    return (place[..., 2] < nearest + _TOLERANCE).astype(np.float32)


def occluded(depth: np.ndarray) -> np.ndarray:
    """Compute ambient occlusion: less light where a pixel lies behind its surroundings.

    :param depth: (S, S) float32, infinite for background.
    :returns: (S, S) float32 in (0, 1].
    """
    weight = np.isfinite(depth).astype(np.float32)
    depth = np.where(weight > 0, depth, 0)
    light = np.ones_like(weight)
    for sigma, strength in ((2.5, 5.0), (8, 2.2), (20, 0.8)):
        share = np.maximum(cv2.GaussianBlur(weight, (0, 0), sigma), 1e-3)
        behind = depth - cv2.GaussianBlur(depth, (0, 0), sigma) / share
        light *= np.exp(-strength * np.clip(behind, 0, 0.4))
    return light
