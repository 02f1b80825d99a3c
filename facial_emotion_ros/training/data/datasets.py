"""All data sets, and :func:`open_faces`, which opens any of them; docs/datasets.md shows each layout.

Includes the names of OpenDR's module of this name.
"""

import os
from collections.abc import Callable
from typing import Any

from facial_emotion_ros.core.errors import BadDataset, BadParameter
from facial_emotion_ros.training.data.affectnet import AffectNet, is_affectnet
from facial_emotion_ros.training.data.affectnet_preparation import pre_process_affect_net
from facial_emotion_ros.training.data.affectnet_samples import AffectNetCategorical, AffectNetDimensional
from facial_emotion_ros.training.data.face_set import FaceSet, held_out, read_names
from facial_emotion_ros.training.data.ferplus import FerPlus
from facial_emotion_ros.training.data.ferplus_files import is_ferplus, read_ferplus, write_ferplus
from facial_emotion_ros.training.data.labelled_folder import LabelledFolder, is_labelled_folder, read_labelled_folder

__all__ = [
    'AffectNet',
    'AffectNetCategorical',
    'AffectNetDimensional',
    'FORMATS',
    'FaceSet',
    'FerPlus',
    'LabelledFolder',
    'held_out',
    'open_faces',
    'pre_process_affect_net',
    'read_ferplus',
    'read_labelled_folder',
    'read_names',
    'write_ferplus',
]

#: Format name: (test of a path, reader), in the order of detection.
FORMATS: dict[str, tuple[Callable[[str], bool], Callable[..., FaceSet]]] = {
    'ferplus': (is_ferplus, read_ferplus),
    'affectnet': (is_affectnet, AffectNet),
    'folder': (is_labelled_folder, read_labelled_folder),
}


def format_of(path: str) -> str | None:
    """Detect the format of the set at a path; None if it is unknown."""
    return next((name for name, (is_here, _) in FORMATS.items() if is_here(path)), None)


def open_faces(path: str, format: str | None = None, **options: Any) -> FaceSet:
    """Open a set of faces.

    :param path: file or folder.
    :param format: 'ferplus', 'affectnet' or 'folder'; None to detect it.
    :param options: of that format: split, new_votes, fer2013, fer2013_weight (ferplus: :func:`read_ferplus`), split,
        kind, with_none, check (affectnet: :class:`AffectNet`), labels, classes, check, crops (folder:
        :func:`read_labelled_folder`).
    :returns: FaceSet.
    :raises BadDataset: if there is no such set, labels cannot be read, or more than 1% of the images are damaged.
    :raises BadParameter: for an unknown format, or an option that does not belong to it.
    """
    if format is None:
        if not os.path.exists(path):
            raise BadDataset(f'{path}: expected a data set, there is no such file or folder')
        format = format_of(path)
        if format is None:
            raise BadDataset(
                f'{path}: expected FER+ (npz, label.csv, fer2013new.csv), AffectNet (Training_Labeled, Validation), '
                'labels.csv or folders named like the classes, found none of them; see docs/datasets.md'
            )
    elif format not in FORMATS:
        raise BadParameter(f'{path}: expected format {", ".join(FORMATS)}, got {format!r}')
    try:
        return FORMATS[format][1](path, **options)
    except TypeError as error:
        if 'unexpected keyword' not in str(error):
            raise
        raise BadParameter(f'{path}: expected options of format {format} ({error}); see docs/datasets.md') from error
