"""Image folders with labels in a CSV file, or in one folder per class."""

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from facial_emotion_ros.core.csv_rows import read_csv, text_of
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.core.text import show
from facial_emotion_ros.perception.image_files import why_unread
from facial_emotion_ros.perception.image_formats import PICTURE_SUFFIXES
from facial_emotion_ros.training.data.corrupt_images import CorruptImage
from facial_emotion_ros.training.data.image_set import ImageSet

#: Name of the labels file.
LABELS_FILE = 'labels.csv'

#: Its columns with a meaning, and those of them that hold numbers.
_NUMBERS = (*EMOTIONS, 'valence', 'arousal')
_COLUMNS = ('file', 'emotion', 'person', 'crop', *_NUMBERS)

#: Names of images to skip, one per line, in the folder of the faces; written by the contact sheet of collect_faces.
STRUCK_FILE = 'struck_out.txt'

#: Other names of our classes. No numbers, since each set numbers its classes differently.
SYNONYMS = {
    'happiness': 'happy',
    'joy': 'happy',
    'sadness': 'sad',
    'surprised': 'surprise',
    'fearful': 'fear',
    'scared': 'fear',
    'disgusted': 'disgust',
    'angry': 'anger',
}

#: Advice in errors about unknown class names.
_TRANSLATE = (
    'rename it, or map it by the option `classes` of a recipe, of `evaluate --option` or in Python (docs/datasets.md)'
)


class LabelledFolder(ImageSet):
    """Images below a folder, labelled by class, eight scores, or valence and arousal.

    persons: (N,) str, identity of each face; '' if unknown.
    files: (N,) str, the images that are read: the crop of a row if it has one, else its name.
    """

    _per_row = ImageSet._per_row + ('persons',)

    def __init__(self, *columns: Any, persons: ArrayLike, **options: Any) -> None:
        """Take the arguments of ImageSet, and persons."""
        self.persons = np.asarray(persons, str)
        super().__init__(*columns, **options)


def read_labelled_folder(
    path: str,
    labels: str | None = None,
    classes: Mapping[Any, str | None] | None = None,
    check: bool = True,
    report: Callable[[str], object] | None = None,
    crops: bool = True,
) -> LabelledFolder:
    """Open a labelled folder.

    :param path: folder with a CSV file, or with one folder per class, named like the class, whose subfolders are
        persons. The CSV file has a header and the columns `file` (path below the folder) and `emotion`, the eight
        scores (named like EMOTIONS), `valence` and `arousal`, or several of these; an empty field is an unknown label.
        Optional columns: `person`, and `crop` (picture of the face alone, path below the folder).
    :param labels: the CSV file, if it is not `labels.csv` in the folder.
    :param classes: maps the set's own words or numbers to names of EMOTIONS, or to None to skip images. EMOTIONS and
        SYNONYMS need no entry; case is ignored.
    :param check: read every image now to find damaged ones.
    :param report: called with a message about each damaged image; None for stderr.
    :param crops: read the picture in column `crop` if a row has one; False always reads that in `file`.
    :returns: LabelledFolder without the images that STRUCK_FILE in the folder lists; `labels` are the given classes,
        else the largest score.
    :raises BadDataset: if labels are missing or invalid, or more than 1% of the images are damaged or missing.
    """
    if not os.path.isdir(path):
        raise BadDataset(f'{path}: expected a folder of images, there is none')
    table = labels or os.path.join(path, LABELS_FILE)
    words = _words(path, classes)
    is_table = labels is not None or os.path.isfile(table)
    rows = _Rows(table, words)
    if is_table:
        rows.read_table()
    else:
        rows.list_classes(path)
    rows.strike_out(os.path.join(path, STRUCK_FILE), report)
    name = os.path.basename(os.path.abspath(path))
    persons, files = ([getattr(row, field) for row in rows.rows] for field in ('person', 'file' if crops else 'name'))
    return LabelledFolder(
        name, path, *rows.columns(), persons=persons, files=files, damaged=rows.unread, check=check, report=report
    )


def is_labelled_folder(path: str) -> bool:
    """Return whether a folder has a labels.csv, or a folder named like a class."""
    if not os.path.isdir(path):
        return False
    words = _words(path, None)
    return os.path.isfile(os.path.join(path, LABELS_FILE)) or any(name.lower() in words for name in _folders(path))


class _Row(NamedTuple):
    """Labels of one image as in FaceSet, its person, and the file to read."""

    name: str
    distribution: np.ndarray
    label: int
    affect: Sequence[float] | np.ndarray
    person: str
    file: str


class _Rows:
    """Accumulates labels."""

    def __init__(self, where: str, words: dict[str, str | None]) -> None:
        self.where, self.words = where, words
        self.rows: list[_Row] = []
        self.unread: list[CorruptImage] = []

    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return names, distributions, labels and affect as FaceSet takes them."""
        if not self.rows:
            raise BadDataset(f'{self.where}: expected labels of at least one image, there are none')
        names, distributions, labels, affect, *_ = zip(*self.rows)
        return (
            np.array(names, str),
            np.array(distributions, np.float32),
            np.array(labels, np.int64),
            np.array(affect, np.float32),
        )

    def add(
        self,
        name: str,
        emotion: str | None,
        scores: np.ndarray | None = None,
        affect: Sequence[float] | np.ndarray = (math.nan, math.nan),
        person: str = '',
        file: str = '',
    ) -> None:
        """Add one image; `emotion` is None if unknown, `file` the image to read if it is not `name`."""
        label = EMOTIONS.index(emotion) if emotion else -1
        if scores is None:
            scores = np.eye(len(EMOTIONS))[label] if emotion else np.full(len(EMOTIONS), np.nan)
        elif label < 0 and (scores == scores.max()).sum() == 1:
            label = int(scores.argmax())
        self.rows.append(_Row(name, scores, label, affect, person, file or name))

    def strike_out(self, path: str, report: Callable[[str], object] | None) -> None:
        """Drop the images that a file lists, if there is one."""
        if not os.path.isfile(path):
            return
        try:
            with open(path, encoding='utf-8-sig') as file:
                struck = {os.path.normpath(line.strip()) for line in file if line.strip()}
        except (OSError, UnicodeDecodeError) as error:
            raise BadDataset(f'{path}: expected a list of image names, it cannot be read ({error})') from error
        unknown = sorted(struck.difference(row.name for row in self.rows))
        count = len(self.rows)
        self.rows = [row for row in self.rows if row.name not in struck]
        text = f'{count - len(self.rows)} of {count} images are skipped: {STRUCK_FILE} lists them.'
        if unknown:
            more = ', ...' if len(unknown) > 3 else ''
            text += f' It also lists unknown names: {", ".join(unknown[:3])}{more}'
        report(text) if report else show(text, file=sys.stderr)

    def list_classes(self, path: str) -> None:
        """List the images below one folder per class."""
        folders = _folders(path)
        strange = [folder for folder in folders if folder.lower() not in self.words]
        if strange or not folders:
            raise BadDataset(
                f'{path}: expected {LABELS_FILE}, or folders named like the classes ({", ".join(EMOTIONS)}), got '
                + (f'{", ".join(strange[:8])}; {_TRANSLATE}' if strange else 'neither; docs/datasets.md shows both')
            )
        for folder in folders:
            emotion = self.words[folder.lower()]
            for below, inner, files in os.walk(os.path.join(path, folder)):
                inner.sort()
                for file in sorted(files):
                    if not emotion or file.startswith('.'):
                        continue
                    name = os.path.relpath(os.path.join(below, file), path).replace(os.sep, '/')
                    if file.lower().endswith(PICTURE_SUFFIXES):
                        self.add(name, emotion, person=name.split('/')[1] if name.count('/') > 1 else '')
                    elif why_unread(file):
                        self.unread.append(CorruptImage(name, why_unread(file)))

    def read_table(self) -> None:
        """Read the CSV file."""
        table = read_csv(text_of(self.where, 'CSV file'), self.where, _COLUMNS, _NUMBERS)
        self._check_header(table.names)
        for line, fields in table.rows:
            self._add_line(f'{self.where}, line {line}', fields)
        repeated = len(self.rows) - len({row.name for row in self.rows})
        if repeated:
            raise BadDataset(f'{self.where}: expected one line per image, {repeated} lines are repeated')

    def _check_header(self, header: Sequence[str]) -> None:
        scores = [emotion for emotion in EMOTIONS if emotion in header]
        rated = [name for name in ('valence', 'arousal') if name in header]
        whole = len(scores) in (0, len(EMOTIONS)) and len(rated) != 1
        if 'file' not in header or not whole or not ('emotion' in header or scores or rated):
            raise BadDataset(
                f'{self.where}: expected columns file and emotion, all of {", ".join(EMOTIONS)}, or valence and '
                f'arousal, got {", ".join(header) or "no header"}'
            )

    def _add_line(self, where: str, fields: dict[str, str]) -> None:
        name, crop = _path_below(where, fields['file']), fields.get('crop', '')
        # Tables from other sources may use a column of this name for something else.
        crop = _path_below(where, crop) if crop.lower().endswith(PICTURE_SUFFIXES) else ''
        word = fields.get('emotion', '').lower()
        if word and word not in self.words:
            raise BadDataset(f'{where}: expected one of {", ".join(EMOTIONS)}, got {word!r}; {_TRANSLATE}')
        if word and self.words[word] is None:
            return
        scores = _numbers(where, fields, EMOTIONS, 0, math.inf)
        if scores is not None:
            if not scores.sum() > 0:
                raise BadDataset(f'{where}: expected a score above 0, got zeros')
            scores = scores / scores.sum()
        affect = _numbers(where, fields, ('valence', 'arousal'), -1, 1)
        self.add(
            name,
            self.words[word] if word else None,
            scores,
            (math.nan,) * 2 if affect is None else affect,
            fields.get('person', ''),
            crop,
        )


def _path_below(where: str, text: str) -> str:
    """Normalize a path below the folder."""
    path = os.path.normpath(text).replace(os.sep, '/')
    if not text or path.startswith('../') or os.path.isabs(path):
        raise BadDataset(f'{where}: expected a path below the folder, got {text!r}')
    return path


def _words(path: str, classes: Mapping[Any, str | None] | None) -> dict[str, str | None]:
    words: dict[str, str | None] = {emotion: emotion for emotion in EMOTIONS}
    words.update(SYNONYMS)
    words.update({str(word).lower(): emotion for word, emotion in (classes or {}).items()})
    wrong = [str(emotion) for emotion in words.values() if emotion is not None and emotion not in EMOTIONS]
    if wrong:
        raise BadDataset(f'{path}: expected classes of {", ".join(EMOTIONS)} or None, got {", ".join(wrong)}')
    return words


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))


def _numbers(where: str, fields: dict[str, str], names: Sequence[str], least: float, most: float) -> np.ndarray | None:
    """Read related columns; None if they are missing or all empty."""
    texts = [fields.get(name, '') for name in names]
    if not any(texts):
        return None
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        numbers = np.array([math.nan])
    if not ((numbers >= least) & (numbers <= most) & np.isfinite(numbers)).all():
        raise BadDataset(
            f'{where}: expected numbers from {least} to {most} for {", ".join(names)} (or all empty), got '
            f'{", ".join(texts)}'
        )
    return numbers
