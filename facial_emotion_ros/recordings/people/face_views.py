"""Appearance descriptors of the faces of a recording, for re-identification: collected, written and read."""

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.perception.face_appearance import SIZE, describe, unit
from facial_emotion_ros.perception.image_rotation import rotated, rotated_boxes, rotated_points
from facial_emotion_ros.recordings.study.face_rows import FaceRows, places_by

#: Files in the results of a recording: descriptors of its faces, and the folder of their pictures.
FACE_VIEWS, FACE_PICTURES = 'face_views.json', 'face_pictures'

#: Format of the file; incremented when a field changes its meaning.
_FORMAT = 1

#: Minimum time between two descriptors of a face.
_EVERY_S = 0.25

#: A view whose similarity to each exemplar of its face is below this becomes a new exemplar, up to this number.
_NEW_EXEMPLAR, MAX_EXEMPLARS = 0.75, 5

#: Maximum number of faces described per recording; of more, those with the fewest views are dropped.
MAX_DESCRIBED = 1000

#: Views with one of these rejection reasons are not described.
_UNCLEAR = {'small', 'blurred', 'cut', 'dark', 'low_contrast', 'overexposed', 'occluded'}


class FaceKey(NamedTuple):
    """Identifies a face id among many recordings."""

    recording: str
    camera: str
    face: str


class SeenFace(NamedTuple):
    """A face of a recording.

    seconds: time visible; persons: {name: number of views} by the ground truth; beside: ids of faces in the same image
    of the same camera; exemplars: (E, SIZE) float32 unit vectors, by descending number of views, E = 0 if no view was
    clear; picture: path in the results, '' for none.
    """

    key: FaceKey
    seconds: float
    persons: Mapping[str, int]
    beside: Sequence[str]
    exemplars: np.ndarray
    picture: str


class _Views:
    """Exemplars of one face: sums of similar descriptors."""

    def __init__(self):
        self.sums: list[np.ndarray] = []
        self.counts: list[int] = []
        self.next_s = -np.inf

    def add(self, description):
        likeness = [float(unit(each).dot(description)) for each in self.sums]
        best = int(np.argmax(likeness)) if likeness else -1
        if best >= 0 and likeness[best] >= _NEW_EXEMPLAR:
            self.sums[best] = self.sums[best] + description
            self.counts[best] += 1
        elif len(self.sums) < MAX_EXEMPLARS:
            self.sums.append(description.astype(np.float64))
            self.counts.append(1)


class FaceViews:
    """Collects descriptors of the faces of a recording during its evaluation."""

    def __init__(self):
        """Start without faces."""
        self._views: dict[tuple[str, str], _Views] = {}

    def add(
        self, camera: str, time_s: float, image: np.ndarray, faces: Sequence[FaceEstimate], rotate_deg: int = 0
    ) -> None:
        """Describe those faces of an image that are clear and due for a new descriptor.

        :param camera: image topic.
        :param time_s: seconds since the recording's first image.
        :param image: (H, W, 3) uint8 BGR.
        :param faces: estimates in pixels of this image.
        :param rotate_deg: clockwise rotation that makes the image upright.
        """
        due = [face for face in faces if self._is_due(camera, face, time_s)]
        if not due:
            return
        size, image = image.shape[:2], rotated(image, rotate_deg)
        for face in due:
            box = rotated_boxes(np.array([face.box], np.float32), rotate_deg, size)[0]
            description = describe(image, box, rotated_points(face.landmarks, rotate_deg, size))
            if description.any():
                views = self._views.setdefault((camera, face.face_id), _Views())
                views.add(description)
                views.next_s = time_s + _EVERY_S
        if len(self._views) > MAX_DESCRIBED:
            self._drop_some(time_s)

    def _is_due(self, camera, face, time_s):
        views = self._views.get((camera, face.face_id))
        return (views is None or time_s >= views.next_s) and not _UNCLEAR & set(face.rejection_reasons)

    def _drop_some(self, time_s):
        """Drop a tenth of the faces: those with the fewest views that were not described recently."""
        gone = [(sum(each.counts), each.next_s, key) for key, each in self._views.items() if each.next_s < time_s]
        for _, _, key in sorted(gone)[: MAX_DESCRIBED // 10]:
            del self._views[key]

    def content(self, rows: FaceRows, pictures: Mapping[tuple[str, str], str]) -> bytes:
        """Serialize all faces as JSON; deterministic for a recording.

        :param rows: table of frames.
        :param pictures: path of a face's picture, by (camera, id).
        """
        lengths_s, cameras = rows.durations(), {}
        for camera in sorted(set(rows.cameras)):
            here = np.flatnonzero((rows.cameras == camera) & (rows.face_ids != ''))
            beside = _beside(rows.frames[here], rows.face_ids[here])
            cameras[camera] = {
                face: {
                    'seconds': round(rows.seconds(lengths_s, places), 6),
                    'persons': dict(sorted(Counter(name for name in rows.persons[places] if name).items())),
                    'beside': sorted(beside[face]),
                    'picture': pictures.get((camera, face), ''),
                    'exemplars': self._exemplars(camera, face),
                }
                for face, places in sorted(places_by(rows.face_ids, here).items())
            }
        return (json.dumps({'format': _FORMAT, 'cameras': cameras}, indent=1) + '\n').encode('utf-8')

    def _exemplars(self, camera, face):
        views = self._views.get((camera, face))
        if views is None:
            return []
        order = sorted(range(len(views.counts)), key=lambda place: (-views.counts[place], place))
        return [{'views': views.counts[place], 'description': _as_text(unit(views.sums[place]))} for place in order]


def read_face_views(content: bytes, recording: str, folder: str = '') -> list[SeenFace]:
    """Parse the output of :meth:`FaceViews.content`.

    :param content: of the file.
    :param recording: name of the recording's results folder.
    :param folder: path of that folder in the results; '' for the results themselves.
    :raises BadDataset: if the content is invalid.
    """
    try:
        told = json.loads(content)
        if told['format'] != _FORMAT:
            raise ValueError(f'its format is {told["format"]}')
        return [
            SeenFace(
                FaceKey(recording, camera, face),
                float(each['seconds']),
                each['persons'],
                each['beside'],
                _from_text([exemplar['description'] for exemplar in each['exemplars']]),
                f'{folder}/{each["picture"]}'.lstrip('/') if each['picture'] else '',
            )
            for camera, faces in told['cameras'].items()
            for face, each in faces.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadDataset(
            f'{recording}: expected a {FACE_VIEWS} of this version, got one that cannot be read ({error}); delete its '
            'results folder and run the same command again'
        ) from error


def _beside(frames, faces) -> dict[str, set[str]]:
    """Find which faces of a camera appeared in the same image."""
    found: dict[str, set[str]] = {face: set() for face in faces}
    for places in places_by(frames, range(len(frames))).values():
        together = set(faces[places])
        for face in together if len(together) > 1 else ():
            found[face] |= together - {face}
    return found


def _as_text(vector: Any) -> str:
    return base64.b64encode(np.asarray(vector, '<f2').tobytes()).decode('ascii')


def _from_text(texts: Sequence[str]) -> np.ndarray:
    vectors = [np.frombuffer(base64.b64decode(text, validate=True), '<f2').astype(np.float32) for text in texts]
    if any(len(vector) != SIZE or not np.isfinite(vector).all() for vector in vectors):
        raise ValueError(f'expected {SIZE} finite numbers per descriptor')
    return np.stack([unit(vector) for vector in vectors]) if vectors else np.empty((0, SIZE), np.float32)
