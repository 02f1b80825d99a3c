"""Crops AffectNet's faces for training, in OpenDR's layout.

Unlike OpenDR's function of the same name, it does not swap rows and columns of the face box, finds images in
AffectNet's subfolders, rounds labels instead of truncating them, keeps the numbers of other images when one is damaged,
stops at any error other than a damaged image or annotation, resumes, and counts rows without usable labels.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import cv2
import numpy as np

from facial_emotion_ros.core.errors import BadDataset, BadImage, BadParameter
from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.perception.image_files import read_file
from facial_emotion_ros.training.data.affectnet import RECORD, SPLITS, file_name
from facial_emotion_ros.training.data.affectnet_annotations import Annotation, read_annotations
from facial_emotion_ros.training.data.corrupt_images import MAX_SHARE, CorruptImage, decode_face, refuse_many

#: Side of the crops in pixels.
SIDE_PX = 96

#: Images per folder.
FOLDER_SIZE = 500

#: Minimum fraction of a face box inside its image.
_MIN_INSIDE = 0.5

_WRITTEN, _FOUND = object(), object()


class Preparation(NamedTuple):
    """Folder, faces written now and in earlier runs, damaged images, and number of unlabelled rows by reason."""

    folder: str
    written: int
    found: int
    damaged: tuple[CorruptImage, ...]
    left_out: dict[str, int]


def pre_process_affect_net(
    base_path_to_images: str,
    base_path_to_annotations: str,
    base_destination_path: str,
    set_index: int,
    threads: int | None = None,
    report: Callable[[int, int], object] | None = None,
) -> Preparation:
    """Crop the faces of one split of AffectNet to 96x96, in folders of 500.

    Each face becomes `<number>_<expression>_<valence x 1000>_<arousal x 1000>.jpg`; numbers count the rows with a
    class, or the expression "none" (8) with rated affect, in the order of the annotations. The same call resumes an
    interrupted run.

    :param base_path_to_images: folder of the images; :func:`read_annotations` lists the layouts.
    :param base_path_to_annotations: folder of the annotations.
    :param base_destination_path: parent of Training_Labeled, Training_Unlabeled and Validation.
    :param set_index: 0 automatically annotated images (Training_Unlabeled), 1 training set (Training_Labeled), 2
        validation set (Validation).
    :param threads: None for one per CPU core.
    :param report: called with the numbers of faces done and in total, after each folder.
    :returns: Preparation.
    :raises BadParameter: for another set_index.
    :raises BadDataset: if annotations are missing or have another layout, the destination holds other files or is not
        writable, or more than 1% of the images are damaged, with a list.
    """
    if set_index not in (0, 1, 2):
        raise BadParameter(f'expected set_index 0 (automatic), 1 (training) or 2 (validation), got {set_index!r}')
    annotations = read_annotations(base_path_to_images, base_path_to_annotations, set_index)
    kept, count = annotations.kept, len(annotations.kept) + len(annotations.damaged)
    folder = os.path.join(base_destination_path, SPLITS[('unlabelled', 'train', 'valid')[set_index]])
    _begin(folder, annotations.sha256)
    damaged, written = list(annotations.damaged), 0
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for first in range(0, len(kept), FOLDER_SIZE):
            if len(damaged) > MAX_SHARE * count:
                break
            part = os.path.join(folder, str(first // FOLDER_SIZE))
            _write_or_raise(part, os.makedirs, part, exist_ok=True)
            chunk = kept[first : first + FOLDER_SIZE]
            paths = [os.path.join(part, file_name(first + place, *row[2:])) for place, row in enumerate(chunk)]
            for row, outcome in zip(chunk, pool.map(_prepare, [annotations.root] * len(chunk), chunk, paths)):
                written += outcome is _WRITTEN
                if isinstance(outcome, str):
                    damaged.append(CorruptImage(row.file, outcome))
            if report:
                report(min(first + FOLDER_SIZE, len(kept)), len(kept))
    refuse_many(damaged, count, folder)
    found = count - written - len(damaged)
    preparation = Preparation(folder, written, found, tuple(damaged), annotations.left_out)
    _write_record(folder, annotations.sha256, preparation)
    return preparation


def _begin(folder: str, sha256: str) -> None:
    """Record the source of the destination; reject one that was made from other annotations."""
    try:
        with open(os.path.join(folder, RECORD), encoding='utf-8') as file:
            begun = json.load(file)['annotations_sha256']
    except (FileNotFoundError, NotADirectoryError):
        if os.path.isdir(folder) and os.listdir(folder):
            raise BadDataset(
                f'{folder}: expected an empty folder or one of an earlier run; remove it, or choose another one'
            ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataset(f'{folder}: {RECORD} cannot be read ({error}); remove the folder') from error
    else:
        if begun != sha256:
            raise BadDataset(
                f'{folder}: started with other annotations (sha256 {begun[:12]}, got {sha256[:12]}), which number '
                'the images differently; remove it, or choose another one'
            )
        return
    _write_record(folder, sha256)


def _write_record(folder: str, sha256: str, preparation: Preparation | None = None) -> None:
    record = {'annotations_sha256': sha256, 'size_px': SIDE_PX, 'complete': preparation is not None}
    if preparation:
        record['pictures'] = preparation.written + preparation.found
        record['left_out'] = preparation.left_out
        record['damaged'] = [list(each) for each in preparation.damaged]
    _write_or_raise(folder, write_atomic, os.path.join(folder, RECORD), json.dumps(record, indent=1).encode())


def _prepare(root: str, row: Annotation, path: str) -> object:
    """Crop one face unless it exists; return _WRITTEN, _FOUND, or why the image is unusable."""
    if _is_whole(path):
        return _FOUND
    try:
        face = cut_box(_read_image(root, row.file), row.box)
    except BadImage as error:
        return str(error)
    shrinks = min(face.shape[:2]) >= SIDE_PX
    face = cv2.resize(face, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    _write_or_raise(path, _write_at_once, path, cv2.imencode('.jpg', face)[1].tobytes())
    return _WRITTEN


def cut_box(picture: np.ndarray, box: tuple[int, ...] | None) -> np.ndarray:
    """Crop a face box; outside the image, the border is replicated.

    :param picture: (H, W) or (H, W, 3) uint8.
    :param box: x, y, width, height in pixels; None for the whole image.
    :returns: (height, width) or (height, width, 3) uint8.
    :raises BadImage: if the box is empty, or more than half of it lies outside.
    """
    if box is None:
        return picture
    x, y, width, height = box
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, picture.shape[1]), min(y + height, picture.shape[0])
    inside = max(right - left, 0) * max(bottom - top, 0)
    if width < 1 or height < 1 or inside < _MIN_INSIDE * width * height:
        raise BadImage(
            f'expected a face box inside the {picture.shape[1]}x{picture.shape[0]} image, got x {x}, y {y}, width '
            f'{width}, height {height}'
        )
    beyond = (top - y, y + height - bottom, left - x, x + width - right)
    face = picture[top:bottom, left:right]
    return cv2.copyMakeBorder(face, *beyond, cv2.BORDER_REPLICATE) if any(beyond) else face


def _read_image(root: str, file: str) -> np.ndarray:
    """Read an image from its subfolder or, as in OpenDR's layout, from the folder itself."""
    path = os.path.join(root, file)
    if not os.path.exists(path):
        flat = os.path.join(root, os.path.basename(file))
        path = flat if os.path.exists(flat) else path
    return decode_face(read_file(path))


def _is_whole(path: str) -> bool:
    """Return whether a JPEG is complete: after a power cut, a file may lack its contents."""
    try:
        with open(path, 'rb') as file:
            file.seek(-2, os.SEEK_END)
            return file.read() == b'\xff\xd9'
    except OSError:
        return False


def _write_at_once(path: str, content: bytes) -> None:
    """Write an image atomically, but without the slow fsync of write_atomic; :func:`_is_whole` detects a power cut."""
    begun = f'{os.path.dirname(path)}/.{os.path.basename(path)}.part'
    try:
        with open(begun, 'wb') as file:
            file.write(content)
        os.replace(begun, path)
    finally:
        if os.path.exists(begun):
            os.remove(begun)


def _write_or_raise(path: str, write: Callable[..., object], *arguments: Any, **options: Any) -> None:
    """Call `write`; turn OSError into BadDataset."""
    try:
        write(*arguments, **options)
    except OSError as error:
        raise BadDataset(
            f'{path}: cannot be written ({error.strerror or error}); make room or choose another folder, and run it '
            'again to resume'
        ) from error
