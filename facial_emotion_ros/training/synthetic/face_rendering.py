"""Renders portraits of synthetic heads: skin, eyes, hair, light and camera, with numpy and OpenCV."""

from collections.abc import Callable, Sequence
from dataclasses import InitVar, dataclass
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.training.synthetic.head_model import FACE_UNITS, MATERIALS, HeadModel
from facial_emotion_ros.training.synthetic.lighting import occluded, unshadowed
from facial_emotion_ros.training.synthetic.rasterizer import interpolated, rasterize, vertex_normals
from facial_emotion_ros.training.synthetic.skin_painting import bump, crease_lean, paint_face, plane_of
from facial_emotion_ros.training.synthetic.synthetic_person import Person

#: Side of the rendered image.
SCENE_PX = 320

#: MakeHuman's skin masks in use.
_MASKS = ('face', 'lips', 'eyelids', 'inside-mouth', 'ears')


class FaceRenderer:
    """Renders persons of one HeadModel."""

    def __init__(self, model: HeadModel) -> None:
        """Read the texture masks."""
        self.model = model
        self._masks = [model.mask(name) for name in _MASKS]
        self._eyes = eyeballs(model)

    def draw(
        self,
        person: Person,
        actions: dict[str, float],
        generator: np.random.Generator,
        spread: Sequence[float] = (16, 8, 7),
    ) -> tuple[np.ndarray, tuple[float, ...], np.ndarray]:
        """Render a portrait.

        :param actions: blend shape weights by face unit.
        :param generator: for camera, light, gaze and background.
        :param spread: standard deviations of yaw, pitch and roll in degrees.
        :returns: (SCENE_PX, SCENE_PX, 3) uint8 BGR; and yaw, pitch, roll of the head in degrees, positive to the
            image's right, upwards and clockwise; and the camera's (3, 3) intrinsic matrix in pixels.
        """
        gaze = generator.normal(0, [9, 5])
        vertices = self.model.moved(
            person.vertices, {FACE_UNITS + name: share for name, share in {**actions, **_gaze_units(gaze)}.items()}
        )
        vertices, triangles, materials, corners_uv = self._whole_mesh(person, vertices)
        pose = generator.normal(0, spread)
        turn = rotation(*pose)
        middle = person.vertices[np.concatenate(self._eyes)].mean(0) + [0, -0.3, -0.9]
        distance = generator.uniform(5, 16)
        side = generator.uniform(2.3, 3.0)  # decimetres across the image at the face
        shift = generator.normal(0, 0.04, 2) * SCENE_PX + SCENE_PX / 2

        def project(places):
            seen = (places - middle) @ turn.T
            per_depth = SCENE_PX / side * distance / (distance - seen[:, 2])
            return seen, shift + seen[:, :2] * per_depth[:, None] * [1, -1]

        picture = _Picture(
            self, person, actions, vertices, project, triangles, materials, corners_uv, turn, gaze, generator
        )
        focal = SCENE_PX / side * distance
        matrix = np.array([[focal, 0, shift[0]], [0, focal, shift[1]], [0, 0, 1]])
        return picture.draw(), tuple(float(angle) for angle in pose), matrix

    def _whole_mesh(
        self, person: Person, vertices: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Extrude the scalp to hair, and drop the hair mesh that is not shown."""
        model = self.model
        skin = model.materials == MATERIALS.index('skin')
        normals = vertex_normals(vertices, model.triangles[skin])
        scalp = np.clip(_scalp(model.vertices, person.hairline) * 2.5, 0, 1)
        ears = (np.abs(model.vertices[:, 0]) > 0.72) & (model.vertices[:, 1] < 7.36) & (model.vertices[:, 2] > 0.1)
        puffed = np.zeros(len(vertices), bool)
        puffed[np.unique(model.triangles[skin])] = True
        puff = np.where(puffed & ~ears, scalp, 0) * person.hair_volume
        vertices = vertices + (puff[:, None] * normals).astype(np.float32)
        behind = model.vertices[model.triangles].mean(1)[:, 2] < 0.55
        kept = (model.materials != MATERIALS.index('hair')) | (behind & (person.hair_length > 0))
        return vertices, model.triangles[kept], model.materials[kept], model.texture_places[kept]


@dataclass(eq=False)
class _Picture:
    """A portrait being rendered."""

    renderer: FaceRenderer
    person: Person
    actions: dict[str, float]
    vertices: np.ndarray
    project: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
    triangles: InitVar[np.ndarray]
    all_materials: InitVar[np.ndarray]
    all_corners: InitVar[np.ndarray]
    turn: np.ndarray
    gaze: np.ndarray
    generator: np.random.Generator

    def __post_init__(self, triangles: np.ndarray, all_materials: np.ndarray, all_corners: np.ndarray) -> None:
        self.seen, self.points = self.project(self.vertices)
        self.own = np.random.default_rng(self.person.seed)
        lashes = all_materials == MATERIALS.index('lashes')
        self.lashes, self.solid = triangles[lashes], triangles[~lashes]
        self.materials, self.corners_uv = all_materials[~lashes], all_corners[~lashes]
        self.shown, self.shares, self.depth = rasterize(self.points, -self.seen[:, 2], self.solid, SCENE_PX)
        self.is_hit = self.shown >= 0

    def _at_pixels(self, of_vertices: np.ndarray) -> np.ndarray:
        return interpolated(self.shares, of_vertices[self.solid[self.shown]])

    def draw(self) -> np.ndarray:
        """Render (S, S, 3) uint8 BGR."""
        template = self.renderer.model.vertices
        self.place = self._at_pixels(template)  # on the undeformed head
        uv = interpolated(self.shares, self.corners_uv[self.shown])
        self.masks = {
            name: cv2.remap(mask, uv[..., 0] * mask.shape[1], uv[..., 1] * mask.shape[0], cv2.INTER_LINEAR) / 255.0
            for name, mask in zip(_MASKS, self.renderer._masks)
        }
        material = np.where(self.is_hit, self.materials[self.shown], -1)
        of = {name: material == number for number, name in enumerate(MATERIALS)}
        normal = self._at_pixels(vertex_normals(self.seen, self.solid))
        height, paint = paint_face(self.person, self.actions, self.own)
        plane = plane_of(self.place)
        albedo: Any = np.zeros((SCENE_PX, SCENE_PX, 3), np.float32)
        hair_share = self._hair_share(of)
        albedo = np.where(of['skin'][..., None], self._skin(paint, plane), albedo)
        strands = self._strands()
        for_hair = self.person.hair * (0.55 + 0.9 * strands[..., None])
        albedo = albedo + hair_share[..., None] * (for_hair - albedo)
        albedo[of['teeth']] = np.array([0.80, 0.90, 0.95]) * self.own.uniform(0.75, 1.1)
        albedo[of['tongue']] = np.array([0.30, 0.30, 0.55])
        albedo[of['eye']] = self._eyes(of['eye'])
        clothes = of['skin'] & (self.place[..., 1] < 5.75 + 0.1 * np.abs(self.place[..., 0]))
        albedo[clothes] = self.own.uniform(0.03, 0.9, 3)
        # creases: bump mapping
        front = of['skin'] * self.masks['face'] * (1 - hair_share)
        lean = crease_lean(height, plane, front, self.turn)
        lean += hair_share[..., None] * (strands[..., None] - 0.5) * self.turn[:, 0] * 0.8
        normal = normal + lean
        normal /= np.maximum(np.linalg.norm(normal, axis=2, keepdims=True), 1e-6)
        colour = self._shaded(albedo, normal, of, hair_share, clothes)
        colour = self._with_lashes(colour)
        colour = self._with_glasses(colour)
        return self._with_camera(colour)

    # materials

    def _skin(self, paint: np.ndarray, plane: np.ndarray) -> np.ndarray:
        person, own, masks = self.person, self.own, self.masks
        side = len(paint)
        blotches = sum(
            cv2.GaussianBlur(own.normal(0, 1, (side, side)).astype(np.float32), (0, 0), sigma) * sigma
            for sigma in (1.5, 6, 20)
        )
        red = bump(0.38, 7.0, 0.16) + bump(-0.38, 7.0, 0.16) + 0.8 * bump(0, 6.95, 0.1)
        under = bump(0.3, 7.19, 0.08) + bump(-0.3, 7.19, 0.08)
        socket = bump(0.32, 7.36, 0.09) + bump(-0.32, 7.36, 0.09)
        layers: Any = np.dstack([blotches, red, under + 0.6 * socket * (1 + person.make_up)]).astype(np.float32)
        layers = cv2.remap(layers, plane[..., 0], plane[..., 1], cv2.INTER_LINEAR)
        paint = cv2.remap(paint, plane[..., 0], plane[..., 1], cv2.INTER_LINEAR)
        front = (self.place[..., 2] > 0.5)[..., None]
        layers, paint = layers * front, paint * front
        skin = person.skin * (1 + 0.035 * layers[..., :1])
        skin = skin * (1 - layers[..., 1:2] * own.uniform(0.02, 0.15) * np.array([1, 1, 0.2]))
        skin = skin * (1 - layers[..., 2:] * own.uniform(0.03, 0.22) * (0.7 + person.age / 90))
        lips = person.skin * np.array([0.68, 0.62, 0.86]) * own.uniform(0.8, 1.0)
        lips = lips + 0.6 * person.make_up * (np.array([0.15, 0.10, 0.5]) - lips)
        skin = skin + 0.85 * masks['lips'][..., None] * (lips - skin)
        skin = skin * (1 - masks['eyelids'][..., None] * (0.18 + 0.5 * person.make_up))
        skin = skin * (1 - 0.75 * paint[..., :1] * np.array([1, 0.95, 0.8]))
        hairs = np.maximum(paint[..., 1], paint[..., 2] * (1 - masks['lips']))
        skin = skin + np.clip(hairs, 0, 0.92)[..., None] * (person.hair * 0.7 - skin)
        return skin * (1 - masks['inside-mouth'][..., None] * np.array([0.8, 0.85, 0.6]))

    def _hair_share(self, of: dict[str, np.ndarray]) -> np.ndarray:
        noise = np.random.default_rng(self.person.seed + 1).normal(0, 1, (64, 64)).astype(np.float32)
        angle = np.arctan2(self.place[..., 0], self.place[..., 2] - 0.45)
        fringe = cv2.remap(
            noise,
            ((angle + np.pi) * 20 % 64).astype(np.float32),
            ((self.place[..., 1] * 12) % 64).astype(np.float32),
            cv2.INTER_LINEAR,
        )
        scalp = _scalp(self.place, self.person.hairline) + 0.02 * fringe
        share = np.clip(scalp * 12 + 0.2, 0, 1) * (1 - np.clip(self.masks['ears'] * 3, 0, 1)) * of['skin']
        return np.maximum(share * (0.97 if self.person.hair_volume > 0.04 else 0.7), of['hair'])

    def _strands(self) -> np.ndarray:
        """Hair streaks: anisotropic noise."""
        noise = np.random.default_rng(self.person.seed + 2).normal(0, 1, (256, 256)).astype(np.float32)
        streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.7, sigmaY=14, borderType=cv2.BORDER_REFLECT) * 4.5
        angle = np.arctan2(self.place[..., 0], self.place[..., 2] - 0.45)
        x = ((angle / (2 * np.pi) + 0.5) * 700 + 10 * self.place[..., 1]) % 255
        y = (self.place[..., 1] * 90) % 255
        return np.clip(
            0.5 + 0.5 * cv2.remap(streaks, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR), 0, 1
        )

    def _eyes(self, is_eye: np.ndarray) -> np.ndarray:
        """Paint iris and pupil by the angle from the gaze direction."""
        iris_degrees, pupil_degrees = self.own.uniform(25, 29), self.own.uniform(8, 13)
        where = self._at_pixels(self.vertices)[is_eye]
        out = eye_directions(where, self.place[is_eye], self.vertices, self.renderer._eyes)
        angle = np.degrees(np.arccos(np.clip(out @ direction(*self.gaze), -1, 1)))[:, None]
        rays = (
            0.85
            + 0.3
            * np.random.default_rng(self.person.seed).random(64)[
                (np.arctan2(out[:, 1], out[:, 0]) * 10).astype(int) % 64
            ][:, None]
        )
        iris = self.person.eyes * rays * (0.8 + 0.5 * angle / iris_degrees)
        white = np.array([0.74, 0.76, 0.80]) * (1 - 0.004 * np.clip(angle - 30, 0, 60))
        in_iris = np.clip((iris_degrees - angle) / 2.5 + 0.5, 0, 1)
        rim = np.exp(-(((angle - iris_degrees) / 3) ** 2))
        in_pupil = np.clip((pupil_degrees - angle) / 2 + 0.5, 0, 1)
        each = white + in_iris * (iris - white)
        return (each * (1 - 0.5 * rim)) * (1 - 0.93 * in_pupil)

    # light and camera

    def _shaded(
        self,
        albedo: np.ndarray,
        normal: np.ndarray,
        of: dict[str, np.ndarray],
        hair_share: np.ndarray,
        clothes: np.ndarray,
    ) -> np.ndarray:
        """Shade with a directional light and its shadow, ambient light with occlusion, and gloss."""
        generator = self.generator
        lamp = direction(generator.normal(0, 38), generator.uniform(-5, 60))
        warmth = generator.normal(0, 0.06)
        lamp_colour = np.array([1 - warmth, 1, 1 + warmth]) * generator.uniform(0.5, 1.1)
        around = np.array([1 + warmth, 1, 1 - warmth]) * generator.uniform(0.25, 0.6)
        soft = generator.uniform(0.05, 0.45)
        facing = (normal @ lamp)[..., None]
        wrap = np.array([0.06, 0.12, 0.28]) * of['skin'][..., None] + soft * 0.5
        diffuse = np.clip((facing + wrap) / (1 + wrap), 0, None)
        open_sky = 0.7 + 0.3 * normal[..., 1:2]
        lit = unshadowed(self.seen, self.solid, self._at_pixels, lamp)
        lit = cv2.GaussianBlur(np.where(self.is_hit, lit, 1), (0, 0), generator.uniform(1.2, 5))
        shadow = 1 - (1 - lit) * (1 - 0.6 * soft)
        hidden = occluded(self.depth) ** np.where(of['teeth'], 0.4, 1)
        shadow = np.where(of['teeth'], 0.5 + 0.5 * shadow, shadow)
        light = around * open_sky * hidden[..., None] + lamp_colour * diffuse * shadow[..., None] * (
            0.5 + 0.5 * hidden[..., None]
        )
        half = lamp + [0, 0, 1]
        half = half / np.linalg.norm(half)
        shine = np.clip(normal @ half, 0, 1)
        oil = self.own.uniform(0.02, 0.14)
        gloss = oil * shine**14 * (of['skin'] & ~clothes) * (1 + 1.5 * self.masks['lips'])
        gloss = gloss * (1 - hair_share) + 0.10 * hair_share * shine**8
        gloss = gloss + of['eye'] * (0.9 * shine**140 + 0.05) + 0.25 * of['teeth'] * shine**20
        return albedo * light + (gloss * shadow)[..., None] * lamp_colour

    def _with_lashes(self, colour: np.ndarray) -> np.ndarray:
        shown, shares, depth = rasterize(self.points, -self.seen[:, 2], self.lashes, SCENE_PX)
        hit = (shown >= 0) & (depth < self.depth + 0.03)
        place = interpolated(shares, self.renderer.model.vertices[self.lashes[shown]])
        upper = place[..., 1] > 7.28
        share = hit * np.where(upper, 0.55, 0.12) * (0.6 + 0.4 * np.sin(place[..., 0] * 260))
        share = share * (0.6 + 0.6 * self.person.make_up)
        share = cv2.GaussianBlur(share.astype(np.float32), (0, 0), 0.7)
        return colour * (1 - np.clip(share, 0, 0.95))[..., None]

    def _with_glasses(self, colour: np.ndarray) -> np.ndarray:
        if not self.person.glasses:
            return colour
        own = np.random.default_rng(self.person.seed + 3)
        (width, height), power = own.uniform([0.24, 0.16], [0.31, 0.27]), own.uniform(2, 4)
        thick, tone = int(own.uniform(1.2, 5)), own.uniform(0, 0.35, 3) * own.integers(0, 2) + 0.03
        frame, lens = np.zeros((2, SCENE_PX, SCENE_PX), np.float32)
        centres = [self.person.vertices[rows].mean(0) for rows in self.renderer._eyes]
        forward = max(each[2] for each in centres) + 0.32
        turns = np.linspace(0, 2 * np.pi, 49)
        curve = np.stack([np.cos(turns), np.sin(turns)], 1)
        curve = np.sign(curve) * np.abs(curve) ** (2 / power) * [width, height]
        middle = [np.array([each[0] * 1.08, each[1] - 0.03, forward]) for each in centres]
        for sign, centre in zip((1, -1), middle):
            ring = np.column_stack([curve + centre[:2], np.full(49, forward) - 0.12 * np.abs(curve[:, 0] * sign + 0.1)])
            cv2.fillPoly(lens, [self._project(ring)], 1.0, cv2.LINE_AA, 3)
            cv2.polylines(frame, [self._project(ring)], True, 1.0, thick, cv2.LINE_AA, 3)
            hinge = centre + [sign * width, 0.06, -0.05]
            temple = np.array([hinge, hinge + [sign * 0.12, 0, -0.3]])
            if sign * self.turn[0, 2] < 0.25:
                cv2.polylines(frame, [self._project(temple)], False, 1.0, thick, cv2.LINE_AA, 3)
        bridge = np.array(
            [middle[0] + [-width, 0.03, 0], (middle[0] + middle[1]) / 2 + [0, 0.06, 0.03], middle[1] + [width, 0.03, 0]]
        )
        cv2.polylines(frame, [self._project(bridge)], False, 1.0, thick, cv2.LINE_AA, 3)
        shade = cv2.GaussianBlur(np.roll(frame, 5, 0), (0, 0), 3) * 0.35
        colour = colour * (1 - shade[..., None])
        glare = self.generator.uniform(0, 0.12) * lens
        dark = 1 - lens * (self.generator.random() < 0.06) * 0.8
        colour = colour * dark[..., None] + glare[..., None]
        return colour + frame[..., None] * (tone - colour)

    def _project(self, places: np.ndarray) -> np.ndarray:
        """Project points of the head to (n, 1, 2) int32, eighths of pixels."""
        return np.rint(self.project(places)[1] * 8).astype(np.int32)[:, None]

    def _with_camera(self, colour: np.ndarray) -> np.ndarray:
        """Add background, exposure, blur and sensor noise."""
        generator = self.generator
        small = generator.uniform(0.02, 0.9, (generator.integers(1, 6), generator.integers(1, 6), 3))
        small += generator.uniform(0.5, 1) * (small.mean(2, keepdims=True) - small)
        behind = cv2.resize(small, (SCENE_PX, SCENE_PX), interpolation=cv2.INTER_CUBIC).reshape(SCENE_PX, SCENE_PX, 3)
        for _ in range(generator.integers(0, 7)):
            x, y, width, height = generator.integers(0, SCENE_PX, 4)
            cv2.rectangle(
                behind,
                (int(x), int(y)),
                (int(x + width // 2), int(y + height)),
                generator.uniform(0, 1, 3).tolist(),
                -1,
            )
        behind = cv2.GaussianBlur(behind, (0, 0), generator.uniform(1, 14))
        cover = cv2.GaussianBlur(self.is_hit.astype(np.float32), (0, 0), 0.9)[..., None]
        picture: Any = colour * cover + behind * (1 - cover)
        bright = float(np.percentile(picture[self.is_hit], 90))
        picture = picture / max(bright, 0.05) * generator.uniform(0.55, 0.95)
        picture = np.clip(picture, 0, 1.2) ** (generator.uniform(0.5, 0.75))
        picture = cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.5, 1.6))
        picture = picture * 255 + generator.normal(0, generator.uniform(0.5, 5), picture.shape)
        if generator.random() < 0.15:
            picture[:] = picture.mean(2, keepdims=True)
        return np.clip(picture, 0, 255).astype(np.uint8)


def eyeballs(model: HeadModel) -> list[np.ndarray]:
    """Return the vertex indices of the person's left and right eyeball."""
    rows = np.unique(model.triangles[model.materials == MATERIALS.index('eye')])
    return [rows[sign * model.vertices[rows, 0] > 0] for sign in (1, -1)]


def eye_directions(
    where: np.ndarray, place: np.ndarray, vertices: np.ndarray, eyes: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the directions of points on the eyes from the centre of their eyeball, (n, 3) unit vectors.

    :param where: (n, 3) points.
    :param place: (n, 3) the same points on the base mesh.
    :param vertices: (V, 3) of the head.
    :param eyes: from :func:`eyeballs`.
    """
    balls = [vertices[rows] for rows in eyes]
    left, right = ((ball.min(0) + ball.max(0)) / 2 for ball in balls)  # without the cornea
    out = where - np.where(place[:, :1] > 0, left, right)
    return out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-6)


def _scalp(places: np.ndarray, hairline: float) -> np.ndarray:
    """Return decimetres above the hairline for points of the base head, negative below."""
    angle = np.degrees(np.abs(np.arctan2(places[..., 0], places[..., 2] - 0.45)))
    line = np.interp(angle, [0, 30, 48, 62, 75, 90, 140, 180], [8.0, 8.02, 7.92, 7.6, 7.25, 7.0, 6.65, 6.5])
    return places[..., 1] - line - hairline * np.interp(angle, [0, 70, 100], [1, 0.6, 0])


def _gaze_units(gaze: np.ndarray) -> dict[str, float]:
    """Convert gaze (yaw, pitch) in degrees to face units of the eyelids."""
    yaw, pitch = np.clip(np.asarray(gaze) / 30, -1, 1)
    units = {}
    for side, sign in (('Left', 1), ('Right', -1)):
        units['eyeLookOut' + side if sign * yaw > 0 else 'eyeLookIn' + side] = abs(yaw)
        units['eyeLookUp' + side if pitch > 0 else 'eyeLookDown' + side] = abs(pitch)
    return units


def direction(yaw: float, pitch: float) -> np.ndarray:
    """Return the (3,) unit vector from the head at yaw to the image's right and pitch up, in degrees."""
    yaw, pitch = np.deg2rad([yaw, pitch])
    return np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Return the (3, 3) rotation of yaw to the image's right, pitch up and roll clockwise, in degrees."""
    yaw, pitch, roll = np.deg2rad([yaw, -pitch, -roll])
    about_y = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    about_z = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
    return about_z @ about_x @ about_y
