"""Images with faces of known position and expression: FER+ faces pasted into drawn scenes, and photographs."""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from facial_emotion_ros.core.csv_rows import read_csv, text_of
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadImage
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import BACKGROUND, read_picture
from facial_emotion_ros.perception.image_formats import PICTURE_SUFFIXES
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.data.face_set import FaceSet, held_out, read_names
from facial_emotion_ros.training.data.ferplus import SIDE_PX
from facial_emotion_ros.training.data.labelled_folder import LABELS_FILE, SYNONYMS, read_labelled_folder

WIDTH_PX, HEIGHT_PX = 640, 480

#: Range of the enlargement of FER+'s 48 px images: faces of 120 to 210 px, as of a person at about arm's length.
SCALES = (3.0, 5.0)

#: Ratio of a FER+ image's side to that of its face's box (square root of width times height).
#: Source: 303 faces of FER+ valid detected by CenterFace; the crop geometry of the first bundle.
PICTURE_OVER_BOX = 1.17

#: Chroma of skin: difference from gray in BGR, with luminance 0.
_SKIN = np.array([-0.45, (0.114 * 0.45 - 0.299 * 0.30) / 0.587, 0.30], np.float32)

_EXPRESSIONS = 'expressions_left_to_right'


@dataclass(frozen=True, eq=False)
class LabelledFace:
    """One face in an image.

    :param name: name of the face's picture.
    :param image: (H, W, 3) uint8 BGR.
    :param label: index in EMOTIONS.
    :param middle: x, y of the face's centre in pixels; None if the face of a photograph was not found.
    :param box_px: approximate side of its box (square root of width times height) in pixels.
    :param picture: (P, P[, 3]) uint8, the data set's own crop; None for photographs.
    """

    name: str
    image: np.ndarray
    label: int
    middle: tuple[float, float] | None
    box_px: float
    picture: np.ndarray | None = None

    @property
    def center(self) -> tuple[float, float]:
        """Centre of a face that was found."""
        assert self.middle is not None
        return self.middle


def pasted_scenes(
    faces: Iterable[np.ndarray], names: Iterable[str], labels: Iterable[int], seed: int = 0
) -> Iterator[LabelledFace]:
    """Paste each face, enlarged, and tinted if it is gray, at a random position into a drawn scene of its own.

    A scene depends only on the seed and the face's index: the first 100 of 300 scenes equal those of 100 faces.

    :param faces: N uint8 arrays, (P, P) gray or (P, P, 3) BGR, framed as in FER+.
    :param names: (N,) str.
    :param labels: (N,) int, indices in EMOTIONS.
    :param seed: seed of sizes, positions and backgrounds.
    :returns: iterator of N LabelledFace in 640x480 images, each drawn when needed.
    """
    for place, (face, name, label) in enumerate(zip(faces, names, labels)):
        generator = np.random.default_rng([seed, place])
        image = draw_background(generator)
        side = int(round(SIDE_PX * generator.uniform(*SCALES)))
        left, top = (int(generator.integers(0, room - side + 1)) for room in (WIDTH_PX, HEIGHT_PX))
        enlarged = cv2.resize(face, (side, side), interpolation=cv2.INTER_CUBIC)
        image[top : top + side, left : left + side] = tinted(enlarged, generator) if enlarged.ndim == 2 else enlarged
        middle = (left + 0.5 * side, top + 0.5 * side)
        yield LabelledFace(str(name), image, int(label), middle, side / PICTURE_OVER_BOX, face)


def tinted(face: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Tint a gray face with a random skin colour, keeping its luminance.

    :param face: (P, P) uint8.
    :returns: (P, P, 3) uint8 BGR, with the same luminance up to rounding.
    """
    values = face.astype(np.float32)[:, :, None]
    # Chroma vanishes at black and white, so values stay within 0 to 255.
    chroma = values * (1 - values / 255) * (np.float32(generator.uniform(0.3, 1.3)) * _SKIN)
    return np.round(values + chroma).astype(np.uint8)


def draw_background(generator: np.random.Generator) -> np.ndarray:
    """Draw a random background: a coloured gradient, soft clutter, and edges.

    :returns: (480, 640, 3) uint8 BGR.
    """
    corners = np.stack([_color(generator) for _ in range(4)]).reshape(2, 2, 3).astype(np.float32)
    image: np.ndarray = cv2.resize(corners, (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_LINEAR)
    for cells in (4, 10, 30):  # clutter whose contrast falls with its size, as in natural images
        grid = (cells * 3 // 4, cells)
        noise = generator.normal(0, 0.8, grid + (1,)) + generator.normal(0, 0.3, grid + (3,))
        strength = 40.0 / math.sqrt(cells)
        image += strength * cv2.resize(noise.astype(np.float32), (WIDTH_PX, HEIGHT_PX), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(generator.integers(2, 10))):
        _draw_shape(image, generator)
    image += generator.standard_normal(image.shape, np.float32) * 3
    return np.clip(image, 0, 255).astype(np.uint8)


def _color(generator):
    """Sample a colour typical of rooms: any brightness, low saturation."""
    return generator.uniform(30, 225) + generator.normal(0, 18, 3)


def _draw_shape(image, generator):
    color = [float(value) for value in _color(generator)]
    x, y = int(generator.integers(0, WIDTH_PX)), int(generator.integers(0, HEIGHT_PX))
    width, height = (int(value) for value in generator.integers(20, 260, 2))
    kind = generator.integers(3)
    if kind == 0:
        cv2.rectangle(image, (x, y), (x + width, y + height), color, -1)
    elif kind == 1:
        cv2.ellipse(image, (x, y), (width // 2, height // 2), float(generator.uniform(0, 180)), 0, 360, color, -1)
    else:
        cv2.line(image, (x, y), (x + width, y + height), color, int(generator.integers(2, 20)))


def laid_on_gray(image: np.ndarray, left: int, top: int) -> np.ndarray:
    """Paste an image (H, W, 3) uint8 at (left, top) into a gray 640x480 image; parts outside are cut off."""
    ground = np.full((HEIGHT_PX, WIDTH_PX, 3), BACKGROUND, np.uint8)
    rows = slice(max(0, top), min(HEIGHT_PX, top + image.shape[0]))
    columns = slice(max(0, left), min(WIDTH_PX, left + image.shape[1]))
    ground[rows, columns] = image[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    return ground


@dataclass(frozen=True, eq=False)
class Scenes:
    """Faces of a set, drawn into scenes when needed.

    :param faces: FaceSet.
    :param rows: (N,) int64, the chosen faces, in random order.
    :param labelled: number of labelled faces that they were chosen from.
    :param seed: seed of sizes, positions and backgrounds.
    """

    faces: FaceSet
    rows: np.ndarray
    labelled: int
    seed: int

    def __len__(self) -> int:
        return len(self.rows)

    def draw(self, count: int | None = None) -> Iterator[LabelledFace]:
        """Draw the first scenes; None draws all."""
        rows = self.rows[:count]
        return pasted_scenes(self.faces.faces(rows), self.faces.names[rows], self.faces.labels[rows], self.seed)


def open_selected(dataset: str, only: str | None) -> FaceSet:
    """Open a set of faces.

    :param dataset: path of the set.
    :param only: path of a list of the image names to use; None for all.
    :raises BadDataset: if set or list is invalid.
    """
    from facial_emotion_ros.training.data.datasets import open_faces

    faces = open_faces(dataset)
    return held_out(faces, read_names(only))[1] if only else faces


def open_scenes(dataset: str, only: str | None, count: int, seed: int) -> Scenes:
    """Choose labelled faces for scenes.

    :param dataset, only: see :func:`open_selected`.
    :param count: number of faces; 0 for all.
    :param seed: seed of choice and scenes.
    :raises BadDataset: if the set is invalid, or no face has a label.
    """
    faces = open_selected(dataset, only)
    labelled = np.flatnonzero(faces.labels >= 0)
    if not len(labelled):
        raise BadDataset(f'{dataset}: expected faces with a label, got none; use another split')
    rows = np.random.default_rng(seed).permutation(labelled)[: count or None]
    return Scenes(faces, rows, len(labelled), seed)


def open_pipeline(bundle: str, detector: str, threads: int, operating_point: str) -> EmotionPipeline:
    """Open the pipeline with exactly these bundles; the node would use their int8 versions where these are faster.

    :raises FacialEmotionError: if a bundle or the operating point is invalid.
    """
    plan = ProviderPlan(threads=threads, precision='fp32')
    return EmotionPipeline(bundle, detector, providers=plan, operating_point=operating_point)


class Portraits(NamedTuple):
    """Labelled faces in photographs.

    :param faces: list of LabelledFace, from left to right in each picture. If fewer boxes than labels are found, all
        faces of the picture have no middle, since it is unknown which one was missed.
    :param pictures: number of photographs.
    :param invented: number of false detections over all photographs, including those without faces.
    """

    faces: list[LabelledFace]
    pictures: int
    invented: int


def read_portraits(folder: str, detector: FaceDetector) -> Portraits:
    """Read labelled photographs, and detect their faces.

    :param folder: folder with the pictures and labels.csv with at least the columns file and expressions_left_to_right
        (emotions joined by semicolons, empty without a face); otherwise a labelled folder with one face per picture, of
        which pictures that are unlabelled or struck out are skipped.
    :param detector: FaceDetector.
    :returns: Portraits.
    :raises BadDataset: if the table or a picture is missing or damaged, or an expression is no emotion.
    """
    faces, invented, rows = [], 0, _read_labels(folder)
    for file, labels in rows:
        image = _read(os.path.join(folder, file))
        found = detector.detect(image)
        invented += max(0, len(found) - len(labels))
        boxes = np.asarray(found.boxes[: len(labels)], np.float64)  # by falling score
        boxes = boxes[np.argsort(boxes[:, 0] + boxes[:, 2])]
        for place, label in enumerate(labels):
            middle, box_px = None, 0.0
            if len(boxes) == len(labels):
                x0, y0, x1, y1 = boxes[place]
                middle, box_px = (0.5 * (x0 + x1), 0.5 * (y0 + y1)), math.sqrt((x1 - x0) * (y1 - y0))
            name = file if len(labels) == 1 else f'{file} ({place + 1} of {len(labels)})'
            faces.append(LabelledFace(name, image, label, middle, box_px))
    return Portraits(faces, len(rows), invented)


def _read_labels(folder):
    """Read the table: (file, labels) of each photograph."""
    path = os.path.join(folder, LABELS_FILE)
    table = read_csv(text_of(path, 'table of photographs'), path, ('file', _EXPRESSIONS))
    if _EXPRESSIONS not in table.names:  # one face in each picture
        faces = read_labelled_folder(folder, check=False, crops=False)
        return [(str(name), [int(label)]) for name, label in zip(faces.names, faces.labels) if label >= 0]
    if not table.rows or 'file' not in table.names:
        raise BadDataset(
            f'{path}: expected columns file and {_EXPRESSIONS}, or file and emotion, and a row for each picture, got '
            + (', '.join(table.names) if table.rows else 'no row')
        )
    return [(row['file'], _labels_of(row, folder)) for _, row in table.rows]


def _labels_of(row, folder):
    words = [word.strip().lower() for word in row[_EXPRESSIONS].split(';') if word.strip()]
    words = [SYNONYMS.get(word, word) for word in words]
    unknown = [word for word in words if word not in EMOTIONS]
    if unknown:
        raise BadDataset(
            f'{os.path.join(folder, LABELS_FILE)}: {row["file"]}: expected emotions of {", ".join(EMOTIONS)}, '
            f'got {", ".join(unknown)}'
        )
    return [EMOTIONS.index(word) for word in words]


def _read(path):
    if os.path.splitext(path)[1].lower() not in PICTURE_SUFFIXES:
        raise BadDataset(f'{path}: expected an image file ({", ".join(PICTURE_SUFFIXES)}); correct {LABELS_FILE}')
    try:
        return read_picture(path)
    except BadImage as error:
        raise BadDataset(f'{path}: {error}') from error
