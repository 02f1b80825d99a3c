"""AffectNet in the layout of `pre_process_affect_net`: 96x96 faces with their labels in the file names."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.training.data.corrupt_images import CorruptImage
from facial_emotion_ros.training.data.image_set import ImageSet

#: Folder of each split. Source: OpenDR's data preparation, and the authors' code.
SPLITS = {'train': 'Training_Labeled', 'unlabelled': 'Training_Unlabeled', 'valid': 'Validation'}

#: AffectNet's expression numbers beyond our eight classes, which are 0 to 7 in the same order.
OTHER_EXPRESSIONS = {8: 'none', 9: 'uncertain', 10: 'no face'}

#: Valence and arousal of unrated faces.
UNRATED = -2.0

#: File in each split's folder that states its source and whether it is complete.
RECORD = 'preparation.json'

#: Separated by underscores; by an s in OpenDR's and the authors' files.
_NAME = re.compile(r'(\d+)[_s](\d+)[_s](-?\d+)[_s](-?\d+)\.jpe?g')


class AffectNet(ImageSet):
    """A split of AffectNet, filtered by a protocol.

    expressions: (N,) int64, AffectNet's own number: 0 to 7 as in EMOTIONS, 8 none, 9 uncertain, 10 no face.
    """

    _per_row = ImageSet._per_row + ('expressions',)

    def __init__(
        self,
        root: str,
        split: str | None = None,
        kind: str = 'categorical',
        with_none: bool = False,
        check: bool = True,
        report: Callable[[str], object] | None = None,
    ) -> None:
        """Open a split.

        :param root: folder that holds Training_Labeled, Validation..., or one of these.
        :param split: 'train' (manually annotated), 'valid', or 'unlabelled' (automatically annotated); None for the
            split of the folder, else train.
        :param kind: 'categorical' keeps faces with one of the eight classes, 'dimensional' those with rated affect.
        :param with_none: with 'dimensional', also keep rated faces of the expression "none", without a category.
        :param check: read every image now to find damaged ones.
        :param report: called with a message about each damaged image; None for stderr.
        :raises BadDataset: if there is no such folder, or more than 1% of its files are unusable.
        """
        own = _split_of(root)
        split = split or own or 'train'
        if own not in (None, split) and split in SPLITS:
            raise BadDataset(
                f'{root}: expected the parent folder of {SPLITS[own]} and {SPLITS[split]}, got the former; use '
                f'{os.path.dirname(os.path.abspath(root))}'
            )
        if split not in SPLITS or kind not in ('categorical', 'dimensional'):
            raise BadDataset(
                f'{root}: expected split {", ".join(SPLITS)} and kind categorical or dimensional, got {split!r} '
                f'and {kind!r}'
            )
        folder = root if own else os.path.join(root, SPLITS[split])
        names, labels, damaged = _list(folder)
        expressions, affect = labels[:, 0].astype(np.int64), (labels[:, 1:] / 1000).astype(np.float32)
        is_class = expressions < len(EMOTIONS)
        is_rated = (np.abs(affect) <= 1).all(1)
        affect[~is_rated] = np.nan
        keeps = is_class if kind == 'categorical' else is_rated & (is_class | (with_none & (expressions == 8)))
        words = (OTHER_EXPRESSIONS.get(int(each), 'without rated affect') for each in expressions[~keeps])
        self.left_out = dict(sorted(Counter(words).items()))
        names, affect, is_class = names[keeps], affect[keeps], is_class[keeps]
        self.expressions = expressions = expressions[keeps]
        distributions = np.full((len(names), len(EMOTIONS)), np.nan, np.float32)
        distributions[is_class] = np.eye(len(EMOTIONS), dtype=np.float32)[expressions[is_class]]
        classes = np.where(is_class, expressions, -1)
        name = f'AffectNet {split} {kind}'
        super().__init__(name, folder, names, distributions, classes, affect, damaged, check, report)

    def describe(self) -> str:
        """Summarise the set, and what the protocol drops, in one line."""
        others = ', '.join(f'{count} {word}' for word, count in self.left_out.items()) or 'nothing'
        return f'{super().describe()}; dropped by the protocol: {others}'


def is_affectnet(path: str) -> bool:
    """Return whether a folder holds AffectNet in this layout."""
    return bool(_split_of(path)) or any(os.path.isdir(os.path.join(path, folder)) for folder in SPLITS.values())


def file_name(number: int, expression: int, valence: float, arousal: float) -> str:
    """Encode labels in a file name, such as `0000123_3_400_670.jpg`.

    :param number: of the image in its split.
    :param expression: AffectNet's number, 0 to 10.
    :param valence, arousal: in [-1, 1], or -2 if unrated.
    """
    return f'{number:07d}_{expression}_{round(valence * 1000)}_{round(arousal * 1000)}.jpg'


def labels_of(name: str) -> tuple[int, ...] | None:
    """Parse number, expression, valence x 1000 and arousal x 1000 from a file name, ours or OpenDR's; else None."""
    fits = _NAME.fullmatch(name)
    return tuple(int(part) for part in fits.groups()) if fits else None


def _split_of(folder: str) -> str | None:
    """Return the split that a folder holds, by its name, or None."""
    name = os.path.basename(os.path.abspath(folder))
    return next((split for split, own in SPLITS.items() if own == name and os.path.isdir(folder)), None)


def _nearest(root: str) -> str:
    """Suggest a folder above or below that holds splits."""
    root = os.path.abspath(root)
    above = [os.path.dirname(root), os.path.dirname(os.path.dirname(root))]
    below = sorted(os.path.join(root, name) for name in os.listdir(root)) if os.path.isdir(root) else []
    found = next((folder for folder in above + below if is_affectnet(folder) and not _split_of(folder)), None)
    return f'use {found}' if found else 'create it with prepare_affectnet'


def _refuse_unfinished(folder: str) -> None:
    """Reject an unfinished preparation; a folder without a record is OpenDR's."""
    try:
        with open(os.path.join(folder, RECORD), encoding='utf-8') as file:
            is_complete = json.load(file)['complete']
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadDataset(f'{folder}: {RECORD} cannot be read ({error}); run prepare_affectnet again') from error
    if not is_complete:
        raise BadDataset(f'{folder}: the preparation is incomplete; run prepare_affectnet again')


def _is_label(expression: int, valence: int, arousal: int) -> bool:
    is_rated = abs(valence) <= 1000 and abs(arousal) <= 1000
    return expression <= 10 and (is_rated or (valence, arousal) == (1000 * UNRATED, 1000 * UNRATED))


def _list(folder: str) -> tuple[np.ndarray, np.ndarray, list[CorruptImage]]:
    """List the images of a split, sorted by folder and name, and parse the labels in their names."""
    if not os.path.isdir(folder):
        raise BadDataset(
            f'{folder}: expected a folder of AffectNet, there is none; ' + _nearest(os.path.dirname(folder))
        )
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
                reason = 'expected a name of number, expression (to 10), valence and arousal (to 1000, or -2000)'
                damaged.append(CorruptImage(f'{part}/{file}', reason))
    if not names:
        raise BadDataset(f'{folder}: expected numbered folders of images like 0000123_3_400_670.jpg, there are none')
    return np.array(names), np.array(labels, np.float64), damaged
