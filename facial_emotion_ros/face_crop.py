"""Cut faces out of an image into the network's input: the same code for training and for the robot."""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from facial_emotion_ros.bundle_manifest import INPUT_RANGES
from facial_emotion_ros.errors import BadModel, BadParameter

_COLORS = ('gray_x3', 'bgr')

#: Fields that the first manifests did not have; they mean their defaults there.
_LATER_FIELDS = ('level_eyes',)

#: Eyes further off level than this are more likely landmarks gone wrong than a head that lies on its side.
_MOST_LEVELLED = math.radians(60)


@dataclass(frozen=True)
class CropGeometry:
    """How a face box becomes a network input; a model bundle's manifest holds it under `input`.

    :param size_px: side of the square input S.
    :param color: 'gray_x3' (one luminance plane three times) or 'bgr'.
    :param scale: factor from uint8 to the network's range.
    :param via_px: side that the crop passes through before it gets its final size, which takes away sharpness that the
        training pictures never had; 0 to go straight.
    :param margin: side of the square crop over sqrt(box width x box height).
    :param center_x, center_y: where the box centre lies in the crop, as a share of its side.
    :param level_eyes: turn the crop so that the eyes lie level; manifests without this field mean False.
    """

    size_px: int = 96
    color: str = 'gray_x3'
    scale: float = 1.0 / 255.0
    via_px: int = 0
    margin: float = 1.17
    center_x: float = 0.510
    center_y: float = 0.513
    level_eyes: bool = False

    @property
    def planes(self):
        """How many planes a crop has before it is brought into the network's range: 1 for gray, 3 for colour."""
        return 1 if self.color == 'gray_x3' else 3

    @classmethod
    def from_manifest(cls, fields):
        """Read a geometry from a manifest's `input`.

        :param fields: dict; keys that are no part of the geometry are left aside.
        :returns: CropGeometry.
        :raises BadModel: if a field is missing, of the wrong type or out of range.
        """
        values = {}
        for name, default in cls().__dict__.items():
            if name not in fields and name in _LATER_FIELDS:
                continue
            if name not in fields:
                raise BadModel('manifest: input.%s expected, missing; export the bundle again' % name)
            value = fields[name]
            if not _is_like(value, default):
                raise BadModel('manifest: input.%s like %r expected, got %r' % (name, default, value))
            values[name] = value
        geometry = cls(**values)
        geometry.check()
        return geometry

    def check(self):
        """Refuse values that no crop can have.

        :raises BadModel: naming the field, what was expected and what came.
        """
        rules = [
            ('color', self.color in _COLORS, 'one of %s' % (_COLORS,)),
            ('via_px', self.via_px == 0 or 8 <= self.via_px <= 1024, '0 or 8 to 1024'),
        ]
        rules += [(name, low <= getattr(self, name) <= high, '%g to %g' % (low, high))
                  for name, (low, high) in sorted(INPUT_RANGES.items())]
        for name, holds, expected in rules:
            if not holds:
                raise BadModel('manifest: input.%s: expected %s, got %r' % (name, expected, getattr(self, name)))


def _is_like(value, default):
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    return isinstance(value, type(default) if isinstance(default, (int, str)) else (int, float))


def crop_squares(boxes, geometry):
    """Place the square to cut around each face box.

    :param boxes: (N, 4) float, x0 y0 x1 y1 in pixels.
    :param geometry: CropGeometry.
    :returns: (N, 3) float64: left, top and side in pixels; squares may reach beyond the image.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    width = np.maximum(boxes[:, 2] - boxes[:, 0], 1.0)
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    side = geometry.margin * np.sqrt(width * height)
    left = 0.5 * (boxes[:, 0] + boxes[:, 2]) - geometry.center_x * side
    top = 0.5 * (boxes[:, 1] + boxes[:, 3]) - geometry.center_y * side
    return np.stack([left, top, side], 1)


def cut_square(image, left, top, side, target_px):
    """Cut one square and resize it, repeating the border where it reaches beyond the image.

    :param image: (H, W, 3) or (H, W) uint8.
    :param left, top, side: the square in pixels, fractions allowed.
    :param target_px: side of the patch that comes out.
    :returns: (target_px, target_px[, 3]) uint8. Shrinking averages over area, enlarging interpolates linearly.
    """
    # Whole pixels that the square touches; a hair of rounding error does not touch a pixel.
    x0, y0 = int(math.floor(left + 1e-6)), int(math.floor(top + 1e-6))
    x1, y1 = int(math.ceil(left + side - 1e-6)), int(math.ceil(top + side - 1e-6))
    rows = np.clip(np.arange(y0, max(y1, y0 + 1)), 0, image.shape[0] - 1)
    cols = np.clip(np.arange(x0, max(x1, x0 + 1)), 0, image.shape[1] - 1)
    if rows[0] == y0 and rows[-1] == y1 - 1 and cols[0] == x0 and cols[-1] == x1 - 1:
        patch = image[y0:y1, x0:x1]
    else:
        patch = image[rows[:, None], cols[None, :]]
    if side > target_px:
        return cv2.resize(patch, (target_px, target_px), interpolation=cv2.INTER_AREA)
    ratio = side / float(target_px)
    offset = 0.5 * ratio - 0.5
    matrix = np.array([[ratio, 0, left - x0 + offset], [0, ratio, top - y0 + offset]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(patch, matrix, (target_px, target_px), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def to_planes(patch, geometry):
    """Turn a square patch into what the network sees of it, still in whole numbers.

    :param patch: (P, P) gray or (P, P, 3) BGR, uint8, any P.
    :param geometry: CropGeometry.
    :returns: (C, S, S) uint8: one plane for gray, else blue, green and red.
    """
    if geometry.color == 'gray_x3' and patch.ndim == 3:
        patch = cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY)
    elif geometry.color == 'bgr' and patch.ndim == 2:
        patch = cv2.cvtColor(patch, cv2.COLOR_GRAY2BGR)
    if geometry.via_px and patch.shape[0] > geometry.via_px:
        patch = cv2.resize(patch, (geometry.via_px, geometry.via_px), interpolation=cv2.INTER_AREA)
    if patch.shape[0] != geometry.size_px:
        shrinks = patch.shape[0] > geometry.size_px
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        patch = cv2.resize(patch, (geometry.size_px, geometry.size_px), interpolation=interpolation)
    return patch[None] if patch.ndim == 2 else patch.transpose(2, 0, 1)


def in_range(planes, geometry):
    """Bring whole numbers into the network's range, gray three times.

    :param planes: (..., C, S, S) uint8, as :func:`to_planes` gives them.
    :param geometry: CropGeometry.
    :returns: (..., 3, S, S) float32 in [0, 255 x scale]; of gray, three views of one plane.
    """
    scaled = np.float32(geometry.scale) * planes.astype(np.float32)
    return np.broadcast_to(scaled, scaled.shape[:-3] + (3,) + scaled.shape[-2:])


def whole_numbers(crops, geometry):
    """Undo :func:`in_range`.

    :param crops: (..., 3, S, S) float in the network's range.
    :param geometry: CropGeometry.
    :returns: (..., C, S, S) uint8, rounded and clipped.
    """
    planes = crops[..., :geometry.planes, :, :] / np.float32(geometry.scale)
    return np.rint(np.clip(planes, 0, 255)).astype(np.uint8)


def to_input(patch, geometry):
    """Turn a square patch into one network input.

    :param patch: (P, P) gray or (P, P, 3) BGR, uint8, any P.
    :param geometry: CropGeometry.
    :returns: (3, S, S) float32 in [0, 255 x scale].
    """
    return in_range(to_planes(patch, geometry), geometry)


def _cut_level(image, left, top, side, angle, geometry, target_px):
    """Cut a square turned about the middle of the face box, as cut_square cuts an upright one."""
    # At the image's own resolution first, so that shrinking averages over area here too.
    steps = max(target_px, int(math.ceil(side - 1e-6)))
    middle = np.array([geometry.center_x, geometry.center_y])
    ratio = side / float(steps)
    turn = ratio * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    # The centres of pixels lie half a pixel off the coordinates of boxes, in the patch as in the image.
    offset = np.array([left, top]) + side * middle - 0.5 - turn.dot(steps * middle - 0.5)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(image, np.column_stack([turn, offset]), (steps, steps), flags=flags,
                           borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(patch, (target_px, target_px), interpolation=cv2.INTER_AREA) if steps > target_px else patch


def eye_angles(landmarks):
    """Say how far faces are turned in the image's plane.

    :param landmarks: (N, 5, 2) float pixels: the eye on the viewer's left, the other eye, and three more.
    :returns: (N,) float64 radians from level; positive where the other eye lies lower; 0 where the eyes are one point,
        unknown, or more than 60 degrees off.
    """
    between = np.diff(np.asarray(landmarks, np.float64).reshape(-1, 5, 2)[:, :2], axis=1)[:, 0]
    angles = np.arctan2(between[:, 1], between[:, 0])
    return np.where(np.abs(angles) <= _MOST_LEVELLED, angles, 0.0)


def cut_planes(image, boxes, geometry, landmarks=None):
    """Cut every face box out of an image, in whole numbers: an engine brings them into its network's range.

    :param image: (H, W, 3) uint8 BGR, H and W at least 1.
    :param boxes: (N, 4) float, x0 y0 x1 y1 in pixels.
    :param geometry: CropGeometry.
    :param landmarks: (N, 5, 2) float pixels, as Faces has them; needed where the geometry levels the eyes.
    :returns: (N, C, S, S) uint8, contiguous: one plane for gray, else blue, green and red; N = 0 gives (0, C, S, S).
    :raises BadParameter: if the geometry levels the eyes and landmarks are missing.
    """
    squares = crop_squares(boxes, geometry)
    if geometry.level_eyes and (landmarks is None or np.shape(landmarks) != (len(squares), 5, 2)):
        raise BadParameter('landmarks (%d, 5, 2) expected, for this geometry levels the eyes, got %s; take a detector '
                           'that finds eyes' % (len(squares), None if landmarks is None else np.shape(landmarks)))
    crops = np.empty((len(squares), geometry.planes, geometry.size_px, geometry.size_px), np.uint8)
    target_px = geometry.via_px or geometry.size_px
    for row, (left, top, side) in enumerate(squares):
        if geometry.level_eyes:
            patch = _cut_level(image, left, top, side, eye_angles(landmarks[row])[0], geometry, target_px)
        else:
            patch = cut_square(image, left, top, side, target_px)
        crops[row] = to_planes(patch, geometry)
    return crops


def cut_faces(image, boxes, geometry, landmarks=None):
    """Cut every face box out of an image, into the network's range.

    :param image, boxes, geometry, landmarks: see :func:`cut_planes`.
    :returns: (N, 3, S, S) float32, contiguous; N = 0 gives (0, 3, S, S).
    :raises BadParameter: see :func:`cut_planes`.
    """
    return np.ascontiguousarray(in_range(cut_planes(image, boxes, geometry, landmarks), geometry))
