"""Reads AffectNet's annotations: image file, face box and labels."""

import csv
import hashlib
import math
import os
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.affectnet import OTHER_EXPRESSIONS, UNRATED
from facial_emotion_ros.training.data.corrupt_images import CorruptImage

#: Columns of the annotations, in this order where a file has no header. Source: AffectNet's documentation.
COLUMNS = (
    'subDirectory_filePath',
    'face_x',
    'face_y',
    'face_width',
    'face_height',
    'facial_landmarks',
    'expression',
    'valence',
    'arousal',
)

#: For each set_index: image folder, names of the CSV file, folder in the release of cropped faces.
_PLACES = (
    ('Automatically_Annotated', ('automatically_annotated.csv',), None),
    ('Manually_Annotated', ('training.csv', 'Manually_training.csv'), 'train_set'),
    ('Manually_Annotated', ('validation.csv', 'Manually_validation.csv'), 'val_set'),
)


class Annotation(NamedTuple):
    """One face: file, box (x, y, width, height) in pixels or None for the whole image, and labels."""

    file: str
    box: tuple[int, ...] | None
    expression: int
    valence: float
    arousal: float


class Annotations(NamedTuple):
    """A split's annotations.

    kept: rows with a class, or the expression "none" with rated affect.
    left_out: number of other rows by reason.
    damaged: unreadable rows.
    root: folder that files are relative to.
    sha256: of the annotations.
    """

    kept: list[Annotation]
    left_out: dict[str, int]
    damaged: list[CorruptImage]
    root: str
    sha256: str


def read_annotations(base_path_to_images: str, base_path_to_annotations: str, set_index: int) -> Annotations:
    """Read the annotations of one split, from the release of whole images or of cropped faces.

    :param base_path_to_images: folder that holds Manually_Annotated_Images (or ..._extracted, as OpenDR has it, or
        Manually_Annotated/Manually_Annotated_Images) and Automatically_Annotated_Images; or train_set and val_set.
    :param base_path_to_annotations: folder with training.csv, validation.csv, automatically_annotated.csv; or with
        train_set/annotations and val_set/annotations.
    :param set_index: 0 automatically annotated, 1 training, 2 validation.
    :returns: Annotations.
    :raises BadDataset: if files are missing or have another layout.
    """
    folder, tables, release = _PLACES[set_index]
    for table in tables:
        path = os.path.join(base_path_to_annotations, table)
        if os.path.isfile(path):
            return _read_table(path, _find_pictures(base_path_to_images, folder))
    arrays = os.path.join(base_path_to_annotations, release or '', 'annotations')
    if release and os.path.isdir(arrays):
        return _read_arrays(arrays, os.path.join(base_path_to_images, release, 'images'))
    expected = ', '.join(tables) + (f' or {release}/annotations' if release else '')
    raise BadDataset(f'{base_path_to_annotations}: expected {expected}, there is none')


def _find_pictures(base: str, folder: str) -> str:
    tried = [f'{folder}_extracted', f'{folder}_Images', f'{folder}/{folder}_Images', folder]
    for name in tried:
        if os.path.isdir(os.path.join(base, name)):
            return os.path.join(base, name)
    raise BadDataset(f'{base}: expected one of the folders {", ".join(tried)}, there is none')


def _read_table(path: str, root: str) -> Annotations:
    found, header = Annotations([], {}, [], root, ''), None
    try:
        with open(path, 'rb') as file:
            sha256 = hashlib.sha256()
            for block in iter(lambda: file.read(1 << 20), b''):
                sha256.update(block)
        with open(path, encoding='utf-8-sig', newline='') as file:
            for line, fields in enumerate(csv.reader(file), 1):
                if header is None:
                    header = _header(path, fields)
                    if COLUMNS[0] in fields:
                        continue
                if fields:
                    row = {name: fields[place] if place < len(fields) else '' for name, place in header.items()}
                    _sort_in(f'line {line} ({row[COLUMNS[0]]})', row, found)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadDataset(f'{path}: expected a CSV file of annotations, it cannot be read ({error})') from error
    if header is None:
        raise BadDataset(f'{path}: expected annotations, the file is empty')
    return found._replace(sha256=sha256.hexdigest())


def _header(path: str, fields: list[str]) -> dict[str, int]:
    """Locate the columns; a first line without column names is an annotation."""
    named = {name.strip(): place for place, name in enumerate(fields)}
    needed = [name for name in COLUMNS if name != 'facial_landmarks']
    if all(name in named for name in needed):
        return {name: named[name] for name in needed}
    if len(fields) == len(COLUMNS) and not any(name in named for name in COLUMNS):
        return {name: COLUMNS.index(name) for name in needed}
    raise BadDataset(f'{path}: expected the columns {", ".join(needed)}, got {", ".join(fields)[:200]}')


def _sort_in(where: str, row: dict[str, str], found: Annotations) -> None:
    """Sort one row into kept, left_out or damaged."""
    kept, left_out, damaged = found[:3]
    try:
        expression, valence, arousal = (float(row[name]) for name in ('expression', 'valence', 'arousal'))
        is_number = math.isfinite(expression + valence + arousal) and expression.is_integer()
    except ValueError:
        is_number = False
    if not is_number:
        labels = ', '.join(str(row[name]) for name in ('expression', 'valence', 'arousal'))
        damaged.append(CorruptImage(where, f'expected numbers for expression, valence and arousal, got {labels}'))
        return
    expression = int(expression)
    is_rated = all(abs(value) <= 1 for value in (valence, arousal))
    if not 0 <= expression <= 10:
        damaged.append(CorruptImage(where, f'expected an expression from 0 to 10, got {expression}'))
    elif expression > 8 or (expression == 8 and not is_rated):
        word = OTHER_EXPRESSIONS[expression] + (' without rated affect' if expression == 8 else '')
        left_out[word] = left_out.get(word, 0) + 1
    elif not is_rated and (valence, arousal) != (UNRATED, UNRATED):
        damaged.append(CorruptImage(where, f'expected affect in [-1, 1], or -2 twice, got {valence}, {arousal}'))
    else:
        box = None
        if 'face_x' in row:
            try:
                box = tuple(int(float(row[name])) for name in COLUMNS[1:5])
            except (ValueError, OverflowError):
                got = ', '.join(row[name] for name in COLUMNS[1:5])
                damaged.append(CorruptImage(where, f'expected a face box in pixels, got {got}'))
                return
        kept.append(Annotation(row[COLUMNS[0]], box, expression, valence, arousal))


def _read_arrays(folder: str, root: str) -> Annotations:
    """Read the release of cropped faces: <id>_exp.npy, <id>_val.npy, <id>_aro.npy for images/<id>.jpg."""
    if not os.path.isdir(root):
        raise BadDataset(f'{root}: expected a folder of images beside {folder}, there is none')
    stems = [name.removesuffix('_exp.npy') for name in os.listdir(folder) if name.endswith('_exp.npy')]
    found, sha256 = Annotations([], {}, [], root, ''), hashlib.sha256()
    for stem in sorted(stems, key=lambda stem: (len(stem), stem)):
        row = {COLUMNS[0]: f'{stem}.jpg'}
        for name, ending in (('expression', 'exp'), ('valence', 'val'), ('arousal', 'aro')):
            try:
                row[name] = str(np.load(os.path.join(folder, f'{stem}_{ending}.npy'), allow_pickle=False)[()])
            except Exception:  # NumPy raises many kinds of errors for damaged files
                row[name] = 'nothing'
        sha256.update(repr(row).encode())
        _sort_in(row[COLUMNS[0]], row, found)
    if not stems:
        raise BadDataset(f'{folder}: expected files like 0_exp.npy, there are none')
    return found._replace(sha256=sha256.hexdigest())
