"""AffectNet as `pre_process_affect_net` lays it out: 96x96 faces whose names are their labels."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadDataset
from facial_emotion_ros.learning.damage import DamagedPicture
from facial_emotion_ros.learning.picture_files import PictureFiles

#: Folder of each split. Source: OpenDR's data preparation, and the authors' code.
SPLITS = {'train': 'Training_Labeled', 'unlabelled': 'Training_Unlabeled', 'valid': 'Validation'}

#: What AffectNet's numbers of expressions mean beyond our eight classes, which are 0 to 7 in the same order.
OTHER_EXPRESSIONS = {8: 'none', 9: 'uncertain', 10: 'no face'}

#: Valence and arousal of faces that nobody rated.
UNRATED = -2.0

#: File in each split's folder that says what it was made from, and whether it is complete.
RECORD = 'preparation.json'

#: Ours with underscores; OpenDR and the authors write an s in their place.
_NAME = re.compile(r'(\d+)[_s](\d+)[_s](-?\d+)[_s](-?\d+)\.jpe?g')


class AffectNet(PictureFiles):
    """A split of AffectNet, or the rows of it that a protocol keeps.

    expressions: (N,) int64, AffectNet's own number: 0 to 7 as in EMOTIONS, 8 none, 9 uncertain, 10 no face.
    """

    _per_row = PictureFiles._per_row + ('expressions',)

    def __init__(self, root, split=None, kind='categorical', with_none=False, check=True, report=None):
        """Open a split.

        :param root: folder that holds Training_Labeled, Validation..., or one of these.
        :param split: 'train' (annotated by people), 'valid', or 'unlabelled' (AffectNet's automatic annotations); None
            for the split that the folder is, or else train.
        :param kind: 'categorical' keeps faces with one of the eight classes, 'dimensional' those of them with a rated
            affect.
        :param with_none: with 'dimensional', keep faces of the expression "none" too where their affect is rated; they
            have no category.
        :param check: read every picture now to find the damaged ones.
        :param report: called with one line of text about each damaged picture; None for stderr.
        :raises BadDataset: if there is no such folder, or more than 1% of its files cannot be used.
        """
        own = _split_of(root)
        split = split or own or 'train'
        if own not in (None, split) and split in SPLITS:
            raise BadDataset(f'{root}: the folder that holds {SPLITS[own]} and {SPLITS[split]} expected, got the '
                             f'former alone; give {os.path.dirname(os.path.abspath(root))}')
        if split not in SPLITS or kind not in ('categorical', 'dimensional'):
            raise BadDataset(f'{root}: split {", ".join(SPLITS)} and kind categorical or dimensional expected, got '
                             f'{split!r} and {kind!r}')
        folder = root if own else os.path.join(root, SPLITS[split])
        names, labels, damaged = _list(folder)
        expressions, affect = labels[:, 0].astype(np.int64), (labels[:, 1:] / 1000).astype(np.float32)
        is_class = expressions < len(EMOTIONS)
        is_rated = (np.abs(affect) <= 1).all(1)
        affect[~is_rated] = np.nan
        keeps = is_class if kind == 'categorical' else is_rated & (is_class | (with_none & (expressions == 8)))
        self.left_out = _count_left_out(expressions[~keeps])
        names, expressions, affect, is_class = (each[keeps] for each in (names, expressions, affect, is_class))
        self.expressions = expressions
        distributions = np.full((len(names), len(EMOTIONS)), np.nan, np.float32)
        distributions[is_class] = np.eye(len(EMOTIONS), dtype=np.float32)[expressions[is_class]]
        classes = np.where(is_class, expressions, -1)
        name = f'AffectNet {split} {kind}'
        super().__init__(name, folder, names, distributions, classes, affect, damaged, check, report)

    def describe(self):
        """Say in one line how many faces there are of what, and what was left out."""
        others = ', '.join(f'{count} {word}' for word, count in self.left_out.items()) or 'nothing'
        return f'{super().describe()}; left out by the protocol: {others}'


def is_affectnet(path):
    """Tell whether a folder holds splits of AffectNet in this layout."""
    return bool(_split_of(path)) or any(os.path.isdir(os.path.join(path, folder)) for folder in SPLITS.values())


def file_name(number, expression, valence, arousal):
    """Name a picture by its labels.

    :param number: of the picture in its split.
    :param expression: AffectNet's number, 0 to 10.
    :param valence, arousal: in [-1, 1], or -2 where nobody rated them.
    :returns: such as `0000123_3_400_670.jpg`.
    """
    return f'{number:07d}_{expression}_{round(valence * 1000)}_{round(arousal * 1000)}.jpg'


def labels_of(name):
    """Read the labels out of a picture's name, ours or OpenDR's.

    :param name: file name.
    :returns: number, expression, valence x 1000, arousal x 1000; None where the name is none of these.
    """
    fits = _NAME.fullmatch(name)
    return tuple(int(part) for part in fits.groups()) if fits else None


def _split_of(folder):
    """Tell which split a folder is by its name; None where it is none, such as their common root."""
    name = os.path.basename(os.path.abspath(folder))
    return next((split for split, own in SPLITS.items() if own == name and os.path.isdir(folder)), None)


def _nearest(root):
    """Name the folder that was probably meant: one above or below that holds splits."""
    root = os.path.abspath(root)
    above = [os.path.dirname(root), os.path.dirname(os.path.dirname(root))]
    below = sorted(os.path.join(root, name) for name in os.listdir(root)) if os.path.isdir(root) else []
    found = next((folder for folder in above + below if is_affectnet(folder) and not _split_of(folder)), None)
    return f'give {found}' if found else 'make it by prepare_affectnet'


def _refuse_unfinished(folder):
    """Refuse a folder whose preparation has not come to its end; one without a record is OpenDR's, and is taken."""
    try:
        with open(os.path.join(folder, RECORD), encoding='utf-8') as file:
            is_complete = json.load(file)['complete']
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataset(f'{folder}: {RECORD} cannot be read ({error}); run prepare_affectnet again') from error
    if not is_complete:
        raise BadDataset(f'{folder}: all faces expected, the preparation has not ended; run prepare_affectnet again')


def _is_label(expression, valence, arousal):
    is_rated = abs(valence) <= 1000 and abs(arousal) <= 1000
    return expression <= 10 and (is_rated or (valence, arousal) == (1000 * UNRATED, 1000 * UNRATED))


def _list(folder):
    """List the pictures of a split in the order of their folders and names, and read the labels from the names."""
    if not os.path.isdir(folder):
        raise BadDataset(f'{folder}: a folder of AffectNet expected, there is none; '
                         + _nearest(os.path.dirname(folder)))
    _refuse_unfinished(folder)
    parts = sorted((name for name in os.listdir(folder) if name.isdecimal()), key=int)
    with ThreadPoolExecutor(8) as pool:
        listings = list(pool.map(lambda part: sorted(os.listdir(os.path.join(folder, part))), parts))
    names, labels, damaged = [], [], []
    for part, files in zip(parts, listings):
        for file in files:
            read = labels_of(file)
            if read and _is_label(*read[1:]):
                names.append(f'{part}/{file}')
                labels.append(read[1:])
            elif not file.startswith('.'):
                reason = 'a name of number, expression (to 10), valence and arousal (to 1000, or -2000) expected'
                damaged.append(DamagedPicture(f'{part}/{file}', reason))
    if not names:
        raise BadDataset(f'{folder}: numbered folders of pictures like 0000123_3_400_670.jpg expected, there are none')
    return np.array(names), np.array(labels, np.float64), damaged


def _count_left_out(expressions):
    words = [OTHER_EXPRESSIONS.get(int(expression), 'without rated affect') for expression in expressions]
    return {word: words.count(word) for word in sorted(set(words))}
