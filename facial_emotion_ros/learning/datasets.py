"""Every set of faces that training and evaluation read, and one way to open them.

docs/datasets.md shows each layout. The names of OpenDR's module of this name are here too.
"""

import os

from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.learning.affectnet import AffectNet, is_affectnet
from facial_emotion_ros.learning.affectnet_preparation import pre_process_affect_net
from facial_emotion_ros.learning.affectnet_samples import AffectNetCategorical, AffectNetDimensional
from facial_emotion_ros.learning.face_set import FaceSet, held_out, read_names
from facial_emotion_ros.learning.ferplus import FerPlus
from facial_emotion_ros.learning.ferplus_files import is_ferplus, read_ferplus, write_ferplus
from facial_emotion_ros.learning.labelled_folder import LabelledFolder, is_labelled_folder, read_labelled_folder

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

#: Name of each format: (tells whether a path holds it, opens it). They are tried in this order.
FORMATS = {
    'ferplus': (is_ferplus, read_ferplus),
    'affectnet': (is_affectnet, AffectNet),
    'folder': (is_labelled_folder, read_labelled_folder),
}


def open_faces(path, format=None, **options):
    """Open a set of faces.

    :param path: file or folder.
    :param format: 'ferplus', 'affectnet' or 'folder'; None to see what lies there.
    :param options: of that format: split, new_votes (ferplus: :func:`read_ferplus`), split, kind, with_none, check
        (affectnet: :class:`AffectNet`), labels, classes, check (folder: :func:`read_labelled_folder`).
    :returns: FaceSet.
    :raises BadDataset: if nothing of the kind lies there, an option does not belong to the format, labels cannot be
        read, or more than 1% of the pictures are damaged.
    """
    if format is None:
        if not os.path.exists(path):
            raise BadDataset(f'{path}: a set of faces expected, there is nothing')
        format = next((name for name, (is_here, _) in FORMATS.items() if is_here(path)), None)
        if format is None:
            raise BadDataset(
                f'{path}: FER+ (npz, label.csv, fer2013new.csv), AffectNet (Training_Labeled, Validation), labels.csv '
                'or folders named like the classes expected, none of them is there; see docs/datasets.md'
            )
    elif format not in FORMATS:
        raise BadDataset(f'{path}: format {", ".join(FORMATS)} expected, got {format!r}')
    try:
        return FORMATS[format][1](path, **options)
    except TypeError as error:
        if 'unexpected keyword' not in str(error):
            raise
        raise BadDataset(f'{path}: options of format {format} expected ({error}); see docs/datasets.md') from error
