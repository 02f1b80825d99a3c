"""Sums over a recording from which all its figures follow: sums of parts add up, so parts can be resampled."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.evaluation.intervals import RESAMPLES, percentile_interval, resample
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth

#: What is counted. A face frame is one face in one image.
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

#: Words of the estimates.
WORDS = (*EMOTIONS, UNKNOWN)

_MOMENTS = ('n', 't', 'e', 'tt', 'ee', 'te', 'signed', 'same_sign')
_SIDES = ('valence', 'arousal')

_PLACES = {name: place for place, name in enumerate(COUNTS)}
_WORD = len(COUNTS)
_CONFUSION = _WORD + len(WORDS)
_AFFECT = _CONFUSION + len(EMOTIONS) * len(WORDS)
#: Length of a vector of sums.
LENGTH = _AFFECT + len(_MOMENTS) * len(_SIDES)

#: Figures that have intervals and that evaluations are compared by: whether more is better.
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


class SufficientStatistics:
    """Sums of one part of a recording: values, (LENGTH,) float64."""

    def __init__(self, values: Mapping[str, float] | None = None):
        """Begin at zero, or with what :meth:`sparse` gave."""
        self.values = np.zeros(LENGTH)
        for place, value in (values or {}).items():
            self.values[int(place)] = value

    def count(self, name: str, by: float = 1) -> None:
        """Count one of COUNTS."""
        self.values[_PLACES[name]] += by

    def add_face(self, estimate: FaceEstimate, truth: GroundTruth | None) -> None:
        """Add one face of one image, and its ground truth where that is known."""
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
        """Give the values other than 0: {place as text: number}, whole numbers as int."""
        return {
            str(place): int(value) if float(value).is_integer() else round(float(value), 9)
            for place, value in enumerate(self.values)
            if value
        }


def add(parts: Iterable[SufficientStatistics]) -> SufficientStatistics:
    """Add parts up."""
    whole = SufficientStatistics()
    for part in parts:
        whole.values += part.values
    return whole


def totals_of(summary: Mapping[str, Any]) -> SufficientStatistics:
    """Add up the sums of a whole evaluation, as summary.json holds them."""
    cameras = (summary.get('stretches') or {}).values()
    return add(SufficientStatistics(sums) for stretches in cameras for sums in stretches['sums'].values())


def figures(values: np.ndarray) -> dict[str, Any]:
    """Compute the figures that need no ground truth.

    :param values: (LENGTH,) sums.
    :returns: dict that JSON can hold; None where there is nothing to divide by.
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
    :returns: dict that JSON can hold, None for a figure that is not defined: n (labelled face frames), answered (share
        of them with an emotion other than unknown), and of those accuracy, macro_f1 (over the classes of the truth),
        macro_f1_all (and of the estimates), macro_recall (UAR), kappa (Cohen's); right_of_all (unknown counts as
        wrong), found (share of the annotated faces that were found), confusion (8 x 8), recall, affect. None without
        any ground truth.

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
        'macro_f1': _number(metrics.macro_f1(matrix)),
        'macro_f1_all': _number(metrics.macro_f1_all(matrix)),
        'macro_recall': _number(metrics.macro_recall(matrix)),
        'kappa': _number(metrics.cohen_kappa(matrix)),
        'found': _share(counts['matched'], counts['matched'] + counts['missed']),
        'missed': int(counts['missed']),
        'confusion': [[int(count) for count in row] for row in matrix],
        'unknown': {emotion: int(row[-1]) for emotion, row in zip(EMOTIONS, whole)},
        'recall': {emotion: _number(recall) for emotion, recall in zip(EMOTIONS, metrics.recalls(matrix))},
        'affect': affect,
    }


def compared_figures(values: np.ndarray) -> dict[str, float | None]:
    """Compute the figures of COMPARED, None for one that is not defined."""
    found = figures(values)
    truth = truth_figures(values)
    if truth:
        found.update(truth)
        found.update({f'{kind}_{side}': truth['affect'][side][kind] for kind in ('ccc', 'rmse') for side in _SIDES})
    return {name: found.get(name) for name in COMPARED}


def intervals(parts: Sequence[SufficientStatistics]) -> dict[str, list[float]]:
    """Compute the 95% interval of each figure of COMPARED, for other stretches of the same kind.

    Consecutive images are alike, so stretches of time are resampled, not images.

    :param parts: one a stretch.
    :returns: [low, high] of each; a figure without an interval is left out.

    Source: Künsch, Annals of Statistics 1989 (block bootstrap), with percentile intervals.
    """
    drawn = [compared_figures(row) for row in resampled_sums(parts)]
    found = {}
    for name in COMPARED:
        low, high = percentile_interval([np.nan if (value := each[name]) is None else value for each in drawn])
        if np.isfinite(low):
            found[name] = [low, high]
    return found


def resampled_sums(parts: Sequence[SufficientStatistics], seed: int = 0) -> np.ndarray:
    """Resample parts with replacement, and add each resample up.

    :param parts: one a stretch.
    :param seed: of the resampling.
    :returns: (RESAMPLES, LENGTH) sums; no rows for fewer than two parts.
    """
    if len(parts) < 2:
        return np.empty((0, LENGTH))
    values = np.stack([part.values for part in parts])
    # One by one: the counts of all resamples of ten thousand parts would take 160 MB.
    drawn = resample(len(parts), RESAMPLES, seed)
    return np.stack([np.bincount(rows, minlength=len(parts)).astype(float) @ values for rows in drawn])


def _affect_figures(moments):
    count, t, e, tt, ee, te, signed, same = (float(each) for each in moments)
    found = {'n': int(count), 'rmse': None, 'pcc': None, 'ccc': None, 'sagr': _share(same, signed)}
    if count:
        found['rmse'] = math.sqrt(max(tt - 2 * te + ee, 0.0) / count)
        t_mean, e_mean = t / count, e / count
        t_variance = max(tt / count - t_mean**2, 0.0)
        e_variance = max(ee / count - e_mean**2, 0.0)
        covariance = te / count - t_mean * e_mean
        # What is left of a constant's variance is rounding.
        if t_variance > 1e-12 and e_variance > 1e-12:
            found['pcc'] = covariance / math.sqrt(t_variance * e_variance)
        scale = t_variance + e_variance + (t_mean - e_mean) ** 2
        if scale > 1e-12:
            found['ccc'] = 2 * covariance / scale
    return found


def _share(part, whole):
    return part / whole if whole else None


def _number(value):
    return float(value) if np.isfinite(value) else None
