"""Paints creases, brows and beard of a rendered face."""

from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.training.synthetic.synthetic_person import Person

#: The painted plane, the undeformed face from the front: left (the person's right) and bottom in decimetres, pixels per
#: decimetre, and side in pixels.
_LEFT, _BOTTOM, _SCALE, _SIDE = -1.2, 6.0, 200, 480

#: Creases: points on the plane (person's left side; mirrored for the right), and the blend shapes that deepen them.
_CREASES = (
    ([(0.0, 7.63), (0.15, 7.64), (0.28, 7.62)], {'browInnerUp': 1}),
    ([(0.0, 7.73), (0.18, 7.74), (0.32, 7.72)], {'browInnerUp': 1}),
    ([(0.0, 7.84), (0.18, 7.85), (0.3, 7.83)], {'browInnerUp': 0.8}),
    ([(0.25, 7.64), (0.4, 7.63), (0.52, 7.57)], {'browOuterUp': 1}),
    ([(0.28, 7.74), (0.42, 7.72), (0.54, 7.66)], {'browOuterUp': 1}),
    ([(0.07, 7.36), (0.065, 7.44), (0.08, 7.53)], {'browDown': 1, 'noseSneer': 0.3}),
    ([(0.02, 7.40), (0.025, 7.46), (0.02, 7.50)], {'browDown': 0.5}),
    ([(0.0, 7.305), (0.06, 7.31), (0.10, 7.33)], {'noseSneer': 0.8, 'browDown': 0.4}),
    ([(0.03, 7.24), (0.07, 7.21), (0.12, 7.15)], {'noseSneer': 1}),
    ([(0.03, 7.18), (0.08, 7.14), (0.14, 7.07)], {'noseSneer': 0.8}),
    (
        [(0.18, 6.95), (0.25, 6.87), (0.31, 6.76), (0.345, 6.63), (0.34, 6.56)],
        {'mouthSmile': 1, 'noseSneer': 0.8, 'mouthUpperUp': 0.7, 'mouthStretch': 0.4, 'mouthDimple': 0.3},
    ),
    ([(0.37, 6.73), (0.42, 6.64), (0.41, 6.55)], {'mouthSmile': 0.5, 'mouthStretch': 0.6, 'mouthDimple': 0.4}),
    ([(0.335, 6.66), (0.34, 6.62), (0.33, 6.58)], {'mouthDimple': 1.2}),
    ([(0.27, 6.59), (0.31, 6.52), (0.32, 6.43)], {'mouthFrown': 1, 'mouthShrugLower': 0.4, 'mouthStretch': 0.4}),
    ([(0.0, 6.40), (0.12, 6.42), (0.2, 6.45)], {'mouthShrugLower': 1, 'mouthPress': 0.3, 'mouthFrown': 0.4}),
    ([(0.49, 7.31), (0.56, 7.35), (0.62, 7.37)], {'mouthSmile': 0.4, 'cheekSquint': 0.8, 'eyeSquint': 0.3}),
    ([(0.49, 7.28), (0.57, 7.28), (0.63, 7.26)], {'mouthSmile': 0.4, 'cheekSquint': 0.8, 'eyeSquint': 0.3}),
    ([(0.48, 7.25), (0.55, 7.21), (0.60, 7.17)], {'cheekSquint': 0.7, 'mouthSmile': 0.3}),
    (
        [(0.17, 7.23), (0.27, 7.17), (0.38, 7.17), (0.46, 7.22)],
        {'cheekSquint': 0.7, 'eyeSquint': 0.6, 'noseSneer': 0.4},
    ),
)

#: Crease depth at the age of 90 without expression.
_AGED = 0.55

#: Upper edge of a beard, from cheek to cheek: the right half, mirrored for the left one.
_HALF_BEARD = ((-0.72, 7.0), (-0.6, 6.75), (-0.36, 6.78), (-0.2, 6.84), (0, 6.80))
_BEARD = np.array([*_HALF_BEARD, *((-x, y) for x, y in _HALF_BEARD[-2::-1])])


def plane_of(places: np.ndarray) -> np.ndarray:
    """Map points of the undeformed head, (..., 2 or 3) decimetres, to pixels of the plane, (..., 2) float32."""
    return np.stack([(places[..., 0] - _LEFT) * _SCALE, _SIDE - (places[..., 1] - _BOTTOM) * _SCALE], -1).astype(
        np.float32
    )


def bump(x: float, y: float, width: float) -> np.ndarray:
    """Return a Gaussian spot (P, P) float32: centre and standard deviation in decimetres."""
    columns = _LEFT + np.arange(_SIDE) / _SCALE - x
    rows = _BOTTOM + (_SIDE - np.arange(_SIDE)) / _SCALE - y
    return np.exp(-(columns[None] ** 2 + rows[:, None] ** 2) / (2 * width**2)).astype(np.float32)


def paint_face(
    person: Person, actions: dict[str, float], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Paint creases and hair.

    :param actions: blend shape weights by face unit, which deepen creases.
    :param generator: for the person.
    :returns: (P, P) float32 height map; and (P, P, 3) float32 from 0 to 1: creases, brows, beard.
    """
    height, shade, grain = paint_creases(person.age, actions, generator)
    return height, np.dstack([shade, _brows(person, generator), _beard(person, grain, generator)])


def paint_creases(
    age: float, actions: dict[str, float], generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Paint creases.

    :param age: in years.
    :param actions: blend shape weights by face unit, which deepen creases.
    :param generator: for the person.
    :returns: (P, P) float32 height map; their shade from 0 to 1; and the grain of the skin.
    """
    crease: Any = np.zeros((_SIDE, _SIDE), np.float32)
    aged = np.clip((age - 22) / 68, 0, 1)
    for points, drivers in _CREASES:
        curve = np.array(points) + generator.normal(0, 0.012, (len(points), 2))
        own_depth = generator.uniform(0.5, 1.3)
        for side, sign in (('Left', 1), ('Right', -1)):
            share = sum(actions.get(unit + side, actions.get(unit, 0)) * part for unit, part in drivers.items())
            depth = own_depth * (min(share, 1.3) * (0.45 + 1.2 * _AGED * aged) + 0.5 * _AGED * aged)
            line: Any = np.zeros_like(crease)
            cv2.polylines(line, [_pixels(curve * [sign, 1])], False, float(depth), 3, cv2.LINE_8, 3)
            crease = np.maximum(crease, line)
    fine, fold = (cv2.GaussianBlur(crease, (0, 0), sigma) for sigma in (2.6, 7.0))
    grain = generator.normal(0, 1, (_SIDE, _SIDE)).astype(np.float32)
    rough = cv2.GaussianBlur(grain, (0, 0), 1.2) * (0.25 + 0.66 * aged) + cv2.GaussianBlur(grain, (0, 0), 4) * 1.5
    chin = cv2.GaussianBlur(grain, (0, 0), 3.5) * actions.get('mouthShrugLower', 0) * bump(0, 6.33, 0.16)
    height = 7 * (1.6 * fold - fine) + 0.35 * rough + 14 * chin
    shade = np.clip(0.55 * fine + 0.4 * cv2.GaussianBlur(crease, (0, 0), 4.5), 0, 1)
    return height, shade, grain


def crease_lean(height: np.ndarray, plane: np.ndarray, where: np.ndarray, turn: np.ndarray) -> np.ndarray:
    """Compute the change of the normals by creases (bump mapping).

    :param height: (P, P) height map.
    :param plane: (S, S, 2) float32 positions on it, from :func:`plane_of`.
    :param where: (S, S) share of the skin that has creases.
    :param turn: (3, 3) rotation of the head.
    :returns: (S, S, 3).
    """
    down, across = (
        where * cv2.remap(each, plane[..., 0], plane[..., 1], cv2.INTER_LINEAR) for each in np.gradient(height)
    )
    return -across[..., None] * turn[:, 0] + down[..., None] * turn[:, 1]


def _brows(person: Person, generator: np.random.Generator) -> np.ndarray:
    brows = np.zeros((_SIDE, _SIDE), np.float32)
    arch, thick = generator.uniform(0.02, 0.08), generator.uniform(0.5, 1.1) * (0.7 + 0.6 * person.brows)
    lift = generator.normal(0, 0.015)
    for sign in (1, -1):
        for along in generator.random(int(200 + 300 * person.brows)):
            middle = 7.405 + lift + arch * np.sin(np.pi * min(along / 0.75, 1) * 0.6) - 0.09 * max(along - 0.7, 0)
            root = np.array([0.11 + 0.44 * along, middle + generator.normal(0, 0.5) * thick * (0.034 - 0.024 * along)])
            angle, length = np.deg2rad(generator.normal(70 - 75 * along**0.5, 10)), generator.uniform(0.03, 0.06)
            tip = root + length * np.array([np.cos(angle), 0.6 * np.sin(angle)])
            dark = float(generator.uniform(0.3, 0.9) * (0.4 + 0.6 * person.brows))
            cv2.polylines(brows, [_pixels(np.array([root, tip]) * [sign, 1])], False, dark, 1, cv2.LINE_8, 3)
    return cv2.GaussianBlur(brows, (0, 0), 0.8)


def _beard(person: Person, grain: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    area = np.zeros((_SIDE, _SIDE), np.float32)
    if not person.beard:
        return area
    edge = _BEARD + generator.normal(0, 0.02, _BEARD.shape)
    cv2.fillPoly(area, [_pixels(np.concatenate([edge, [(1.0, 6.0), (-1.0, 6.0)]]))], 1.0, cv2.LINE_8, 3)
    if generator.random() < 0.4:  # around the mouth only
        area *= np.clip(1.8 * bump(0, 6.55, 0.3), 0, 1)
    hairs = 0.5 + 0.5 * np.tanh(3 * cv2.GaussianBlur(grain, (0, 0), 0.8, sigmaY=2.0))
    return cv2.GaussianBlur(area, (0, 0), 6) * person.beard * hairs


def _pixels(curve: np.ndarray) -> np.ndarray:
    """Convert a curve to eighths of pixels for OpenCV: (n, 1, 2) int32."""
    return np.rint(plane_of(curve) * 8).astype(np.int32)[:, None]
