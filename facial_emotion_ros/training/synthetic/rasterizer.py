"""Rasterizes meshes with a z-buffer, in numpy."""

import numpy as np


def rasterize(
    points: np.ndarray, depths: np.ndarray, triangles: np.ndarray, size_px: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rasterize triangles.

    :param points: (V, 2) float pixels, x to the right and y down; pixel centres are integers.
    :param depths: (V,) float, larger is further away.
    :param triangles: (T, 3) int.
    :param size_px: side of the square image.
    :returns: (S, S) int64 triangle, -1 for none; (S, S, 3) float32 barycentric coordinates; and (S, S) float32 depth,
        infinite for none.
    """
    corners = points[triangles]
    low = np.maximum(np.ceil(corners.min(1)), 0).astype(np.int64)
    high = np.minimum(np.floor(corners.max(1)), size_px - 1).astype(np.int64)
    spans = np.maximum(high - low + 1, 0)
    (x0, y0), (x1, y1), (x2, y2) = corners.transpose(1, 2, 0)
    double_area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
    counts = np.where(np.abs(double_area) > 1e-9, spans.prod(1), 0)
    owner = np.repeat(np.arange(len(triangles)), counts)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    x = low[owner, 0] + place % spans[owner, 0]
    y = low[owner, 1] + place // spans[owner, 0]
    dx, dy = (x - x0[owner]), (y - y0[owner])
    first = (dx * (y2 - y0)[owner] - dy * (x2 - x0)[owner]) / double_area[owner]
    second = (dy * (x1 - x0)[owner] - dx * (y1 - y0)[owner]) / double_area[owner]
    inside = np.flatnonzero((first >= -1e-6) & (second >= -1e-6) & (first + second <= 1 + 1e-6))
    owner, first, second = owner[inside], first[inside], second[inside]
    shares = np.stack([1 - first - second, first, second], 1).astype(np.float32)
    depth = (shares * depths[triangles][owner]).sum(1)
    pixel = y[inside] * size_px + x[inside]
    order = np.argsort(-depth, kind='stable')  # the last assignment to a pixel, the nearest, stays
    nearest = np.full(size_px * size_px, -1)
    nearest[pixel[order]] = order
    hit = nearest >= 0
    return (
        np.where(hit, owner[nearest], -1).reshape(size_px, size_px),
        (hit[:, None] * shares[nearest]).reshape(size_px, size_px, 3),
        np.where(hit, depth[nearest], np.inf).astype(np.float32).reshape(size_px, size_px),
    )


def interpolated(shares: np.ndarray, at_corners: np.ndarray) -> np.ndarray:
    """Interpolate values at the pixels of rasterized triangles.

    :param shares: (S, S, 3) barycentric coordinates of :func:`rasterize`.
    :param at_corners: (S, S, 3, n) values at the corners of each pixel's triangle.
    :returns: (S, S, n) float32.
    """
    return np.einsum('yxc,yxcn->yxn', shares, at_corners.astype(np.float32))


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Return the (V, 3) float32 unit normals at the vertices."""
    corners = vertices[triangles]
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.stack(
        [np.bincount(triangles.ravel(), np.repeat(across[:, axis], 3), len(vertices)) for axis in range(3)], 1
    )
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)).astype(np.float32)
