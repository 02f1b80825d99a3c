"""Any tree of pictures with labels: in one csv file, or by one folder for each class."""

import csv
import math
import os

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.learning.damage import DamagedPicture
from facial_emotion_ros.learning.picture_files import PictureFiles
from facial_emotion_ros.picture_kinds import PICTURE_SUFFIXES
from facial_emotion_ros.pictures import why_unread

#: The labels' file that is looked for in a folder.
LABELS_FILE = 'labels.csv'

#: Other words that sets use for our classes. Numbers are not among them: each set counts differently.
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


class LabelledFolder(PictureFiles):
    """Pictures below a folder with labels that somebody gave: a class, eight scores, valence and arousal."""


def read_labelled_folder(path, labels=None, classes=None, check=True, report=None):
    """Open a tree of pictures with labels.

    :param path: folder. Either it holds a csv file with a header and the columns `file` (path below the folder) and
        `emotion`, or the eight scores (columns named like EMOTIONS), or `valence` and `arousal`, or several of these;
        an empty field is an unknown label. Or it holds one folder for each class, named like the class.
    :param labels: the csv file, where it is not `labels.csv` in the folder.
    :param classes: dict of the set's own words or numbers to names of EMOTIONS, or to None for pictures to leave out.
        Names of EMOTIONS and their SYNONYMS need no entry, whatever their case.
    :param check: read every picture now to find the damaged ones.
    :param report: called with one line of text about each damaged picture; None for stderr.
    :returns: LabelledFolder; `labels` are the given classes, or else the one largest score.
    :raises BadDataset: if labels are absent or wrong, or more than 1% of the pictures are damaged or missing.
    """
    if not os.path.isdir(path):
        raise BadDataset(f'{path}: a folder of pictures expected, there is none')
    table = labels or os.path.join(path, LABELS_FILE)
    words = _words(path, classes)
    is_table = labels is not None or os.path.isfile(table)
    rows = _Rows(table, words)
    if is_table:
        rows.read_table()
    else:
        rows.list_classes(path)
    name = os.path.basename(os.path.abspath(path))
    return LabelledFolder(name, path, *rows.columns(), damaged=rows.unread, check=check, report=report)


def is_labelled_folder(path):
    """Tell whether a folder has a labels.csv, or a folder named like a class."""
    if not os.path.isdir(path):
        return False
    words = _words(path, None)
    return os.path.isfile(os.path.join(path, LABELS_FILE)) or any(name.lower() in words for name in _folders(path))


class _Rows:
    """Labels while they are being read."""

    def __init__(self, where, words):
        self.where, self.words = where, words
        self.names, self.distributions, self.labels, self.affect = [], [], [], []
        self.unread = []

    def columns(self):
        """Return names, distributions, labels and affect as FaceSet takes them."""
        count = len(self.names)
        if not count:
            raise BadDataset(f'{self.where}: labels of one picture at least expected, there are none')
        return (
            np.array(self.names, str),
            np.array(self.distributions, np.float32).reshape(count, len(EMOTIONS)),
            np.array(self.labels, np.int64),
            np.array(self.affect, np.float32).reshape(count, 2),
        )

    def add(self, name, emotion, scores=None, affect=(math.nan, math.nan)):
        """Add one picture; `emotion` None: unknown."""
        label = EMOTIONS.index(emotion) if emotion else -1
        if scores is None:
            scores = np.eye(len(EMOTIONS))[label] if emotion else np.full(len(EMOTIONS), np.nan)
        elif label < 0 and (scores == scores.max()).sum() == 1:
            label = int(scores.argmax())
        self.names.append(name)
        self.distributions.append(scores)
        self.labels.append(label)
        self.affect.append(affect)

    def list_classes(self, path):
        """Take one folder for each class, pictures anywhere below it."""
        folders = _folders(path)
        strange = [folder for folder in folders if folder.lower() not in self.words]
        if strange or not folders:
            raise BadDataset(
                f'{path}: {LABELS_FILE}, or folders named like the classes ({", ".join(EMOTIONS)}), expected; got '
                f'{", ".join(strange[:8]) or "neither"}; say what they mean: classes={{"name": "emotion" or None}}'
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
                        self.add(name, emotion)
                    elif why_unread(file):
                        self.unread.append(DamagedPicture(name, why_unread(file)))

    def read_table(self):
        """Read the csv file."""
        try:
            with open(self.where, encoding='utf-8-sig', newline='') as file:
                table = csv.DictReader(file, skipinitialspace=True)
                table.fieldnames = [str(name).strip().lower() for name in table.fieldnames or ()]
                self._check_header(table.fieldnames)
                for fields in table:
                    self._add_line(f'{self.where}: line {table.line_num}', fields)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise BadDataset(f'{self.where}: a csv file expected, it cannot be read ({error})') from error
        repeated = len(self.names) - len(set(self.names))
        if repeated:
            raise BadDataset(f'{self.where}: one line for each picture expected, {repeated} lines repeat one')

    def _check_header(self, header):
        scores = [emotion for emotion in EMOTIONS if emotion in header]
        rated = [name for name in ('valence', 'arousal') if name in header]
        whole = len(scores) in (0, len(EMOTIONS)) and len(rated) != 1
        if 'file' not in header or not whole or not ('emotion' in header or scores or rated):
            raise BadDataset(
                f'{self.where}: columns file and emotion, all of {", ".join(EMOTIONS)}, or valence and arousal '
                f'expected, got {", ".join(header) or "no header"}'
            )

    def _add_line(self, where, fields):
        if None in fields or None in fields.values():
            raise BadDataset(f'{where}: as many fields as the header has expected, got more or fewer')
        fields = {name: field.strip() for name, field in fields.items()}
        name = os.path.normpath(fields['file']).replace(os.sep, '/')
        if not fields['file'] or name.startswith('../') or os.path.isabs(name):
            raise BadDataset(f'{where}: a path below the folder expected, got {fields["file"]!r}')
        word = fields.get('emotion', '').lower()
        if word and word not in self.words:
            raise BadDataset(
                f'{where}: one of {", ".join(EMOTIONS)} expected, got {word!r}; say what it means: '
                f'classes={{"{word}": "emotion" or None}}'
            )
        if word and self.words[word] is None:
            return
        scores = _numbers(where, fields, EMOTIONS, 0, math.inf)
        if scores is not None:
            if not scores.sum() > 0:
                raise BadDataset(f'{where}: eight scores with one above 0 expected, got zeros')
            scores = scores / scores.sum()
        affect = _numbers(where, fields, ('valence', 'arousal'), -1, 1)
        self.add(name, self.words[word] if word else None, scores, (math.nan,) * 2 if affect is None else affect)


def _words(path, classes):
    words = {emotion: emotion for emotion in EMOTIONS}
    words.update(SYNONYMS)
    words.update({str(word).lower(): emotion for word, emotion in (classes or {}).items()})
    wrong = [str(emotion) for emotion in words.values() if emotion is not None and emotion not in EMOTIONS]
    if wrong:
        raise BadDataset(f'{path}: classes of {", ".join(EMOTIONS)} or None expected, got {", ".join(wrong)}')
    return words


def _folders(path):
    with os.scandir(path) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith('.'))


def _numbers(where, fields, names, least, most):
    """Read several columns that are known together; None where the columns are absent or all empty."""
    texts = [fields.get(name, '') for name in names]
    if not any(texts):
        return None
    try:
        numbers = np.array([float(text) for text in texts])
    except ValueError:
        numbers = np.array([math.nan])
    if not ((numbers >= least) & (numbers <= most) & np.isfinite(numbers)).all():
        raise BadDataset(
            f'{where}: numbers from {least} to {most} expected for {", ".join(names)} (or all of them empty), got '
            f'{", ".join(texts)}'
        )
    return numbers
