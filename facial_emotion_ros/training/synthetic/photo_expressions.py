"""Transfers expressions of a head model to photographs of neutral faces.

A head is fitted to the face by its landmarks. The photograph is warped as the head's surface moves in the image, and
its light changes as the head's shading does: an expression ratio image (Liu, Shan and Zhang, "Expressive Expression
Mapping with Ratio Images", SIGGRAPH 2001). The inside of the mouth, and what the lids uncover, are painted.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.optimize import least_squares

from facial_emotion_ros.training.synthetic.face_rendering import direction, eye_directions, eyeballs, rotation
from facial_emotion_ros.training.synthetic.head_model import (
    EYE_CORNERS,
    FACE_UNITS,
    MATERIALS,
    MOUTH_CORNER,
    NOSE_TIP,
    HeadModel,
)
from facial_emotion_ros.training.synthetic.lighting import occluded
from facial_emotion_ros.training.synthetic.rasterizer import interpolated, rasterize, vertex_normals
from facial_emotion_ros.training.synthetic.skin_painting import crease_lean, paint_creases, plane_of
from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

#: Side of the processed image in pixels.
PHOTO_PX = 192

#: Number of random heads, of which the best is fitted.
_HEADS = 60

_SKIN, _EYE, _TEETH, _TONGUE, _LASHES, _HAIR = (
    MATERIALS.index(name) for name in ('skin', 'eye', 'teeth', 'tongue', 'lashes', 'hair')
)
_INSIDE = len(MATERIALS)  # skin inside the mouth
_MOUTH = (_TEETH, _TONGUE, _INSIDE)

#: Lowest y of the visible head, and rearmost z of its face, in decimetres.
_NECK, _BACK = 5.2, 0.35

#: Corners of the eyes (the image's left eye first), tip of the nose, and corners of the mouth on MakeHuman's base mesh.
_OTHER_SIDE = np.array([-1, 1, 1])
_LANDMARKS = (
    *(EYE_CORNERS * _OTHER_SIDE),
    *EYE_CORNERS,
    NOSE_TIP,
    MOUTH_CORNER * _OTHER_SIDE,
    MOUTH_CORNER,
)
#: Distance from the eye corners forward to the eye landmarks, in decimetres.
_BULGE = 0.04

#: Standard deviations: of yaw, pitch and roll in degrees, and of a landmark in distances between the eyes.
_TURNS, _LANDMARK_ERROR = (25, 8, 20), 0.02

#: Limits of a fit: sum of squared landmark errors over their variance, yaw, pitch and roll in degrees, and minimum
#: distance between the eyes in pixels.
_WORST_FIT, _LARGEST_TURNS, _LEAST_APART_PX = 14.0, (45, 30, 45), 30

#: Distance of the camera, in decimetres.
_CAMERA = 12.0

#: Cosine of the angle from the gaze to the edge of the iris.
_IRIS = float(np.cos(np.deg2rad(27)))

#: Colours in the mouth, BGR from 0 to 1.
_INSIDE_COLOUR, _TONGUE_COLOUR, _TEETH_COLOUR = (0.08, 0.08, 0.14), (0.27, 0.27, 0.42), (0.68, 0.76, 0.80)

#: An image whose channels differ by less than this everywhere counts as gray.
_GRAY = 8


class HeadFit(NamedTuple):
    """A head fitted to a photograph.

    :param vertices: (V, 3) float32 of the head without expression.
    :param middle: (3,) mean of its landmarks in decimetres.
    :param turn: (3,) yaw, pitch and roll in degrees, as :meth:`FaceRenderer.draw` returns them.
    :param scale: pixels per decimetre in a photograph PHOTO_PX wide.
    :param shift: (2,) image position of the middle, in pixels.
    """

    vertices: np.ndarray
    middle: np.ndarray
    turn: np.ndarray
    scale: float
    shift: np.ndarray

    def seen(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project (V, 3) vertices: to camera coordinates (V, 3), and to pixels (V, 2)."""
        seen = (vertices - self.middle) @ rotation(*self.turn).T
        nearer = _CAMERA / (_CAMERA - seen[:, 2])
        return seen, seen[:, :2] * nearer[:, None] * [self.scale, -self.scale] + self.shift


class PhotoExpressions:
    """Gives photographs of faces expressions of one HeadModel."""

    def __init__(self, model: HeadModel) -> None:
        """Sample the heads from which :meth:`fit` chooses."""
        self.model = model
        shown = ~np.isin(model.materials, [_LASHES, _HAIR])
        shown &= model.vertices[model.triangles].mean(1)[:, 1] > _NECK
        self._triangles, self._materials = model.triangles[shown], model.materials[shown]
        self._corners_uv = model.texture_places[shown]
        self._mouth, self._eyes = model.mask('inside-mouth'), eyeballs(model)
        skin = np.unique(model.triangles[model.materials == _SKIN])
        self._rows = [skin[np.linalg.norm(model.vertices[skin] - place, axis=1).argmin()] for place in _LANDMARKS]
        generator = np.random.default_rng(5)
        self._heads = [draw_person(model, generator).vertices for _ in range(_HEADS)]
        self._places = np.array([self.landmarks(head) for head in self._heads])

    def landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """Return the (5, 3) positions on a head of the face detector's landmarks."""
        corners = vertices[self._rows]
        eyes = [corners[place : place + 2].mean(0) + [0, 0, _BULGE] for place in (0, 2)]
        return np.concatenate([eyes, corners[4:]])

    def fit(self, landmarks: np.ndarray) -> HeadFit | None:
        """Fit a head: pose by least squares, identity as the best of the sampled heads.

        :param landmarks: (5, 2) float, pixels of the photograph at PHOTO_PX: eyes, nose, corners of the mouth.
        :returns: HeadFit; None if no head fits, and for small faces and profiles.
        """
        apart = float(np.linalg.norm(landmarks[1] - landmarks[0]))
        if apart < _LEAST_APART_PX:
            return None

        def fit_of(pose: np.ndarray, vertices: Any, places: np.ndarray) -> HeadFit:
            return HeadFit(vertices, places.mean(0), pose[:3], float(np.exp(pose[3])), pose[4:])

        def misfits(pose: np.ndarray, places: np.ndarray) -> np.ndarray:
            return (fit_of(pose, None, places).seen(places)[1] - landmarks).ravel() / (apart * _LANDMARK_ERROR)

        def errors(pose: np.ndarray, places: np.ndarray) -> np.ndarray:
            return np.r_[misfits(pose, places), pose[:3] / _TURNS]

        def fitted(pose: np.ndarray, places: np.ndarray) -> Any:
            return least_squares(errors, pose, x_scale=[10, 10, 10, 0.1, 10, 10], max_nfev=30, args=(places,))

        mean = (self._places - self._places.mean(1, keepdims=True)).mean(0)
        scale = apart / np.linalg.norm(mean[1] - mean[0])
        pose = fitted(np.r_[0, 0, 0, np.log(scale), landmarks.mean(0)], mean).x
        likely = np.argsort([(errors(pose, places) ** 2).sum() for places in self._places])[:5]
        best, row = min(((fitted(pose, self._places[row]), row) for row in likely), key=lambda each: each[0].cost)
        misfit = (misfits(best.x, self._places[row]) ** 2).sum()
        if misfit > _WORST_FIT or (np.abs(best.x[:3]) > _LARGEST_TURNS).any():
            return None
        return fit_of(best.x, self._heads[row], self._places[row])

    def draw(
        self, photograph: np.ndarray, fit: HeadFit, actions: dict[str, float], generator: np.random.Generator
    ) -> np.ndarray:
        """Render an expression onto a photograph.

        :param photograph: (PHOTO_PX, PHOTO_PX) gray or (PHOTO_PX, PHOTO_PX, 3) BGR uint8, a neutral face.
        :param fit: from :meth:`fit`.
        :param actions: blend shape weights by face unit.
        :param generator: for light, creases and teeth.
        :returns: array of the same shape; gray if the photograph is gray.
        """
        colour = photograph if photograph.ndim == 3 else cv2.cvtColor(photograph, cv2.COLOR_GRAY2BGR)
        rest = fit.vertices
        moved = self.model.moved(rest, {FACE_UNITS + name: share for name, share in actions.items()})
        (rest_seen, rest_points), (seen, points) = fit.seen(rest), fit.seen(moved)
        shown, shares, depth = rasterize(points, -seen[:, 2], self._triangles, PHOTO_PX)
        parts = self._parts(shown, shares)
        rest_parts = self._parts(*rasterize(rest_points, -rest_seen[:, 2], self._triangles, PHOTO_PX)[:2])
        mouth, eyes = (np.isin(parts, some) & ~np.isin(rest_parts, some) for some in (_MOUTH, (_EYE,)))  # uncovered

        def at_pixels(of_vertices: np.ndarray) -> np.ndarray:
            return interpolated(shares, of_vertices[self._triangles[shown]])

        place = at_pixels(self.model.vertices)
        face = (parts == _SKIN) & (place[..., 2] > _BACK)
        turn = rotation(*fit.turn)
        picture = _warped(colour.astype(np.float32), at_pixels(rest_points), face, parts == _EYE)
        normals = [at_pixels(vertex_normals(each, self._triangles)) for each in (seen, rest_seen)]
        ratio = _shading_ratio(actions, normals, plane_of(place), face, turn, generator)
        # bright skin has little room to get brighter
        room = np.clip((235 - cv2.GaussianBlur(picture, (0, 0), 2).mean(2)) / 110, 0.05, 1)
        picture = picture * (1 + (ratio - 1) * np.where(ratio > 1, room, 1))[..., None]
        level = np.median(colour[face], 0) if face.any() else np.full(3, 128.0)  # of the skin
        teeth, light = parts == _TEETH, occluded(depth)
        paint: Any = np.full((PHOTO_PX, PHOTO_PX, 3), _INSIDE_COLOUR)
        paint[parts == _TONGUE] = _TONGUE_COLOUR
        paint[teeth] = np.array(_TEETH_COLOUR) * generator.uniform(0.9, 1.1)
        paint *= 255 * np.where(teeth, 0.35 + 0.65 * light, 0.3 + 0.7 * light)[..., None]
        picture = _laid_over(picture, paint * np.clip(level.mean() / 150, 0.6, 1.15), mouth, 0.9)
        seen_eyes = colour[rest_parts == _EYE]
        iris, white = np.percentile(seen_eyes, (10, 85), 0) if len(seen_eyes) else (level * 0.3, level)
        white = np.minimum(np.maximum(white, level) * generator.uniform(0.9, 1.15), 235)
        out = eye_directions(at_pixels(moved)[eyes], place[eyes], moved, self._eyes)
        paint[:] = white
        paint[eyes] = np.where((out @ turn[2] > _IRIS)[:, None], iris, white)  # looking into the camera
        picture = np.clip(np.rint(_laid_over(picture, paint, eyes, 0.8)), 0, 255).astype(np.uint8)
        if np.ptp(colour, 2).max() < _GRAY:
            gray = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
            picture = gray if photograph.ndim == 2 else cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR)
        return picture

    def _parts(self, shown: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return the material at each pixel of a rasterized head, (S, S), -1 for none; skin in the mouth is _INSIDE."""
        uv = interpolated(shares, self._corners_uv[shown])
        height, width = self._mouth.shape
        within = cv2.remap(self._mouth, uv[..., 0] * width, uv[..., 1] * height, cv2.INTER_LINEAR) > 127
        parts = np.where(shown >= 0, self._materials[shown], -1)
        return np.where((parts == _SKIN) & within, _INSIDE, parts)


def _warped(picture: np.ndarray, source: np.ndarray, face: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Warp a picture: source positions (S, S, 2) in the face, no warp in the eyes, fading out around the face."""
    here = np.stack(np.meshgrid(*[np.arange(PHOTO_PX, dtype=np.float32)] * 2), -1)
    offset = np.where(face[..., None], source - here, 0).astype(np.float32)
    weight = cv2.GaussianBlur(face.astype(np.float32), (0, 0), 6)[..., None]
    around = cv2.GaussianBlur(offset, (0, 0), 6) / np.maximum(weight, 0.02) * np.clip(weight * 4, 0, 1)
    offset = np.where(face[..., None], offset, around)
    offset[eyes] = 0
    offset = np.where(eyes[..., None], 0, cv2.GaussianBlur(offset, (0, 0), 1.2))
    taken = (here + offset).astype(np.float32)
    return cv2.remap(picture, taken[..., 0], taken[..., 1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _shading_ratio(
    actions: dict[str, float],
    normals: list[np.ndarray],
    plane: np.ndarray,
    face: np.ndarray,
    turn: np.ndarray,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return the expression ratio image (S, S) float32; `normals` are those with and without the expression."""
    lamp = direction(generator.normal(0, 25), generator.uniform(5, 55))
    around, strength = generator.uniform(0.35, 0.7), generator.uniform(0.5, 1.0)
    age, seed = generator.uniform(15, 50), generator.integers(2**31)
    lights = []
    for normal, shown in zip(normals, (actions, {})):
        height, crease, _ = paint_creases(age, shown, np.random.default_rng(seed))
        normal = normal + crease_lean(height, plane, face, turn)
        normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
        lit = around * (0.7 + 0.3 * normal[..., 1]) + np.clip(normal @ lamp + 0.15, 0, None) / 1.15
        crease = cv2.remap(crease, plane[..., 0], plane[..., 1], cv2.INTER_LINEAR)
        lights.append(np.maximum(lit, 0.15) * (1 - 0.75 * crease))
    # pixel values are not linear in light
    ratio = np.clip(lights[0] / lights[1], 0.2, 2.2) ** (strength / 1.6)
    return cv2.GaussianBlur(np.where(face, ratio, 1).astype(np.float32), (0, 0), 1.0)


def _laid_over(picture: np.ndarray, colour: np.ndarray, where: np.ndarray, blur: float) -> np.ndarray:
    share = cv2.GaussianBlur(where.astype(np.float32), (0, 0), blur)[..., None]
    return picture * (1 - share) + colour * share
