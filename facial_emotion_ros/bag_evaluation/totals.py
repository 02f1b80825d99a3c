"""Sums over a recording, from which all its figures follow: sums of parts add up, so parts may be drawn anew."""

import math

import numpy as np

from facial_emotion_ros import metrics
from facial_emotion_ros.emotions import EMOTIONS, UNKNOWN

#: What is counted. A face frame is one face in one image.
COUNTS = ('frames', 'bad_frames', 'frames_with_faces', 'face_frames', 'unknown', 'flips', 'face_s', 'labelled',
          'matched', 'missed', 'switches', 'tracks')

#: Words that faces are given.
WORDS = (*EMOTIONS, UNKNOWN)

_MOMENTS = ('n', 't', 'e', 'tt', 'ee', 'te', 'signed', 'same_sign')
_SIDES = ('valence', 'arousal')

_PLACES = {name: place for place, name in enumerate(COUNTS)}
_TOLD = len(COUNTS)
_CONFUSION = _TOLD + len(WORDS)
_AFFECT = _CONFUSION + len(EMOTIONS) * len(WORDS)
#: Length of a vector of sums.
LENGTH = _AFFECT + len(_MOMENTS) * len(_SIDES)

#: Figures that have intervals, and that summaries are compared by: whether more is better.
COMPARED = {'accuracy': True, 'macro_f1': True, 'macro_f1_all': True, 'macro_recall': True,
            'kappa': True, 'coverage': True, 'unknown_share': False,
            'flips_per_minute': False, 'ccc_valence': True, 'ccc_arousal': True, 'rmse_valence': False,
            'rmse_arousal': False}

#: Draws for an interval.
RESAMPLES = 1000


class Totals:
    """Sums of one part of a recording."""

    def __init__(self, values=None):
        """Begin at zero, or with the values of a :meth:`sparse` dict."""
        self.values = np.zeros(LENGTH)
        for place, value in (values or {}).items():
            self.values[int(place)] = value

    def count(self, name, by=1):
        """Count one of COUNTS."""
        self.values[_PLACES[name]] += by

    def tell(self, estimate, truth):
        """Take one face of one image.

        :param estimate: FaceEstimate.
        :param truth: Truth, or None.
        """
        word = WORDS.index(estimate.emotion)
        self.count('face_frames')
        self.count('unknown', estimate.emotion == UNKNOWN)
        self.values[_TOLD + word] += 1
        if truth is None:
            return
        if truth.emotion:
            self.count('labelled')
            self.values[_CONFUSION + EMOTIONS.index(truth.emotion) * len(WORDS) + word] += 1
        for place, side in enumerate(_SIDES):
            true, told = getattr(truth, side), getattr(estimate, side)
            if true is not None:
                begin = _AFFECT + place * len(_MOMENTS)
                signs = (float(true != 0), float(true != 0 and np.sign(true) == np.sign(told)))
                self.values[begin:begin + len(_MOMENTS)] += (1, true, told, true * true, told * told, true * told,
                                                             *signs)

    def sparse(self):
        """Give the values that are not 0: {place as text: number}, whole numbers as such."""
        return {str(place): int(value) if float(value).is_integer() else round(float(value), 9)
                for place, value in enumerate(self.values) if value}


def add(parts):
    """Add Totals up.

    :param parts: iterable of Totals.
    :returns: Totals.
    """
    whole = Totals()
    for part in parts:
        whole.values += part.values
    return whole


def totals_of(summary):
    """Add up the sums of a whole evaluation.

    :param summary: dict, as summary.json holds it.
    :returns: Totals.
    """
    return add(Totals(sums) for told in (summary.get('stretches') or {}).values() for sums in told['sums'].values())


def figures(values):
    """Compute what a summary says.

    :param values: (LENGTH,) sums.
    :returns: dict of float, int, dict and list; None where there is nothing to divide by.
    """
    counts = {name: float(values[place]) for name, place in _PLACES.items()}
    told = values[_TOLD:_CONFUSION]
    found = {name: int(counts[name]) for name in COUNTS if name not in ('face_s', 'flips', 'tracks', 'switches',
                                                                         'labelled', 'matched', 'missed')}
    del found['unknown']
    found.update(
        faces=int(counts['tracks']), coverage=_share(counts['frames_with_faces'], counts['frames']),
        unknown_share=_share(counts['unknown'], counts['face_frames']),
        flips=int(counts['flips']), flips_per_minute=_share(60 * counts['flips'], counts['face_s']),
        id_switches=int(counts['switches']) if counts['matched'] else None,
        emotions={word: _share(float(count), counts['face_frames']) for word, count in zip(WORDS, told)})
    return found


def truth_figures(values):
    """Compare with the truth.

    :param values: (LENGTH,) sums.
    :returns: dict: n (face frames with a true emotion), answered (share of them that got a word), accuracy, macro_f1
        (over the classes of the truth), macro_f1_all (and of the answers), macro_recall (UAR), kappa (Cohen's) of those
        answered, right_of_all (unknown counted as wrong), found (share of annotated faces
        that a face was found for), confusion (8 x 8), recall, affect; None where there is no truth at all.

    Source: see :mod:`facial_emotion_ros.metrics`.
    """
    counts = {name: float(values[place]) for name, place in _PLACES.items()}
    whole = values[_CONFUSION:_AFFECT].reshape(len(EMOTIONS), len(WORDS))
    matrix = whole[:, :len(EMOTIONS)]
    affect = {side: _affect_figures(values[_AFFECT + place * len(_MOMENTS):][:len(_MOMENTS)])
              for place, side in enumerate(_SIDES)}
    if not counts['labelled'] and not any(each['n'] for each in affect.values()) and not counts['missed']:
        return None
    recalls = metrics.recalls(matrix)
    right = float(np.trace(matrix))
    return {
        'n': int(counts['labelled']), 'answered': _share(float(matrix.sum()), counts['labelled']),
        'accuracy': _share(right, float(matrix.sum())), 'right_of_all': _share(right, counts['labelled']),
        'macro_f1': _number(metrics.macro_f1(matrix)), 'macro_f1_all': _number(metrics.macro_f1_all(matrix)),
        'macro_recall': _number(metrics.macro_recall(matrix)), 'kappa': _number(metrics.cohen_kappa(matrix)),
        'found': _share(counts['matched'], counts['matched'] + counts['missed']), 'missed': int(counts['missed']),
        'confusion': [[int(count) for count in row] for row in matrix],
        'unknown': {emotion: int(row[-1]) for emotion, row in zip(EMOTIONS, whole)},
        'recall': {emotion: _number(recall) for emotion, recall in zip(EMOTIONS, recalls)}, 'affect': affect}


def compared_figures(values):
    """Give the figures of COMPARED, float or None, by name."""
    found = figures(values)
    truth = truth_figures(values) or {}
    affect = truth.get('affect', {})
    for name in COMPARED:
        kind, _, side = name.partition('_')
        if side in _SIDES:
            found[name] = affect[side][kind] if affect else None
        elif name in truth:
            found[name] = truth[name]
    return {name: found.get(name) for name in COMPARED}


def intervals(parts, level=0.95, resamples=RESAMPLES, seed=0):
    """Tell how far each figure of COMPARED would move, had other stretches of the same kind been recorded.

    Images that follow each other are alike: stretches of time are drawn with replacement, not images.

    :param parts: list of Totals, one a stretch.
    :returns: dict of (low, high); without those of which nothing can be said.

    Source: Künsch, Annals of Statistics 1989 (block bootstrap), with percentile intervals.
    """
    rows = draws(parts, resamples, seed)
    found = {}
    for name, values in _figures_of_draws(rows).items():
        if len(values) >= resamples / 2:
            found[name] = [float(end) for end in np.percentile(values, [50 * (1 - level), 50 * (1 + level)])]
    return found


def draws(parts, resamples=RESAMPLES, seed=0):
    """Draw the parts anew, as often as there are, again and again.

    :param parts: list of Totals.
    :returns: (resamples, LENGTH) sums; no rows where there are fewer than two parts.
    """
    if len(parts) < 2:
        return np.empty((0, LENGTH))
    values = np.stack([part.values for part in parts])
    generator = np.random.default_rng(seed)
    chosen = generator.integers(0, len(parts), (resamples, len(parts)))
    counts = np.apply_along_axis(np.bincount, 1, chosen, minlength=len(parts))
    return counts @ values


def _figures_of_draws(rows):
    found = {name: [] for name in COMPARED}
    for row in rows:
        for name, value in compared_figures(row).items():
            if value is not None:
                found[name].append(value)
    return found


def _affect_figures(moments):
    count, true, told, true_2, told_2, both, signed, same = (float(each) for each in moments)
    found = {'n': int(count), 'rmse': None, 'pcc': None, 'ccc': None, 'sagr': _share(same, signed)}
    if count:
        found['rmse'] = math.sqrt(max(true_2 - 2 * both + told_2, 0.0) / count)
        true_mean, told_mean = true / count, told / count
        true_variance = max(true_2 / count - true_mean ** 2, 0.0)
        told_variance = max(told_2 / count - told_mean ** 2, 0.0)
        covariance = both / count - true_mean * told_mean
        # What is left of a constant's variance is rounding.
        if true_variance > 1e-12 and told_variance > 1e-12:
            found['pcc'] = covariance / math.sqrt(true_variance * told_variance)
        scale = true_variance + told_variance + (true_mean - told_mean) ** 2
        if scale > 1e-12:
            found['ccc'] = 2 * covariance / scale
    return found


def _share(part, whole):
    return part / whole if whole else None


def _number(value):
    return float(value) if np.isfinite(value) else None
