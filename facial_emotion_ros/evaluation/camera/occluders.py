"""Draws masks, scarves, cups and hands over mouths, for lack of a labelled set of occluded faces."""

import cv2
import numpy as np

#: Shapes for fitting the occlusion rule, and held-out shapes for measuring it.
FIT_SHAPES, HELD_OUT_SHAPES = ('mask', 'rectangle', 'ellipse', 'below'), ('cup', 'fingers')
TEXTURES = ('flat', 'pleats', 'stripes', 'cloth', 'scene', 'skin')

_MASK_COLORS_BGR = ((205, 190, 150), (235, 235, 235), (40, 40, 45), (150, 150, 150))


class _FaceFrame:
    """Face coordinates: origin between the eyes, x to the right, y down; the mouth is at (0, 1)."""

    def __init__(self, landmarks):
        points = np.asarray(landmarks, np.float64)
        self.eyes = points[:2].mean(0)
        self.down = points[3:].mean(0) - self.eyes
        right = 1.05 * np.array([self.down[1], -self.down[0]])
        self.right = right if np.dot(right, points[1] - points[0]) >= 0 else -right
        self.unit_px = max(float(np.hypot(*self.down)), 1.0)

    def pixels(self, points):
        """Convert (N, 2) points in face coordinates to pixels."""
        points = np.asarray(points, np.float64)
        return self.eyes + points[:, :1] * self.right + points[:, 1:] * self.down


def cover_mouth(
    image: np.ndarray,
    landmarks: np.ndarray,
    generator: np.random.Generator,
    shape: str | None = None,
    texture: str | None = None,
) -> np.ndarray:
    """Draw an occluder over a mouth.

    :param image: (H, W, 3) uint8 BGR.
    :param landmarks: (5, 2) pixels of the face, as Faces has them.
    :param generator: generator of positions, sizes and colours.
    :param shape: one of FIT_SHAPES or HELD_OUT_SHAPES; None draws one of FIT_SHAPES.
    :param texture: one of TEXTURES; None draws one.
    :returns: (H, W, 3) uint8 BGR.
    """
    shape = shape or FIT_SHAPES[generator.integers(len(FIT_SHAPES))]
    texture = texture or TEXTURES[generator.integers(len(TEXTURES))]
    frame = _FaceFrame(landmarks)
    where = np.zeros(image.shape[:2], np.uint8)
    for polygon in _polygons(shape, generator):
        cv2.fillPoly(where, [np.round(16 * frame.pixels(polygon)).astype(np.int32)], 255, cv2.LINE_AA, 4)
    opacity = cv2.GaussianBlur(where, (0, 0), generator.uniform(0.5, 1.5))[..., None] / 255.0
    layer = _shaded(_layer(texture, image, landmarks, frame, generator), frame, generator)
    return np.clip(image * (1 - opacity) + layer * opacity + 0.5, 0, 255).astype(np.uint8)


def _polygons(shape, generator):
    """Return polygons in face coordinates."""
    draw = generator.uniform
    turn = np.linspace(0, 2 * np.pi, 24)[:-1]
    if shape == 'mask':
        top, side, wide, bottom = draw(0.15, 0.65), draw(0.1, 0.7), draw(0.7, 1.15), draw(1.45, 2.0)
        left = [(-0.65 * wide, bottom - 0.2), (-0.95 * wide, 1.0), (-wide, side), (-0.4, 0.5 * (top + side)), (0, top)]
        return [left + [(-x, y) for x, y in left[-2::-1]] + [(0, bottom)]]
    if shape == 'rectangle':
        top, wide, bottom, skew = draw(0.3, 0.75), draw(0.55, 1.4), draw(1.35, 2.2), draw(-0.25, 0.25)
        return [[(-wide, top - skew), (wide, top + skew), (wide, bottom), (-wide, bottom)]]
    if shape == 'ellipse':
        middle, radii = (draw(-0.2, 0.2), draw(0.9, 1.2)), (draw(0.5, 1.1), draw(0.4, 0.8))
        return [np.column_stack([np.cos(turn), np.sin(turn)]) * radii + middle]
    if shape == 'below':
        top, skew = draw(0.35, 0.75), draw(-0.5, 0.5)
        return [[(-6, top - skew), (6, top + skew), (6, 9), (-6, 9)]]
    angle = draw(-0.5, 0.5) + (np.pi / 2 if shape == 'fingers' and generator.random() < 0.5 else 0)
    turned = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    if shape == 'cup':
        wide, high = draw(0.4, 0.8), draw(0.35, 0.7)
        corners = np.array([(-wide, -high), (wide, -high), (wide, 2 * high), (-wide, 2 * high)])
        return [corners.dot(turned) + (draw(-0.2, 0.2), draw(0.95, 1.15))]
    finger = np.column_stack([1.0 * np.cos(turn), 0.2 * np.sin(turn)])
    return [(finger + (0, 0.3 * place)).dot(turned) + (0, 1.05) for place in (-1.5, -0.5, 0.5, 1.5)]


def _layer(texture, image, landmarks, frame, generator):
    """Return the occluder's texture for the whole image, (H, W, 3) float."""
    draw, (height, width) = generator.uniform, image.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    if texture == 'scene':
        return np.roll(image, (int(draw(80, 240)), int(draw(120, 400))), (0, 1)).astype(np.float32)
    if texture == 'cloth':
        waves = cv2.GaussianBlur(
            generator.normal(0, 1, (height, width)).astype(np.float32), (0, 0), draw(0.02, 0.15) * frame.unit_px + 0.5
        )
        return (draw(40, 220) + draw(3, 30) * waves / (waves.std() + 1e-6))[..., None] * np.ones(3)
    if texture == 'stripes':
        angle, period = draw(0, np.pi), draw(0.1, 0.5) * frame.unit_px
        sign = np.sign(np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period))[..., None]
        colors = draw(20, 235, (2, 3))
        return 0.5 * (colors[0] + colors[1] + sign * (colors[0] - colors[1]))
    if texture == 'flat':
        color = draw(10, 245, 3) if generator.random() < 0.5 else np.full(3, draw(10, 245))
        return np.ones((height, width, 1), np.float32) * color
    # Dark lines: pleats, or gaps between fingers.
    if texture == 'pleats':
        color = np.array(_MASK_COLORS_BGR[generator.integers(4)]) * draw(0.7, 1.05)
        angle, depth, thickness = 0.0, draw(0.05, 0.25), 0.03
    else:
        points = np.asarray(landmarks)
        column, row = np.round(0.5 * (points[:2].mean(0) + points[2])).astype(int)
        skin = image[max(row - 4, 0) : row + 5, max(column - 8, 0) : column + 9].reshape(-1, 3)
        color = (np.median(skin, 0) if len(skin) else np.full(3, 128)) * draw(0.75, 1.2)
        angle, depth, thickness = draw(0, np.pi), draw(0.1, 0.4), draw(0.02, 0.06)
    mouth, dark = frame.eyes + frame.down, np.ones((height, width), np.float32)
    across = (y - mouth[1]) * np.cos(angle) - (x - mouth[0]) * np.sin(angle)
    for place in (-0.45, -0.15, 0.15, 0.45):
        dark *= 1 - depth * np.exp(-(((across - place * frame.unit_px) / (thickness * frame.unit_px + 0.5)) ** 2))
    return dark[..., None] * color


def _shaded(layer, frame, generator):
    """Shade a layer towards the sides and along the face, as on a round surface."""
    y, x = np.mgrid[0 : layer.shape[0], 0 : layer.shape[1]]
    aside = np.clip((x - frame.eyes[0]) / (1.2 * frame.unit_px), -1, 1)
    along = np.clip((y - frame.eyes[1]) / (2 * frame.unit_px), -1, 1)
    shade = (1 - generator.uniform(0, 0.3) * aside**2) * (1 + generator.uniform(-0.2, 0.2) * along)
    return np.clip(layer * shade[..., None], 0, 255)
