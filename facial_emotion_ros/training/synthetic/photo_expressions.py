"""Gives neutral faces of photographs the expressions of a head model.

A head is fitted to the face by its landmarks. The photograph is warped as the head's surface moves in the image, and
its light changes as the head's shading does: an expression ratio image (Liu, Shan and Zhang, "Expressive Expression
Mapping with Ratio Images", SIGGRAPH 2001). The inside of the mouth, and what the lids uncover, are rendered.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np
from scipy.optimize import least_squares

from facial_emotion_ros.training.synthetic.face_rendering import eye_directions, eyeballs, rotation
from facial_emotion_ros.training.synthetic.head_model import FACE_UNITS, MATERIALS, HeadModel
from facial_emotion_ros.training.synthetic.lighting import occluded
from facial_emotion_ros.training.synthetic.rasterizer import rasterize, vertex_normals
from facial_emotion_ros.training.synthetic.skin_painting import paint_face, plane_of
from facial_emotion_ros.training.synthetic.synthetic_person import Person, draw_person

#: Side of the image that is warped.
PHOTO_PX = 192

_SKIN, _EYE, _TEETH, _TONGUE = (MATERIALS.index(name) for name in ('skin', 'eye', 'teeth', 'tongue'))
_INSIDE = len(MATERIALS)  # skin inside the mouth
_MOUTH = (_TEETH, _TONGUE, _INSIDE)

#: Lower bound of what is seen of the head, and how far back its face reaches, in decimetres.
_NECK, _BACK = 5.2, 0.35

#: Corners of the eyes (the image's left eye first), tip of the nose, and corners of the mouth on MakeHuman's base mesh.
_LANDMARKS = (
    (-0.4701, 7.2621, 1.3223),
    (-0.1536, 7.2749, 1.2735),
    (0.4701, 7.2621, 1.3223),
    (0.1536, 7.2749, 1.2735),
    (0.0, 6.92, 1.681),
    (-0.2498, 6.615, 1.374),
    (0.2498, 6.615, 1.374),
)
#: The eyes bulge by this before their corners, in decimetres.
_BULGE = 0.04

#: Distance between the middles of a mean head's eyes, in decimetres.
_EYES_APART = 0.6

#: Standard deviations of yaw, pitch and roll in degrees, and of a landmark in distances between the eyes.
_TURNS, _LANDMARK_ERROR = (25, 8, 20), 0.02

#: The worst fit, in variances of a landmark, and the largest yaw in degrees that still look right.
_WORST_FIT, _LARGEST_YAW = 7.0, 45.0

#: Distance of the camera in decimetres.
_CAMERA = 12.0

#: Cosine of the angle from the gaze to the edge of the iris.
_IRIS = float(np.cos(np.deg2rad(27)))

#: Colours within the mouth: BGR from 0 to 1.
_INSIDE_COLOUR, _TONGUE_COLOUR, _TEETH_COLOUR = (0.08, 0.08, 0.14), (0.27, 0.27, 0.42), (0.68, 0.76, 0.80)


class HeadFit(NamedTuple):
    """A head fitted to a photograph.

    :param person: its identity.
    :param turn: (3,) yaw, pitch and roll in degrees, as :meth:`FaceRenderer.draw` gives them.
    :param scale: pixels of the photograph, PHOTO_PX wide, by decimetre.
    :param middle: (3,) mean of the head's landmarks in decimetres.
    :param shift: (2,) its pixels.
    """

    person: Person
    turn: np.ndarray
    scale: float
    middle: np.ndarray
    shift: np.ndarray

    def seen(self, vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Project (V, 3) vertices: in camera directions, (V, 3); and to pixels, (V, 2)."""
        seen = (vertices - self.middle) @ rotation(*self.turn).T
        nearer = _CAMERA / (_CAMERA - seen[:, 2])
        return seen, seen[:, :2] * nearer[:, None] * [self.scale, -self.scale] + self.shift


class PhotoExpressions:
    """Gives faces of photographs expressions of one HeadModel."""

    def __init__(self, model: HeadModel, heads: int = 60) -> None:
        """Draw the heads among which :meth:`fit` chooses.

        :param model: HeadModel.
        :param heads: their number.
        """
        self.model = model
        shown = model.materials != MATERIALS.index('lashes')
        shown &= model.materials != MATERIALS.index('hair')
        shown &= model.vertices[model.triangles].mean(1)[:, 1] > _NECK
        self._triangles, self._materials = model.triangles[shown], model.materials[shown]
        self._corners_uv = model.texture_places[shown]
        skin = np.unique(model.triangles[model.materials == _SKIN])
        self._rows = [
            skin[np.linalg.norm(model.vertices[skin] - place, axis=1).argmin()] for place in np.array(_LANDMARKS)
        ]
        self._eyes = eyeballs(model)
        generator = np.random.default_rng(5)
        self._persons = [draw_person(model, generator) for _ in range(heads)]
        places = np.array([self._landmarks(person.vertices) for person in self._persons])
        self._middles = places.mean(1)
        self._places = places - self._middles[:, None]
        self._mouth: Any = cv2.imread(f'{model.folder}/mpfb2/textures/mpfb_inside-mouth.jpg', cv2.IMREAD_GRAYSCALE)

    def _landmarks(self, vertices: np.ndarray) -> np.ndarray:
        """Return the (5, 3) places that CenterFace marks."""
        corners = vertices[self._rows]
        eyes = [corners[place : place + 2].mean(0) + [0, 0, _BULGE] for place in (0, 2)]
        return np.concatenate([eyes, corners[4:]])

    def fit(self, landmarks: np.ndarray) -> HeadFit | None:
        """Fit a head: pose by least squares, identity by the least error among some.

        :param landmarks: (5, 2) float, pixels of the photograph at PHOTO_PX: eyes, nose, corners of the mouth.
        :returns: None where no head fits, and for profiles.
        """
        apart = np.linalg.norm(landmarks[1] - landmarks[0])
        if not apart:
            return None

        def errors(pose: np.ndarray, places: np.ndarray) -> np.ndarray:
            seen = (places @ rotation(*pose[:3]).T)[:, :2] * [1, -1] * np.exp(pose[3]) + pose[4:]
            return np.r_[((seen - landmarks) / (apart * _LANDMARK_ERROR)).ravel(), pose[:3] / _TURNS]

        pose = np.r_[0, 0, 0, np.log(apart / _EYES_APART), landmarks.mean(0)]
        units = [10, 10, 10, 0.1, 10, 10]
        pose = least_squares(errors, pose, x_scale=units, max_nfev=30, args=(self._places.mean(0),)).x
        likely = np.argsort([(errors(pose, places) ** 2).sum() for places in self._places])[:5]
        fits = [least_squares(errors, pose, x_scale=units, max_nfev=20, args=(self._places[row],)) for row in likely]
        best = min(range(len(fits)), key=lambda place: fits[place].cost)
        pose = fits[best].x
        if fits[best].cost > _WORST_FIT or abs(pose[0]) > _LARGEST_YAW:
            return None
        row = likely[best]
        return HeadFit(self._persons[row], pose[:3], float(np.exp(pose[3])), self._middles[row], pose[4:])

    def _parts(self, shown: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """Return the material at each pixel of a rasterized head, (S, S), -1 for none; skin in the mouth is _INSIDE."""
        uv = np.einsum('yxc,yxcn->yxn', shares, self._corners_uv[shown].astype(np.float32))
        height, width = self._mouth.shape
        within = cv2.remap(self._mouth, uv[..., 0] * width, uv[..., 1] * height, cv2.INTER_LINEAR) > 127
        parts = np.where(shown >= 0, self._materials[shown], -1)
        return np.where((parts == _SKIN) & within, _INSIDE, parts)

    def draw(
        self, photograph: np.ndarray, fit: HeadFit, actions: dict[str, float], generator: np.random.Generator
    ) -> np.ndarray:
        """Show an expression.

        :param photograph: (PHOTO_PX, PHOTO_PX) gray or (PHOTO_PX, PHOTO_PX, 3) BGR uint8, a neutral face.
        :param fit: of :meth:`fit`.
        :param actions: shares by face unit.
        :param generator: of the light and the teeth.
        :returns: like photograph.
        """
        rest = fit.person.vertices
        moved = self.model.moved(rest, {FACE_UNITS + name: share for name, share in actions.items()})
        (rest_seen, rest_points), (seen, points) = fit.seen(rest), fit.seen(moved)
        shown, shares, depth = rasterize(points, -seen[:, 2], self._triangles, PHOTO_PX)
        parts = self._parts(shown, shares)
        rest_parts = self._parts(*rasterize(rest_points, -rest_seen[:, 2], self._triangles, PHOTO_PX)[:2])
        mouth, eyes = (np.isin(parts, some) & ~np.isin(rest_parts, some) for some in (_MOUTH, (_EYE,)))  # uncovered

        def at_pixels(of_vertices: np.ndarray) -> np.ndarray:
            return np.einsum('yxc,yxcn->yxn', shares, of_vertices[self._triangles[shown]].astype(np.float32))

        place = at_pixels(self.model.vertices)
        face = (parts == _SKIN) & (place[..., 2] > _BACK)
        picture = _warped(photograph.astype(np.float32), at_pixels(rest_points), face, parts == _EYE)
        picture = picture if picture.ndim == 3 else picture[..., None]
        level = float(np.median(photograph[face])) if face.any() else 128.0  # of the skin
        strength = generator.uniform(0.5, 1.0)
        turn = rotation(*fit.turn)
        normals = [at_pixels(vertex_normals(each, self._triangles)) for each in (seen, rest_seen)]
        ratio = _shading_ratio(fit.person, actions, normals, plane_of(place), face, turn, strength, generator)
        # a photograph's bright skin cannot get brighter
        room = np.clip((235 - cv2.GaussianBlur(picture, (0, 0), 2).reshape(picture.shape).mean(2)) / 110, 0.05, 1)
        picture = picture * (1 + np.where(ratio > 1, (ratio - 1) * room, ratio - 1) * strength)[..., None]
        teeth = parts == _TEETH
        colour: Any = np.full((PHOTO_PX, PHOTO_PX, 3), _INSIDE_COLOUR)
        colour[parts == _TONGUE] = _TONGUE_COLOUR
        colour[teeth] = np.array(_TEETH_COLOUR) * generator.uniform(0.9, 1.1)
        light = occluded(depth)
        colour *= 255 * np.where(teeth, 0.35 + 0.65 * light, 0.3 + 0.7 * light)[..., None]
        picture = _mixed(picture, colour * np.clip(level / 150, 0.6, 1.15), mouth, 0.9)
        seen_eyes = photograph[rest_parts == _EYE]
        iris, white = np.percentile(seen_eyes, (10, 85)) if len(seen_eyes) else (40.0, level)
        white = min(max(white, level) * generator.uniform(0.9, 1.15), 235)
        out = eye_directions(at_pixels(moved)[eyes], place[eyes], moved, self._eyes)
        colour[:] = white
        colour[eyes] = np.where(out @ turn[2] > _IRIS, iris, white)[:, None]  # they look into the camera
        picture = _mixed(picture, colour, eyes, 0.8)
        return np.clip(np.rint(picture), 0, 255).astype(np.uint8).reshape(photograph.shape)


def _warped(picture: np.ndarray, source: np.ndarray, face: np.ndarray, eyes: np.ndarray) -> np.ndarray:
    """Warp a picture: the face comes from source (S, S, 2), eyes stay, and around the face the warp dies away."""
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
    person: Person,
    actions: dict[str, float],
    normals: list[np.ndarray],
    plane: np.ndarray,
    face: np.ndarray,
    turn: np.ndarray,
    strength: float,
    generator: np.random.Generator,
) -> np.ndarray:
    """Return how much lighter the expression makes each pixel, (S, S) float32; normals with and without it."""
    azimuth, elevation = np.deg2rad(generator.normal(0, 25)), np.deg2rad(generator.uniform(5, 55))
    lamp = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    around = generator.uniform(0.35, 0.7)
    lights = []
    for normal, shown in zip(normals, (actions, {})):
        height, paint = paint_face(person, shown, np.random.default_rng(person.seed))
        slope = [cv2.remap(each, plane[..., 0], plane[..., 1], cv2.INTER_LINEAR) for each in np.gradient(height)]
        lean = slope[0][..., None] * turn[:, 1] - slope[1][..., None] * turn[:, 0]
        normal = normal + lean * face[..., None] * strength
        normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
        crease = cv2.remap(paint[..., 0], plane[..., 0], plane[..., 1], cv2.INTER_LINEAR)
        lit = around * (0.7 + 0.3 * normal[..., 1]) + np.clip(normal @ lamp + 0.15, 0, None) / 1.15
        lights.append(np.maximum(lit, 0.15) * (1 - 0.75 * strength * crease))
    ratio = np.clip(lights[0] / lights[1], 0.45, 1.45)
    return cv2.GaussianBlur(np.where(face, ratio, 1).astype(np.float32), (0, 0), 1.0)


def _mixed(picture: np.ndarray, colour: np.ndarray, where: np.ndarray, blur: float) -> np.ndarray:
    """Lay BGR colours over a picture, in its number of channels."""
    if picture.shape[2] == 1:
        colour = colour @ np.array([0.114, 0.587, 0.299])
        colour = colour[..., None]
    share = cv2.GaussianBlur(where.astype(np.float32), (0, 0), blur)[..., None]
    return picture * (1 - share) + colour * share
