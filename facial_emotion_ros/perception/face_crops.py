"""Crop and align faces to the network's input: the same code in training and on the robot."""

import math
from dataclasses import dataclass
from typing import Any, Dict, Mapping, Optional

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.inference.bundle_manifest import COLORS, INPUT_RANGES, NUMBER, check_field

#: Fields that old manifests lack; their defaults are used.
_LATER_FIELDS = ('level_eyes', 'landmark_weight')

#: Maximum distance between the box's centre and the centre of eyes and mouth along each axis, in sqrt(box width x box
#: height); landmarks further away are wrong. Source: 99.5% of the faces of wild_dev and FER+, profiles included, are
#: within 0.22; docs/camera.md.
_MOST_SHIFTED = 0.25

#: Eyes rotated further than this are more likely wrong landmarks than a head on its side.
_MOST_LEVELLED = math.radians(60)


@dataclass(frozen=True)
class CropGeometry:
    """Crop parameters: how a face box becomes a network input. They are the `input` of a bundle's manifest.

    :param size_px: side of the square input S.
    :param color: 'gray_x3' (one luminance plane three times) or 'bgr'.
    :param scale: factor from uint8 to the network's range.
    :param via_px: side to which a crop is shrunk before it is resized to its final size, which removes sharpness that
        the training pictures did not have; 0 for none.
    :param margin: side of the square crop over sqrt(box width x box height).
    :param center_x, center_y: position of the anchor in the crop, as a share of its side.
    :param level_eyes: rotate the crop about the anchor so that the eyes are level; False if missing in a manifest.
    :param landmark_weight: position of the anchor between the centre of the box (0) and the centre of eyes and mouth
        (1); 0 if missing in a manifest.
    """

    size_px: int = 96
    color: str = 'gray_x3'
    scale: float = 1.0 / 255.0
    via_px: int = 0
    margin: float = 1.17
    center_x: float = 0.510
    center_y: float = 0.513
    level_eyes: bool = False
    landmark_weight: float = 0.0

    @property
    def planes(self) -> int:
        """Planes of a uint8 crop: 1 for gray, 3 for colour."""
        return 1 if self.color == 'gray_x3' else 3

    @classmethod
    def from_manifest(cls, fields: Mapping[str, Any]) -> 'CropGeometry':
        """Read the geometry from a manifest's `input`; other keys are ignored.

        :raises BadModel: if a field is missing, of the wrong type or out of range.
        """
        limits: Dict[str, Any] = dict(INPUT_RANGES, color=COLORS)
        given = {name: fields[name] for name in vars(cls()) if name in fields}
        for name, default in vars(cls()).items():
            if name in given or name not in _LATER_FIELDS:
                kind = NUMBER if isinstance(default, float) else type(default)
                check_field({'input': given}, 'input.' + name, kind, limits.get(name))
        return cls(**given)

    def check(self) -> None:
        """Refuse values out of range.

        :raises BadModel: naming the field, what was expected and what came.
        """
        self.from_manifest(vars(self))


def crop_squares(boxes: np.ndarray, geometry: CropGeometry, landmarks: Optional[np.ndarray] = None) -> np.ndarray:
    """Compute the square to crop around each face, before rotation about its anchor.

    :param boxes: (N, 4) float, x0 y0 x1 y1 in pixels.
    :param geometry: of the crop.
    :param landmarks: (N, 5, 2) float pixels, see Faces; required where the geometry uses them.
    :returns: (N, 3) float64: left, top and side in pixels; squares may extend beyond the image.
    :raises BadParameter: if the geometry needs landmarks, and they are missing.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    _check_landmarks(landmarks, len(boxes), geometry)
    width = np.maximum(boxes[:, 2] - boxes[:, 0], 1.0)
    height = np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    size = np.sqrt(width * height)[:, None]
    anchors = 0.5 * (boxes[:, :2] + boxes[:, 2:])
    if geometry.landmark_weight:
        points = np.asarray(landmarks, np.float64)
        shift = 0.25 * (points[:, 0] + points[:, 1] + points[:, 3] + points[:, 4]) - anchors
        most = _MOST_SHIFTED * size
        anchors = anchors + geometry.landmark_weight * np.where(np.isfinite(shift), np.clip(shift, -most, most), 0.0)
    side = geometry.margin * size
    corners = anchors - side * np.array([geometry.center_x, geometry.center_y])
    return np.concatenate([corners, side], 1)


def _check_landmarks(landmarks: Optional[np.ndarray], count: int, geometry: CropGeometry) -> None:
    found = None if landmarks is None else np.shape(landmarks)
    if (geometry.level_eyes or geometry.landmark_weight) and found != (count, 5, 2):
        raise BadParameter(
            'expected landmarks (%d, 5, 2), which this crop geometry uses, got %s; use a detector that finds eyes '
            'and mouth' % (count, found)
        )


def cut_square(image: np.ndarray, left: float, top: float, side: float, target_px: int) -> np.ndarray:
    """Crop one square and resize it; the border is replicated beyond the image.

    :param image: (H, W, 3) or (H, W) uint8.
    :param left, top, side: the square in pixels, fractions allowed.
    :param target_px: side of the resized crop.
    :returns: (target_px, target_px[, 3]) uint8. Shrinking averages over area, enlarging interpolates linearly.
    """
    # The pixels that the square touches; 1e-6 absorbs rounding errors.
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


def to_planes(patch: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Convert a square patch to the network's colour and size.

    :param patch: (P, P) gray or (P, P, 3) BGR, uint8, any P.
    :param geometry: of the crop.
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


def normalize(planes: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Scale crops to the network's range, with three planes.

    :param planes: (..., C, S, S) uint8, see :func:`to_planes`.
    :param geometry: of the crop.
    :returns: (..., 3, S, S) float32 in [0, 255 x scale]; of gray, three views of one plane.
    """
    scaled = np.float32(geometry.scale) * planes.astype(np.float32)
    return np.broadcast_to(scaled, scaled.shape[:-3] + (3,) + scaled.shape[-2:])


def to_uint8(crops: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Invert :func:`normalize`.

    :param crops: (..., 3, S, S) float in the network's range.
    :param geometry: of the crop.
    :returns: (..., C, S, S) uint8, rounded and clipped.
    """
    planes = crops[..., : geometry.planes, :, :] / np.float32(geometry.scale)
    return np.rint(np.clip(planes, 0, 255)).astype(np.uint8)


def to_input(patch: np.ndarray, geometry: CropGeometry) -> np.ndarray:
    """Convert a square patch to one network input.

    :param patch: (P, P) gray or (P, P, 3) BGR, uint8, any P.
    :param geometry: of the crop.
    :returns: (3, S, S) float32 in [0, 255 x scale].
    """
    return normalize(to_planes(patch, geometry), geometry)


def _cut_level(
    image: np.ndarray, left: float, top: float, side: float, angle: float, geometry: CropGeometry, target_px: int
) -> np.ndarray:
    """Crop a square rotated about its anchor; otherwise like :func:`cut_square`."""
    # First at the image's resolution, so that shrinking averages over area here too.
    steps = max(target_px, int(math.ceil(side - 1e-6)))
    middle = np.array([geometry.center_x, geometry.center_y])
    ratio = side / float(steps)
    turn = ratio * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    # Pixel centres are at half-integer box coordinates, in the patch as in the image.
    offset = np.array([left, top]) + side * middle - 0.5 - turn.dot(steps * middle - 0.5)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    patch = cv2.warpAffine(
        image, np.column_stack([turn, offset]), (steps, steps), flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return cv2.resize(patch, (target_px, target_px), interpolation=cv2.INTER_AREA) if steps > target_px else patch


def eye_angles(landmarks: np.ndarray) -> np.ndarray:
    """Compute the in-plane rotation of faces.

    :param landmarks: (N, 5, 2) float pixels: the eye on the viewer's left, the other eye, and three more.
    :returns: (N,) float64 radians, positive where the other eye is lower; 0 where the eyes coincide, are unknown, or
        turned by more than 60 degrees.
    """
    between = np.diff(np.asarray(landmarks, np.float64).reshape(-1, 5, 2)[:, :2], axis=1)[:, 0]
    angles = np.arctan2(between[:, 1], between[:, 0])
    return np.where(np.abs(angles) <= _MOST_LEVELLED, angles, 0.0)


def cut_planes(
    image: np.ndarray, boxes: np.ndarray, geometry: CropGeometry, landmarks: Optional[np.ndarray] = None
) -> np.ndarray:
    """Crop each face of an image, as uint8.

    :param image: (H, W, 3) uint8 BGR, H and W at least 1.
    :param boxes: (N, 4) float, x0 y0 x1 y1 in pixels.
    :param geometry: of the crops.
    :param landmarks: (N, 5, 2) float pixels, see Faces; required where the geometry uses them.
    :returns: (N, C, S, S) uint8, contiguous: one plane for gray, else blue, green and red.
    :raises BadParameter: if the geometry needs landmarks, and they are missing.
    """
    squares = crop_squares(boxes, geometry, landmarks)
    crops = np.empty((len(squares), geometry.planes, geometry.size_px, geometry.size_px), np.uint8)
    target_px = geometry.via_px or geometry.size_px
    for row, (left, top, side) in enumerate(squares):
        if geometry.level_eyes and landmarks is not None:
            patch = _cut_level(image, left, top, side, eye_angles(landmarks[row])[0], geometry, target_px)
        else:
            patch = cut_square(image, left, top, side, target_px)
        crops[row] = to_planes(patch, geometry)
    return crops


def cut_faces(
    image: np.ndarray, boxes: np.ndarray, geometry: CropGeometry, landmarks: Optional[np.ndarray] = None
) -> np.ndarray:
    """Crop each face as :func:`cut_planes` does, in the network's range: (N, 3, S, S) float32, contiguous."""
    return np.ascontiguousarray(normalize(cut_planes(image, boxes, geometry, landmarks), geometry))
