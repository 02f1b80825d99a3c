"""Reads FER+ in its common layouts, and writes it as npz."""

import csv
import os
from collections.abc import Iterable, Iterator
from typing import Any

import cv2
import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset, BadImage
from facial_emotion_ros.core.files import replace_atomic
from facial_emotion_ros.perception.image_files import read_file
from facial_emotion_ros.training.data.corrupt_images import CorruptImage, decode_face, refuse_many
from facial_emotion_ros.training.data.ferplus import SIDE_PX, FerPlus

#: Folder and value of the column Usage of each split. Source: Microsoft's FERPlus repository.
SPLITS = {
    'train': ('FER2013Train', 'Training'),
    'valid': ('FER2013Valid', 'PublicTest'),
    'test': ('FER2013Test', 'PrivateTest'),
}

_KEYS = ('png', 'offsets', 'votes', 'names')
_LABELS, _NEW_LABELS = 'label.csv', 'fer2013new.csv'
_PIXELS = ('fer2013.csv', 'icml_face_data.csv')
_VOTE_NAMES = ('neutral', 'happiness', 'surprise', 'sadness', 'anger', 'disgust', 'fear', 'contempt', 'unknown', 'NF')


def read_ferplus(
    path: str, split: str = 'train', new_votes: bool = False, fer2013: str = '', fer2013_weight: float = 3.0
) -> FerPlus:
    """Read a split of FER+.

    :param path: one of
        npz of one split: png (uint8, all images concatenated), offsets (N + 1, int), votes (N, 10), names;
        folder with label.csv and the images, such as FER2013Train;
        folder that holds FER2013Train, FER2013Valid, FER2013Test, each with images and label.csv, or Images and
        Labels with these three in each;
        folder with fer2013new.csv and either these three with images, or fer2013.csv (pixels, the same rows).
    :param split: 'train', 'valid' or 'test'; an npz file and a folder with label.csv have one split only.
    :param new_votes: prefer the votes of fer2013new.csv to label.csv; in an npz file, the array votes_new.
    :param fer2013: npz with FER2013's single labels of the same images: names and label (N,), integers in the order of
        EMOTIONS, -1 for none; '' for votes alone.
    :param fer2013_weight: see :meth:`FerPlus.sharpened`.
    :returns: FerPlus without the damaged images, which are listed.
    :raises BadDataset: if there is no such set, labels cannot be read, or more than 1% of the images are damaged.
    """
    faces = _read_split(path, split, new_votes)
    if not fer2013:
        return faces
    return faces.sharpened(_read_fer2013(fer2013, faces), fer2013_weight)


def _read_fer2013(path: str, faces: FerPlus) -> np.ndarray:
    """Read FER2013's labels of these faces, (N,) int64, -1 for none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            names, labels = archive['names'].astype(str), archive['label'].astype(np.int64)
    except Exception as error:  # as in _read_npz
        raise BadDataset(
            f'{path}: expected an npz file with the arrays names and label, it cannot be read ({_kind_of(error)})'
        ) from error
    if labels.shape != names.shape or not ((labels >= -1) & (labels < len(EMOTIONS))).all():
        raise BadDataset(
            f'{path}: expected a label from -1 to {len(EMOTIONS) - 1} for each of {len(names)} names, got '
            f'{labels.shape}'
        )
    by_name = dict(zip(names.tolist(), labels.tolist()))
    found = np.array([by_name.get(name, -1) for name in faces.names.tolist()], np.int64)
    if len(faces) and not (found >= 0).any():
        raise BadDataset(f'{path}: expected labels of {faces.name}, found none of its {len(faces)} names')
    return found


def _read_split(path: str, split: str, new_votes: bool) -> FerPlus:
    if split not in SPLITS:
        raise BadDataset(f'{path}: expected split {", ".join(SPLITS)}, got {split!r}')
    if os.path.isfile(path) and not path.endswith('.csv'):
        return _read_npz(path, new_votes)
    new_votes = new_votes or os.path.isfile(path)
    root = os.path.abspath(os.path.dirname(path) if os.path.isfile(path) else path)
    found = _find(root, split, new_votes)
    if found is None:
        raise BadDataset(
            f'{path}: expected FER+ (an npz file; or a folder with {_LABELS}, {SPLITS[split][0]}/{_LABELS}, '
            f'Labels/{SPLITS[split][0]}/{_LABELS}, or {_NEW_LABELS}), found none; see docs/datasets.md'
        )
    labels, pictures = found
    if new_votes and os.path.basename(labels) != _NEW_LABELS:
        raise BadDataset(f'{path}: expected {_NEW_LABELS} beside the images, found only {labels}')
    contents: Iterable[Any]
    if os.path.basename(labels) == _LABELS:
        names, votes = _read_label_csv(labels)
        contents = (os.path.join(pictures, name) for name in names)
    else:
        names, votes, lines = _read_new_csv(labels, split)
        from_folder = (os.path.join(pictures, name) for name in names)
        contents = _read_pixels(pictures, lines, split) if os.path.isfile(pictures) else from_folder
    where = root if os.path.isfile(os.path.join(root, _LABELS)) else f'{root} ({split})'
    return _collect(where, contents, votes, np.array(names, str))


def write_ferplus(path: str, split: FerPlus) -> None:
    """Write a split as one npz file, which opens faster than thousands of images."""
    png = [cv2.imencode('.png', picture)[1].ravel() for picture in split.pictures]
    arrays = {
        'png': np.concatenate([np.empty(0, np.uint8), *png]),
        'offsets': np.cumsum([0, *map(len, png)]),
        'votes': split.votes.astype(np.uint8),
        'names': split.names,
    }

    def write(part):
        with open(part, 'wb') as file:
            np.savez(file, **arrays)

    replace_atomic(path, write)


def is_ferplus(path: str) -> bool:
    """Return whether :func:`read_ferplus` can read a path."""
    if os.path.isfile(path):
        return path.endswith('.npz') or os.path.basename(path) == _NEW_LABELS
    return any(_find(path, split, False) for split in SPLITS)


def _find(root: str, split: str, new_votes: bool) -> tuple[str, str] | None:
    """Find the labels of a split and its images: a folder, or a CSV file of pixels."""
    folder = SPLITS[split][0]
    bases = [os.path.join(root, *below) for below in ((), ('data',), ('Images',), ('images',))]
    folders = [os.path.join(base, folder) for base in bases]
    news = os.path.join(root, _NEW_LABELS)
    pictures = [path for path in folders if os.path.isdir(path) and _has_pictures(path)]
    pixels = [path for path in (os.path.join(root, name) for name in _PIXELS) if os.path.isfile(path)]
    candidates = [(os.path.join(root, _LABELS), root)]
    if pictures:
        inside = os.path.join(pictures[0], _LABELS)
        candidates += [(inside, pictures[0]), (os.path.join(root, 'Labels', folder, _LABELS), pictures[0])]
    if os.path.isfile(news) and (pictures or pixels):
        place = 0 if new_votes else len(candidates)
        candidates.insert(place, (news, (pictures + pixels)[0]))
    return next(((labels, place) for labels, place in candidates if os.path.isfile(labels)), None)


def _has_pictures(folder: str) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.endswith('.png') for entry in entries)


def _read_npz(path: str, new_votes: bool) -> FerPlus:
    keys = tuple(key.replace('votes', 'votes_new') if new_votes else key for key in _KEYS)
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in keys if key not in archive]
            if missing:
                raise BadDataset(f'{path}: expected arrays {", ".join(keys)}, {", ".join(missing)} missing')
            png, offsets, votes, names = (np.asarray(archive[key]) for key in keys)
    except BadDataset:
        raise
    except Exception as error:  # zip, zlib and NumPy raise many kinds of errors for damaged files
        raise BadDataset(
            f'{path}: expected a FER+ npz file, it cannot be read ({_kind_of(error)}); get it again, or rewrite it '
            'from the images (docs/datasets.md)'
        ) from error
    _check_arrays(path, png, offsets, votes, names)
    names = np.char.decode(names, 'utf-8', 'backslashreplace') if names.dtype.kind == 'S' else names
    contents = (png[offsets[row] : offsets[row + 1]].tobytes() for row in range(len(names)))
    return _collect(path, contents, votes, names)


def _check_arrays(path: str, png: np.ndarray, offsets: np.ndarray, votes: np.ndarray, names: np.ndarray) -> None:
    """Validate shapes, types and offsets."""
    count = names.size
    if (names.shape, votes.shape, offsets.shape) != ((count,), (count, 10), (count + 1,)):
        raise BadDataset(
            f'{path}: expected names (N,), votes (N, 10) and offsets (N + 1,), '
            f'got {names.shape}, {votes.shape} and {offsets.shape}'
        )
    for name, array, kinds, words in (
        ('png', png, 'u', 'uint8'),
        ('offsets', offsets, 'iu', 'integers'),
        ('votes', votes, 'iuf', 'numbers'),
        ('names', names, 'SU', 'text'),
    ):
        if array.dtype.kind not in kinds or name == 'png' and (array.dtype.itemsize, array.ndim) != (1, 1):
            raise BadDataset(f'{path}: expected {words} as {name}, got {array.dtype} of shape {array.shape}')
    if (offsets > len(png)).any() or (offsets < 0).any() or (offsets[1:] < offsets[:-1]).any():
        raise BadDataset(f'{path}: expected ascending offsets from 0 to the {len(png)} bytes of png')


def _kind_of(error: BaseException) -> str:
    return ' '.join(f'{type(error).__name__}: {error}'.split())[:160]


def _read_label_csv(path: str) -> tuple[list[str], np.ndarray]:
    """Read lines of name, optional box and ten votes, without a header."""
    names, votes = [], []
    for line, fields in _lines(path):
        has_box = len(fields) > 1 and fields[1].startswith('(')
        if len(fields) != 11 + has_box:
            raise BadDataset(f'{path}: line {line}: expected name, box and ten votes, got {len(fields)} columns')
        if has_box and fields[1].replace(' ', '') != f'(0,0,{SIDE_PX},{SIDE_PX})':
            raise BadDataset(f'{path}: line {line}: expected the box (0, 0, {SIDE_PX}, {SIDE_PX}), got {fields[1]}')
        names.append(fields[0])
        votes.append(_votes(path, line, fields[-10:]))
    return names, np.array(votes, np.int64).reshape(-1, 10)


def _read_new_csv(path: str, split: str) -> tuple[list[str], np.ndarray, list[int]]:
    """Read the rows of one split; rows without a name have no image in FER+."""
    header, wanted, names, votes, lines = None, SPLITS[split][1], [], [], []
    for line, fields in _lines(path):
        if header is None:
            header = {name: column for column, name in enumerate(fields)}
            missing = [name for name in ('Usage', 'Image name', *_VOTE_NAMES) if name not in header]
            if missing:
                raise BadDataset(f'{path}: expected columns Usage, Image name and the ten votes, no {missing[0]!r}')
            continue
        if len(fields) < len(header):
            raise BadDataset(f'{path}: line {line}: expected {len(header)} columns, got {len(fields)}')
        if fields[header['Usage']] == wanted and fields[header['Image name']]:
            names.append(fields[header['Image name']])
            votes.append(_votes(path, line, [fields[header[name]] for name in _VOTE_NAMES]))
            lines.append(line)
    return names, np.array(votes, np.int64).reshape(-1, 10), lines


def _read_pixels(path: str, lines: list[int], split: str) -> list[np.ndarray | None]:
    """Read the images of some lines of a CSV file, (48, 48) uint8; None for invalid ones."""
    wanted, header, read = set(lines), None, {}
    for line, fields in _lines(path):
        if header is None:
            header = {name: column for column, name in enumerate(fields)}
            if not {'pixels', 'Usage'} <= header.keys():
                raise BadDataset(f'{path}: expected columns Usage and pixels, got {", ".join(fields)}')
        elif line in wanted and len(fields) >= len(header):
            if fields[header['Usage']] != SPLITS[split][1]:
                raise BadDataset(
                    f'{path}: line {line}: expected {SPLITS[split][1]} as in the same line of {_NEW_LABELS}, got '
                    f'{fields[header["Usage"]]}; the two files need the same rows in the same order'
                )
            read[line] = _picture_of(fields[header['pixels']])
    return [read.get(line) for line in lines]


def _picture_of(pixels: str) -> np.ndarray | None:
    try:
        levels = np.array(pixels.split(), np.int64)
    except ValueError:
        return None
    if levels.size != SIDE_PX * SIDE_PX or levels.min() < 0 or levels.max() > 255:
        return None
    return levels.astype(np.uint8).reshape(SIDE_PX, SIDE_PX)


def _lines(path: str) -> Iterator[tuple[int, list[str]]]:
    try:
        with open(path, encoding='utf-8-sig', newline='') as file:
            for line, fields in enumerate(csv.reader(file), 1):
                if fields:
                    yield line, [field.strip() for field in fields]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadDataset(f'{path}: expected a CSV file, it cannot be read ({error})') from error


def _votes(path: str, line: int, fields: list[str]) -> list[int]:
    if not all(field.isdecimal() and len(field) < 10 for field in fields):
        raise BadDataset(f'{path}: line {line}: expected ten integer votes, got {", ".join(fields)}')
    return [int(field) for field in fields]


def _collect(where: str, contents: Iterable[Any], votes: np.ndarray, names: np.ndarray) -> FerPlus:
    """Decode all images; skip and list those that are not valid 48x48 images."""
    faces = np.empty((len(names), SIDE_PX, SIDE_PX), np.uint8)
    damaged, whole = [], np.ones(len(names), bool)
    for row, content in enumerate(contents):
        try:
            faces[row] = _decode(content)
        except BadImage as error:
            whole[row] = False
            damaged.append(CorruptImage(str(names[row]), str(error)))
    refuse_many(damaged, len(names), where)
    if damaged:
        faces, votes, names = faces[whole], votes[whole], names[whole]
    return FerPlus(faces, votes, names, os.path.basename(where).removesuffix('.npz'), damaged)


def _decode(content: Any) -> np.ndarray:
    """Decode an image from its pixels, its file's bytes or its file's path."""
    if content is None:
        raise BadImage(f'expected {SIDE_PX * SIDE_PX} gray levels of 0 to 255 in its line')
    if isinstance(content, np.ndarray):
        return content
    face = decode_face(read_file(content) if isinstance(content, str) else content, gray=True)
    if face.shape != (SIDE_PX, SIDE_PX):
        raise BadImage(f'expected a {SIDE_PX}x{SIDE_PX} image, got {face.shape[1]}x{face.shape[0]}')
    return face
