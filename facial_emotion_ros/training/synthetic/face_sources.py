"""Sources of the faces of render_faces: synthetic portraits, and photographs that are given expressions."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.perception.face_crops import CropGeometry, cut_planes, eye_angles
from facial_emotion_ros.training.data.datasets import open_faces
from facial_emotion_ros.training.data.face_set import FaceSet, held_out, read_names
from facial_emotion_ros.training.synthetic.action_units import draw_expression
from facial_emotion_ros.training.synthetic.face_rendering import FaceRenderer
from facial_emotion_ros.training.synthetic.head_model import HeadModel
from facial_emotion_ros.training.synthetic.photo_expressions import PHOTO_PX, PhotoExpressions
from facial_emotion_ros.training.synthetic.synthetic_person import draw_person

#: Minimum score of neutral of a photograph that is given an expression.
_NEUTRAL = 0.7

#: Factor of the action units for photographs: warped, they show weaker expressions than rendered portraits.
_PHOTO_STRENGTH = 1.15

#: Width of the border that is added for detection: a face that fills its picture is not found.
_BORDER_PX = PHOTO_PX // 3

_Row = dict[str, str]


class Portraits:
    """Renders portraits of synthetic people."""

    def __init__(self, model: HeadModel, action_units: Mapping[int, Mapping[str, float]]) -> None:
        """Take the head model, and the blend shapes of each action unit."""
        self._renderer, self._action_units = FaceRenderer(model), action_units

    def draw(self, seed: int, number: int, finder: Any, geometry: CropGeometry) -> tuple[np.ndarray, _Row] | None:
        """Render a portrait and crop its face.

        :param seed, number: seed of person, expression and light; number counts the portraits.
        :param finder: face finder, as :attr:`EmotionPipeline.finder`.
        :param geometry: CropGeometry, in BGR.
        :returns: (S, S, 3) uint8 BGR and the columns of a labelled folder; None if no face is found.
        """
        generator = np.random.default_rng([seed, number])
        person = draw_person(self._renderer.model, generator)
        expression = draw_expression(generator, self._action_units)
        image, pose, _ = self._renderer.draw(person, expression.actions, generator)
        faces = finder.find_alone(image)
        if not faces.ids:
            return None
        # The largest face is the first.
        face = cut_planes(image, faces.boxes[:1], geometry, faces.landmarks[:1])[0].transpose(1, 2, 0)
        if geometry.level_eyes:  # the crop rotates the face
            pose = *pose[:2], pose[2] - float(np.degrees(eye_angles(faces.landmarks[:1])[0]))
        traits = {'age': f'{person.age:.0f}', 'male': f'{person.male:.2f}', 'skin': f'{person.tone:.2f}'}
        return face, {**expression.labels(), **_pose_columns(pose), **traits}


class Photographs:
    """Gives photographs of neutral faces expressions."""

    def __init__(self, model: HeadModel, action_units: Mapping[int, Mapping[str, float]], faces: FaceSet) -> None:
        """Take the head model, the blend shapes of each action unit, and faces from :func:`neutral_faces`."""
        self._expressions, self._action_units, self._faces = PhotoExpressions(model), action_units, faces

    def draw(self, seed: int, number: int, finder: Any, geometry: CropGeometry) -> tuple[np.ndarray, _Row] | None:
        """Give a face an expression.

        :param seed, number: seed of photograph, expression and light; each photograph is used once before one is used
            again.
        :param finder: face finder, as :attr:`EmotionPipeline.finder`.
        :param geometry: CropGeometry, whose size_px is the largest side of the result.
        :returns: (P, P) gray or (P, P, 3) BGR uint8, framed as the photograph, and the columns of a labelled folder;
            None if no face is found, or the head model does not fit it.
        """
        turn, place = divmod(number, len(self._faces))
        row = np.random.default_rng([seed, turn, 1]).permutation(len(self._faces))[place]
        face = self._faces.faces(np.array([row]))[0]
        photograph = _resized(face, PHOTO_PX)
        around = cv2.copyMakeBorder(photograph, _BORDER_PX, _BORDER_PX, _BORDER_PX, _BORDER_PX, cv2.BORDER_REPLICATE)
        found = finder.find_alone(around if around.ndim == 3 else cv2.cvtColor(around, cv2.COLOR_GRAY2BGR))
        fit = self._expressions.fit(found.landmarks[0] - _BORDER_PX) if found.ids else None
        if fit is None:
            return None
        generator = np.random.default_rng([seed, number])
        expression = draw_expression(generator, self._action_units)
        actions = {unit: share * _PHOTO_STRENGTH for unit, share in expression.actions.items()}
        drawn = _resized(self._expressions.draw(photograph, fit, actions, generator), min(len(face), geometry.size_px))
        name = str(self._faces.names[row])
        persons = getattr(self._faces, 'persons', None)
        person = str(persons[row]) if persons is not None else ''
        return drawn, {
            **expression.labels(),
            **_pose_columns(fit.turn),
            'photograph': name,
            'person': person or name,
        }


def neutral_faces(path: str, leave_out: str | None = None) -> FaceSet:
    """Open the faces of a data set that are labelled neutral.

    :param path: file or folder of the set; its format is detected.
    :param leave_out: file with names to exclude, one per line; None for none.
    :raises BadDataset: if there is no such set, no such name, or no neutral face.
    """
    faces = open_faces(path)
    if leave_out is not None:
        faces, _ = held_out(faces, read_names(leave_out))
    neutral = faces.rows(faces.distributions[:, EMOTIONS.index('neutral')] >= _NEUTRAL)
    if not len(neutral):
        without = f' after excluding those in {leave_out}' if leave_out else ''
        raise BadDataset(f'{path}: expected faces labelled neutral, got none among {len(faces)}{without}')
    return neutral


def _resized(face: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(face, (side, side), interpolation=cv2.INTER_AREA if side < len(face) else cv2.INTER_CUBIC)


def _pose_columns(pose: Any) -> _Row:
    return {angle: f'{degrees:.1f}' for angle, degrees in zip(('yaw', 'pitch', 'roll'), pose)}
