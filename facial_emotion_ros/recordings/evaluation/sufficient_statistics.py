"""Sufficient statistics of an evaluation: additive sums from which all metrics and their intervals are computed."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.evaluation.intervals import t_interval
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth

#: Counters. A face frame is one face in one image.
COUNTS = (
    'frames',
    'bad_frames',
    'frames_with_faces',
    'face_frames',
    'unknown',
    'flips',
    'face_s',
    'labelled',
    'matched',
    'missed',
    'switches',
    'tracks',
)

#: Published emotions.
WORDS = (*EMOTIONS, UNKNOWN)

_MOMENTS = ('n', 't', 'e', 'tt', 'ee', 'te', 'signed', 'same_sign')
_SIDES = ('valence', 'arousal')

_PLACES = {name: place for place, name in enumerate(COUNTS)}
_WORD = len(COUNTS)
_CONFUSION = _WORD + len(WORDS)
_AFFECT = _CONFUSION + len(EMOTIONS) * len(WORDS)
#: Length of a vector of sums.
LENGTH = _AFFECT + len(_MOMENTS) * len(_SIDES)

#: Figures with intervals, by which evaluations are compared: whether higher is better.
COMPARED = {
    'accuracy': True,
    'macro_f1': True,
    'macro_f1_all': True,
    'macro_recall': True,
    'kappa': True,
    'coverage': True,
    'unknown_share': False,
    'flips_per_minute': False,
    'ccc_valence': True,
    'ccc_arousal': True,
    'rmse_valence': False,
    'rmse_arousal': False,
}

#: Denominator of each of them in the sums: a part where it is 0 has no information about the figure.
_WEIGHTS = {
    **dict.fromkeys(('accuracy', 'macro_f1', 'macro_f1_all', 'macro_recall', 'kappa'), slice(_CONFUSION, _AFFECT)),
    'coverage': [_PLACES['frames']],
    'unknown_share': [_PLACES['face_frames']],
    'flips_per_minute': [_PLACES['face_s']],
    **dict.fromkeys(('ccc_valence', 'rmse_valence'), [_AFFECT]),
    **dict.fromkeys(('ccc_arousal', 'rmse_arousal'), [_AFFECT + len(_MOMENTS)]),
}

#: Ends of the figures' ranges other than 0 and 1.
_LEAST = dict.fromkeys(('kappa', 'ccc_valence', 'ccc_arousal'), -1.0)
_MOST = dict.fromkeys(('flips_per_minute', 'rmse_valence', 'rmse_arousal'), math.inf)

#: More parts hardly improve an interval, and each takes 0.2 ms.
_MOST_PARTS = 200


class SufficientStatistics:
    """Sums over one part of a recording: values, (LENGTH,) float64."""

    def __init__(self, values: Mapping[str, float] | None = None):
        """Start at zero, or restore the result of :meth:`sparse`."""
        self.values = np.zeros(LENGTH)
        for place, value in (values or {}).items():
            self.values[int(place)] = value

    def count(self, name: str, by: float = 1) -> None:
        """Increment one of COUNTS."""
        self.values[_PLACES[name]] += by

    def add_face(self, estimate: FaceEstimate, truth: GroundTruth | None) -> None:
        """Add one face of one image, with its ground truth or None."""
        word = WORDS.index(estimate.emotion)
        self.count('face_frames')
        self.count('unknown', estimate.emotion == UNKNOWN)
        self.values[_WORD + word] += 1
        if truth is None:
            return
        if truth.emotion:
            self.count('labelled')
            self.values[_CONFUSION + EMOTIONS.index(truth.emotion) * len(WORDS) + word] += 1
        for place, side in enumerate(_SIDES):
            t, e = getattr(truth, side), getattr(estimate, side)
            if t is not None:
                begin = _AFFECT + place * len(_MOMENTS)
                moments = (1, t, e, t * t, e * e, t * e, t != 0, t != 0 and np.sign(t) == np.sign(e))
                self.values[begin : begin + len(_MOMENTS)] += moments

    def sparse(self) -> dict[str, float]:
        """Return the values other than 0: {index as str: value}, whole numbers as int."""
        return {
            str(place): int(value) if float(value).is_integer() else round(float(value), 9)
            for place, value in enumerate(self.values)
            if value
        }


def add(parts: Iterable[SufficientStatistics]) -> SufficientStatistics:
    """Sum parts."""
    whole = SufficientStatistics()
    for part in parts:
        whole.values += part.values
    return whole


def totals_of(summary: Mapping[str, Any]) -> SufficientStatistics:
    """Sum all parts of an evaluation, from the content of summary.json."""
    cameras = (summary.get('stretches') or {}).values()
    return add(SufficientStatistics(sums) for stretches in cameras for sums in stretches['sums'].values())


def figures(values: np.ndarray) -> dict[str, Any]:
    """Compute the figures that need no ground truth.

    :param values: (LENGTH,) sums.
    :returns: JSON-compatible dict, None for undefined figures.
    """
    counts = {name: float(values[place]) for name, place in _PLACES.items()}
    return {
        **{name: int(counts[name]) for name in ('frames', 'bad_frames', 'frames_with_faces', 'face_frames')},
        'faces': int(counts['tracks']),
        'coverage': _share(counts['frames_with_faces'], counts['frames']),
        'unknown_share': _share(counts['unknown'], counts['face_frames']),
        'flips': int(counts['flips']),
        'flips_per_minute': _share(60 * counts['flips'], counts['face_s']),
        'id_switches': int(counts['switches']) if counts['matched'] else None,
        'emotions': {
            word: _share(float(count), counts['face_frames']) for word, count in zip(WORDS, values[_WORD:_CONFUSION])
        },
    }


def truth_figures(values: np.ndarray) -> dict[str, Any] | None:
    """Compute the figures against ground truth.

    :param values: (LENGTH,) sums.
    :returns: JSON-compatible dict, None for undefined figures: n (labelled face frames), answered (share of them with
        an emotion other than unknown), over these accuracy, macro_f1 (over the classes of the truth), macro_f1_all
        (also those of the estimates), macro_recall (UAR), kappa (Cohen's); right_of_all (accuracy with unknown counted
        as wrong), found (share of the annotated faces), confusion (8 x 8), recall, affect. None without ground truth.

    Source: see :mod:`facial_emotion_ros.core.metrics`.
    """
    counts = {name: float(values[place]) for name, place in _PLACES.items()}
    whole = values[_CONFUSION:_AFFECT].reshape(len(EMOTIONS), len(WORDS))
    matrix = whole[:, : len(EMOTIONS)]
    affect = {
        side: _affect_figures(values[_AFFECT + place * len(_MOMENTS) :][: len(_MOMENTS)])
        for place, side in enumerate(_SIDES)
    }
    if not counts['labelled'] and not any(each['n'] for each in affect.values()) and not counts['missed']:
        return None
    right, answered = float(np.trace(matrix)), float(matrix.sum())
    return {
        'n': int(counts['labelled']),
        'answered': _share(answered, counts['labelled']),
        'accuracy': _share(right, answered),
        'right_of_all': _share(right, counts['labelled']),
        'macro_f1': finite(metrics.macro_f1(matrix)),
        'macro_f1_all': finite(metrics.macro_f1_all(matrix)),
        'macro_recall': finite(metrics.macro_recall(matrix)),
        'kappa': finite(metrics.cohen_kappa(matrix)),
        'found': _share(counts['matched'], counts['matched'] + counts['missed']),
        'missed': int(counts['missed']),
        'confusion': [[int(count) for count in row] for row in matrix],
        'unknown': {emotion: int(row[-1]) for emotion, row in zip(EMOTIONS, whole)},
        'recall': {emotion: finite(recall) for emotion, recall in zip(EMOTIONS, metrics.recalls(matrix))},
        'affect': affect,
    }


def compared_figures(values: np.ndarray) -> dict[str, float | None]:
    """Compute the figures of COMPARED; None for undefined ones."""
    found = figures(values)
    truth = truth_figures(values)
    if truth:
        found.update(truth)
        found.update({f'{kind}_{side}': truth['affect'][side][kind] for kind in ('ccc', 'rmse') for side in _SIDES})
    return {name: found.get(name) for name in COMPARED}


class Estimate(NamedTuple):
    """Figures of COMPARED, or their changes, (12,) float64 each, NaN if undefined.

    values: over all parts; squared_errors: squared standard errors; counts: number of parts with information about the
    figure; freedom: degrees of freedom (effective number of equal parts less one, at least 1).
    """

    values: np.ndarray
    squared_errors: np.ndarray
    counts: np.ndarray
    freedom: np.ndarray


def estimate(*sides: Sequence[SufficientStatistics]) -> Estimate:
    """Estimate the figures of COMPARED with jackknife standard errors from independent parts.

    :param sides: the parts; for two sides, paired by index, the differences (second minus first) are estimated.
    :returns: estimates; squared errors are NaN if fewer than two parts have information about a figure.

    Source: delete-one jackknife (Tukey, Annals of Mathematical Statistics 1958; for stretches of time Künsch, Annals of
    Statistics 1989); effective number of parts by their weights: Kish, Survey Sampling, 1965.
    """
    totals, rest = np.zeros(len(COMPARED)), np.zeros((len(sides[0]), len(COMPARED)))
    weights = np.zeros_like(rest)
    for parts, sign in zip(sides[::-1], (1, -1)):
        values = np.array([part.values for part in parts]).reshape(-1, LENGTH)
        whole = values.sum(0)
        totals = totals + sign * _row(whole)
        rest = rest + sign * np.array([_row(whole - each) for each in values]).reshape(rest.shape)
        weights = weights + np.stack([values[:, _WEIGHTS[name]].sum(1) for name in COMPARED], 1)
    counts = (weights > 0).sum(0)
    known = np.where(weights > 0, rest, np.nan)
    with np.errstate(invalid='ignore', divide='ignore'):
        middle = np.where(weights > 0, rest, 0).sum(0) / counts
        squared = np.where(weights > 0, known - middle, 0) ** 2
        errors = np.where(counts > 1, squared.sum(0) * (counts - 1) / counts, np.nan)
        alike = weights.sum(0) ** 2 / (weights**2).sum(0)
    return Estimate(totals, errors, counts, np.fmax(alike - 1, 1.0))


def intervals(parts: Sequence[SufficientStatistics]) -> dict[str, list[float]]:
    """Compute the 95% interval of each figure of COMPARED, Student's t with the errors of :func:`estimate`.

    Consecutive images are correlated, so the parts are stretches of time or recordings, not images.

    :param parts: the parts; if there are more than 200, every 200th are merged.
    :returns: {figure: [low, high]}, clipped to the figure's range; without figures whose interval is undefined or has
        no width, as when all parts are equal.
    """
    found = estimate([add(parts[first::_MOST_PARTS]) for first in range(min(len(parts), _MOST_PARTS))])
    bounds = zip(*t_interval(found.values, found.squared_errors, found.freedom))
    return {
        name: [max(float(low), _LEAST.get(name, 0.0)), min(float(high), _MOST.get(name, 1.0))]
        for name, (low, high) in zip(COMPARED, bounds)
        if high - low > 1e-9
    }


def _row(values):
    """Return the figures of COMPARED, (12,) float64."""
    return np.array([np.nan if each is None else each for each in compared_figures(values).values()])


def _affect_figures(moments):
    count, t, e, tt, ee, te, signed, same = (float(each) for each in moments)
    found = {'n': int(count), 'rmse': None, 'pcc': None, 'ccc': None, 'sagr': _share(same, signed)}
    if count:
        found['rmse'] = math.sqrt(max(tt - 2 * te + ee, 0.0) / count)
        t_mean, e_mean = t / count, e / count
        t_variance = max(tt / count - t_mean**2, 0.0)
        e_variance = max(ee / count - e_mean**2, 0.0)
        covariance = te / count - t_mean * e_mean
        # The variance of a constant is not exactly 0 due to rounding.
        if t_variance > 1e-12 and e_variance > 1e-12:
            found['pcc'] = covariance / math.sqrt(t_variance * e_variance)
        scale = t_variance + e_variance + (t_mean - e_mean) ** 2
        if scale > 1e-12:
            found['ccc'] = 2 * covariance / scale
    return found


def _share(part, whole):
    return part / whole if whole else None


def finite(value: float) -> float | None:
    """Return a figure as float, or None if it is not finite."""
    return float(value) if np.isfinite(value) else None
