"""Cut AffectNet's faces out and lay them out for training, as OpenDR does it.

What differs from OpenDR's function of the same name: rows and columns of the face box are not exchanged; pictures are
found in AffectNet's subfolders; labels are rounded, not cut off; a damaged picture is counted by its own name and
shifts no other picture's number; only pictures and annotations can be damaged, any other error ends the work; what was
begun goes on where it stopped; rows without anything to learn are counted, not written.
"""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import cv2

from facial_emotion_ros.atomic_file import write_whole
from facial_emotion_ros.errors import BadDataset, BadImage, BadParameter
from facial_emotion_ros.learning.affectnet import RECORD, SPLITS, file_name
from facial_emotion_ros.learning.affectnet_annotations import read_annotations
from facial_emotion_ros.learning.damage import MAX_SHARE, DamagedPicture, decode_face, refuse_many
from facial_emotion_ros.pictures import read_file

#: Side of the faces that are written.
SIDE_PX = 96

#: Pictures in each folder.
FOLDER_SIZE = 500

#: What a face box must have inside its picture.
_MIN_INSIDE = 0.5

_WRITTEN, _FOUND = object(), object()


class Preparation(NamedTuple):
    """What was done: the folder, faces written now, faces found there from before, and what was not written.

    damaged: tuple of DamagedPicture.
    left_out: dict of reason to count: rows that have neither a class nor a rated affect.
    """

    folder: str
    written: int
    found: int
    damaged: tuple
    left_out: dict


def pre_process_affect_net(
    base_path_to_images, base_path_to_annotations, base_destination_path, set_index, threads=None, report=None
):
    """Cut out the faces of one split of AffectNet, at 96x96, in folders of 500.

    Each face becomes `<number>_<expression>_<valence x 1000>_<arousal x 1000>.jpg`; numbers count the rows that have a
    class, or the expression "none" (8) with a rated affect, in the order of the annotations. Interrupted, the same call
    goes on: what is there whole is not done again.

    :param base_path_to_images: folder of the pictures (:func:`read_annotations` says which layouts are known).
    :param base_path_to_annotations: folder of the annotations.
    :param base_destination_path: where Training_Labeled, Training_Unlabeled and Validation come.
    :param set_index: 0 automatically annotated pictures (into Training_Unlabeled), 1 training set (Training_Labeled), 2
        validation set (Validation).
    :param threads: that read and write pictures; None for as many as there are processors.
    :param report: called with the numbers of faces done and of all faces, after each folder.
    :returns: Preparation.
    :raises BadParameter: if set_index is another number.
    :raises BadDataset: if annotations are absent or of another layout, the destination was made from others or cannot
        be written, or as soon as more than 1% of the pictures are damaged, with the list of them.
    """
    if set_index not in (0, 1, 2):
        raise BadParameter(f'set_index 0 (automatic), 1 (training) or 2 (validation) expected, got {set_index!r}')
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
            _or_stop(part, os.makedirs, part, exist_ok=True)
            chunk = kept[first:first + FOLDER_SIZE]
            paths = [os.path.join(part, file_name(first + place, *row[2:])) for place, row in enumerate(chunk)]
            for row, outcome in zip(chunk, pool.map(_prepare, [annotations.root] * len(chunk), chunk, paths)):
                written += outcome is _WRITTEN
                if isinstance(outcome, str):
                    damaged.append(DamagedPicture(row.file, outcome))
            if report:
                report(min(first + FOLDER_SIZE, len(kept)), len(kept))
    refuse_many(damaged, count, folder)
    found = count - written - len(damaged)
    preparation = Preparation(folder, written, found, tuple(damaged), annotations.left_out)
    _write_record(folder, annotations.sha256, preparation)
    return preparation


def _begin(folder, sha256):
    """Refuse a destination that something else was made in; note what this one is made from."""
    try:
        with open(os.path.join(folder, RECORD), encoding='utf-8') as file:
            begun = json.load(file)['annotations_sha256']
    except (FileNotFoundError, NotADirectoryError):
        if os.path.isdir(folder) and os.listdir(folder):
            raise BadDataset(
                f'{folder}: an empty folder, or one that was begun here, expected; remove it, or choose another one'
            ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataset(f'{folder}: {RECORD} cannot be read ({error}); remove the folder') from error
    else:
        if begun != sha256:
            raise BadDataset(
                f'{folder}: begun with other annotations (sha256 {begun[:12]} expected, got {sha256[:12]}), which '
                'would give the pictures other numbers; remove it, or choose another one'
            )
        return
    _write_record(folder, sha256)


def _write_record(folder, sha256, preparation=None):
    record = {'annotations_sha256': sha256, 'size_px': SIDE_PX, 'complete': preparation is not None}
    if preparation:
        record['pictures'] = preparation.written + preparation.found
        record['left_out'] = preparation.left_out
        record['damaged'] = [list(each) for each in preparation.damaged]
    _or_stop(folder, write_whole, os.path.join(folder, RECORD), json.dumps(record, indent=1).encode())


def _prepare(root, row, path):
    """Cut out one face, unless it is there already.

    :returns: _WRITTEN, _FOUND, or the reason why the picture cannot be used.
    """
    if _is_whole(path):
        return _FOUND
    try:
        face = cut_box(_read_anywhere(root, row.file), row.box)
    except BadImage as error:
        return str(error)
    shrinks = min(face.shape[:2]) >= SIDE_PX
    face = cv2.resize(face, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    _or_stop(path, _write_at_once, path, cv2.imencode('.jpg', face)[1].tobytes())
    return _WRITTEN


def cut_box(picture, box):
    """Cut out a face box; where it reaches beyond the picture, the border is repeated.

    :param picture: (H, W) or (H, W, 3) uint8.
    :param box: x, y, width, height in pixels; None for the whole picture.
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
            f'a face box in the picture of {picture.shape[1]}x{picture.shape[0]} expected, got x {x}, y {y}, width '
            f'{width}, height {height}'
        )
    beyond = (top - y, y + height - bottom, left - x, x + width - right)
    face = picture[top:bottom, left:right]
    return cv2.copyMakeBorder(face, *beyond, cv2.BORDER_REPLICATE) if any(beyond) else face


def _read_anywhere(root, file):
    """Read a picture from its subfolder, or, as OpenDR wants it, from the folder itself."""
    path = os.path.join(root, file)
    if not os.path.exists(path):
        flat = os.path.join(root, os.path.basename(file))
        path = flat if os.path.exists(flat) else path
    return decode_face(read_file(path))


def _is_whole(path):
    """Tell whether a picture is there to its end: after a power cut, a file may be there without its contents."""
    try:
        with open(path, 'rb') as file:
            file.seek(-2, os.SEEK_END)
            return file.read() == b'\xff\xd9'
    except OSError:
        return False


def _write_at_once(path, content):
    """Write a picture so that it is there whole or not at all.

    Unlike write_whole, this does not wait for the disk, which would take longer than everything else; what a power cut
    leaves is seen by :func:`_is_whole`.
    """
    begun = f'{os.path.dirname(path)}/.{os.path.basename(path)}.part'
    try:
        with open(begun, 'wb') as file:
            file.write(content)
        os.replace(begun, path)
    finally:
        if os.path.exists(begun):
            os.remove(begun)


def _or_stop(path, write, *arguments, **options):
    """Write, and say it in this package's words where the system refuses."""
    try:
        write(*arguments, **options)
    except OSError as error:
        raise BadDataset(
            f'{path}: cannot be written ({error.strerror or error}); make room or choose another place, and start '
            'again: it goes on from here'
        ) from error
