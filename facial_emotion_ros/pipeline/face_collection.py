"""Guided capture of labelled faces: prompt a consenting person for each expression and save pictures."""

import csv
import datetime
import io
import math
import os
import re
from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import cv2
import numpy as np

from facial_emotion_ros.core.csv_rows import read_csv, text_of
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadImage, BadParameter
from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.core.text import cell
from facial_emotion_ros.emotion.quality_gate import QualityGate
from facial_emotion_ros.inference.model_bundle import opened_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry, cut_planes
from facial_emotion_ros.perception.face_detector import FaceDetector, Faces
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.perception.image_rotation import ANGLES, rotated

#: Instruction for each expression. Source: Ekman and Friesen, Unmasking the Face, 1975, in our words.
INSTRUCTIONS: Dict[str, str] = {
    'neutral': 'relax your face',
    'happy': 'smile, with your eyes too',
    'sad': 'let the corners of your mouth drop, raise the inner ends of your eyebrows',
    'surprise': 'raise your eyebrows, open your mouth',
    'fear': 'raise your eyebrows and draw them together, eyes wide, mouth tense',
    'disgust': 'wrinkle your nose, raise your upper lip',
    'anger': 'lower your eyebrows, press your lips together',
    'contempt': 'raise one corner of your mouth',
}
LABELS_FILE = 'labels.csv'

#: Time between two pictures, so that they differ.
_PAUSE_S = 0.6
#: Geometry of the saved crops, for people, `train` and `evaluate`: like the embedded network's input, but in colour.
CROP = CropGeometry(
    size_px=160, color='bgr', margin=1.08, center_x=0.505, center_y=0.547, level_eyes=True, landmark_weight=0.5
)
_JPEG_QUALITY = 95
_NUMBER = re.compile(r'(\d+)_')


class Row(NamedTuple):
    """A row of labels.csv; file and crop are paths in the folder."""

    file: str
    emotion: str
    person: str
    crop: str
    date: str
    consent: str


class Prompt(NamedTuple):
    """Text shown to the person: requested emotion, instruction, and progress or why no picture is taken."""

    emotion: str
    instruction: str
    state: str

    def __str__(self) -> str:
        return '%s: %s - %s' % (self.emotion, self.instruction, self.state) if self.emotion else self.state


class FaceCollection:
    """Capture session: step through the expressions as images arrive, and write a folder for `adapt` and `train`."""

    def __init__(
        self,
        folder: str,
        person: str,
        consent: str,
        emotions: Sequence[str] = EMOTIONS,
        stills: int = 3,
        countdown_s: float = 3.0,
        patience_s: float = 30.0,
        detector: Any = 'centerface',
        rotate_deg: int = 0,
    ) -> None:
        """Prepare the folder, readable by its owner only; existing pictures stay.

        :param folder: created if missing; a folder of an earlier collection is continued.
        :param person: name or pseudonym.
        :param consent: what the person agreed to, saved with every picture.
        :param emotions: the requested expressions, in this order.
        :param stills: pictures of each expression.
        :param countdown_s: seconds before the first picture of an expression.
        :param patience_s: an expression is skipped if no picture could be taken for so many seconds.
        :param detector: ModelBundle, path or name of a detector, or any object with `detect(image) -> Faces`.
        :param rotate_deg: rotate images clockwise first, by 0, 90, 180 or 270 degrees.
        :raises BadParameter: for a value out of range, or a folder with a different labels.csv.
        :raises BadDataset: for a damaged labels.csv.
        """
        if not person.strip() or not consent.strip():
            raise BadParameter(
                'expected the name or a pseudonym of the person and the text of the consent, got %r and %r; '
                'pictures are saved only with both' % (person, consent)
            )
        wrong = [emotion for emotion in emotions if emotion not in EMOTIONS]
        if wrong or not emotions or stills < 1:
            raise BadParameter(
                'expected expressions of %s and at least 1 still, got %s and %d'
                % (', '.join(EMOTIONS), ', '.join(wrong or emotions) or 'none', stills)
            )
        times = countdown_s, patience_s
        if not all(0 <= each and math.isfinite(each) for each in times) or rotate_deg not in ANGLES:
            raise BadParameter(
                'expected countdown and patience of 0 s or more, and a rotation of 0, 90, 180 or 270, got %r, %r and %r'
                % (times + (rotate_deg,))
            )
        self.folder, self._person, self._consent = folder, person.strip(), ' '.join(consent.split())
        self._left: List[str] = list(emotions)
        self._stills, self._countdown_s, self._patience_s = stills, countdown_s, patience_s
        self._detector = detector if hasattr(detector, 'detect') else FaceDetector(opened_bundle(detector))
        self._rotate_deg, self._gate = rotate_deg, QualityGate()
        self._rows = self._open_folder()
        self._began_s: Optional[float] = None
        self._last_s = 0.0
        self._taken = 0
        self.taken = 0
        self.missed: List[str] = []
        self.prompt = Prompt('', '', 'waiting for the first image')

    @property
    def done(self) -> bool:
        """Whether all expressions are done."""
        return not self._left

    def add(self, image: np.ndarray, now_s: float) -> np.ndarray:
        """Save an image if one is due and its face passes the quality gate.

        :param image: (H, W, 3) uint8 BGR.
        :param now_s: acquisition time in seconds of any clock.
        :returns: a copy, rotated, with the prompt.
        :raises OSError: if a picture cannot be written; the earlier ones stay.
        """
        image = rotated(image, self._rotate_deg)
        if self._began_s is None or now_s < self._last_s:
            self._began_s = self._last_s = now_s
        if self.done:
            return _captioned(image, self.prompt)
        left_s = self._began_s + self._countdown_s - now_s
        if left_s > 0:
            self._set_state('in %d s' % int(np.ceil(left_s)))
        elif now_s - self._last_s >= _PAUSE_S or not self._taken:
            faces = self._detector.detect(image)
            reason = self._rejection(image, faces)
            if reason:
                self._set_state(reason)
            else:
                self._save(image, faces)
                self._last_s = now_s
            waited_s = now_s - max(self._last_s, self._began_s + self._countdown_s)
            if self._taken >= self._stills or waited_s > self._patience_s:
                self._next(now_s)
        return _captioned(image, self.prompt)

    def _rejection(self, image: np.ndarray, faces: Faces) -> str:
        """Return why no picture can be taken; '' if it can."""
        if len(faces) != 1:
            return 'no face in sight' if not len(faces) else '%d faces in sight, one expected' % len(faces)
        reasons = self._gate.check(image, faces.boxes[0], faces.landmarks[0], 1.0, 1.0)
        return 'the face is %s' % ', '.join(reasons).replace('_', ' ') if reasons else ''

    def _save(self, image: np.ndarray, faces: Faces) -> None:
        """Write picture and crop, then the table with their names."""
        emotion = self._left[0]
        numbers = [int(found.group(1)) for found in map(_NUMBER.match, os.listdir(self._path('pictures'))) if found]
        name = '%04d_%s.jpg' % (max(numbers + [0]) + 1, emotion)
        for kind, picture in (('pictures', image), ('crops', _crop_of(image, faces))):
            write_atomic(self._path(kind, name), _as_jpeg(picture))
        date = datetime.datetime.now().replace(microsecond=0).isoformat()
        row = Row('pictures/' + name, emotion, self._person, 'crops/' + name, date, self._consent)
        self._write_table(self._rows + [row])
        self._taken += 1
        self.taken += 1
        self._set_state('%d of %d taken' % (self._taken, self._stills))

    def _next(self, now_s: float) -> None:
        emotion = self._left.pop(0)
        if not self._taken:
            self.missed.append(emotion)
        self._began_s, self._taken = now_s, 0
        if self.done:
            self.prompt = Prompt('', '', 'Done, thank you.')

    def _set_state(self, state: str) -> None:
        self.prompt = Prompt(self._left[0], INSTRUCTIONS[self._left[0]], state)

    def _path(self, *names: str) -> str:
        return os.path.join(self.folder, *names)

    def _open_folder(self) -> List[Row]:
        for path in (self.folder, self._path('pictures'), self._path('crops')):
            os.makedirs(path, mode=0o700, exist_ok=True)
        return read_table(self.folder) if os.path.exists(self._path(LABELS_FILE)) else []

    def _write_table(self, rows: List[Row]) -> None:
        text = io.StringIO()
        csv.writer(text).writerows([Row._fields, *([cell(each, '\t\n\r') for each in row] for row in rows)])
        write_atomic(self._path(LABELS_FILE), text.getvalue().encode('utf-8'))
        self._rows = rows


def cut_crops(folder: str, detector: Any = 'centerface') -> List[str]:
    """Cut all crops of a folder again with the current geometry: earlier versions cut them wider.

    :param folder: written by collect_faces.
    :param detector: see FaceCollection.
    :returns: pictures without exactly one detected face, whose crops are unchanged. Rows whose picture or crop was
        deleted are skipped.
    :raises OSError, FacialEmotionError: if the table or a picture cannot be read; crops already cut stay.
    """
    finder = detector if hasattr(detector, 'detect') else FaceDetector(opened_bundle(detector))
    missed = []
    for row in read_table(folder):
        image = read_picture(os.path.join(folder, row.file))
        faces = finder.detect(image)
        if len(faces) == 1:
            write_atomic(os.path.join(folder, row.crop), _as_jpeg(_crop_of(image, faces)))
        else:
            missed.append(row.file)
    return missed


def read_table(folder: str) -> List[Row]:
    """Return the rows of a folder's labels.csv, without those whose picture or crop was deleted.

    A spreadsheet may have saved it.

    :raises BadDataset: if it cannot be read, or is damaged.
    :raises BadParameter: for a different table.
    """
    path = os.path.join(folder, LABELS_FILE)
    table = read_csv(text_of(path, 'CSV file'), path, Row._fields)
    if tuple(table.names) != Row._fields:
        raise BadParameter(
            'expected a new folder, or one written by collect_faces, got %r whose %s begins with %r, not %r; choose '
            'another folder' % (folder, LABELS_FILE, ','.join(table.names), ','.join(Row._fields))
        )
    rows = [Row(**fields) for _, fields in table.rows]
    return [row for row in rows if all(os.path.exists(os.path.join(folder, each)) for each in (row.file, row.crop))]


def _crop_of(image: np.ndarray, faces: Faces) -> np.ndarray:
    return cut_planes(image, faces.boxes[:1], CROP, faces.landmarks[:1])[0].transpose(1, 2, 0)


def _as_jpeg(image: np.ndarray) -> bytes:
    good, content = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    if not good:
        raise BadImage('expected an image that can be written as JPEG, got one of %s' % (image.shape,))
    return bytes(content.tobytes())


def _captioned(image: np.ndarray, prompt: Prompt) -> np.ndarray:
    """Return a copy with the prompt on a bar at the top."""
    image = image.copy()
    scale = max(image.shape[1] / 900.0, 0.35)
    lines = [each for each in (prompt.emotion.upper(), prompt.instruction, prompt.state) if each]
    height = int(30 * scale)
    cv2.rectangle(image, (0, 0), (image.shape[1], height * len(lines) + height // 2), (32, 32, 32), -1)
    for number, line in enumerate(lines, 1):
        place, thickness = (height // 3, height * number), max(1, int(1.5 * scale))
        cv2.putText(image, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.75 * scale, (255,) * 3, thickness, cv2.LINE_AA)
    return image
