"""Ground truth of several raters: majority vote, inter-rater agreement, and our agreement with each rater."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.recordings.evaluation.annotation_files import ENDINGS, GroundTruth
from facial_emotion_ros.recordings.evaluation.ground_truth import NullGroundTruth
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    SufficientStatistics,
    add,
    finite,
    truth_figures,
)
from facial_emotion_ros.recordings.io.frames import Frame

_SIDES = ('valence', 'arousal')


class Raters(NullGroundTruth):
    """Ground truth of several raters: the emotion of more than half of them, the mean of their valence and arousal."""

    def __init__(self, names: Sequence[str], truths: Sequence[NullGroundTruth]):
        """Combine ground truths.

        :param names: names of the raters.
        :param truths: ground truth of each.
        """
        self.names, self._truths = list(names), truths
        self.source = 'the majority of ' + ', '.join(self.names)
        self.has_boxes = any(each.has_boxes for each in truths)
        self.counts_from_an_image = any(each.counts_from_an_image for each in truths)

    def of(self, frame: Frame, time_s: float, faces: Sequence[FaceEstimate]) -> tuple[list[GroundTruth | None], int]:
        """See NullGroundTruth; each GroundTruth holds the `votes` of all raters."""
        answers = [each.of(frame, time_s, faces) for each in self._truths]
        votes = zip(*(found for found, _ in answers))
        return [_majority(each) for each in votes], max(missed for _, missed in answers)  # raters without boxes miss 0

    def matched(self, found: Sequence[GroundTruth | None]) -> int | None:
        """See NullGroundTruth; by the raters with boxes."""
        boxes = [place for place, each in enumerate(self._truths) if each.has_boxes]
        seen = (each is not None and any(each.votes[place] is not None for place in boxes) for each in found)
        return sum(seen) if boxes else None

    def unused(self) -> str:
        """See NullGroundTruth."""
        return '; '.join(filter(None, (each.unused() for each in self._truths)))

    def beyond(self, length_s: float) -> str:
        """See NullGroundTruth."""
        return '; '.join(filter(None, (each.beyond(length_s) for each in self._truths)))


class RaterSums:
    """Sufficient statistics of inter-rater agreement, and of ours with each rater; additive over recordings."""

    def __init__(self, names: Sequence[str], sums: Mapping[str, Any] | None = None):
        """Start at zero, or restore `sums` of :meth:`figures`.

        :param names: names of the raters.
        :param sums: of one recording.
        """
        self.names, count = list(names), len(names)
        self._labels: Counter[tuple[int, ...]] = Counter()
        self._moments: dict[str, np.ndarray] = {side: np.zeros(3 + count) for side in _SIDES}
        self._against = [SufficientStatistics() for _ in names]
        if sums:
            self._labels.update({tuple(labels): number for *labels, number in sums['labels']})
            self._moments = {side: np.array(sums[side], np.float64) for side in _SIDES}
            self._against = [SufficientStatistics(each) for each in sums['against']]

    def add(self, estimate: FaceEstimate, votes: Sequence[GroundTruth | None]) -> None:
        """Add one face of one image."""
        self._labels[tuple(EMOTIONS.index(vote.emotion) if vote and vote.emotion else -1 for vote in votes)] += 1
        for side in _SIDES:
            values = [getattr(vote, side) for vote in votes if vote is not None]
            if len(values) == len(votes) and None not in values:
                row = np.array(values)
                self._moments[side] += [1, (row**2).sum(), row.sum() ** 2, *row]
        for sums, vote in zip(self._against, votes):
            if vote is not None:
                sums.add_face(estimate, vote)

    def merge(self, other: 'RaterSums') -> None:
        """Add the sums of another recording with the same raters."""
        self._labels.update(other._labels)
        self._moments = {side: self._moments[side] + other._moments[side] for side in _SIDES}
        self._against = [add(pair) for pair in zip(self._against, other._against)]

    def figures(self) -> dict[str, Any]:
        """Compute the agreement.

        :returns: JSON-compatible dict, None for undefined figures: names; n (faces in images labelled by all raters)
            and, for these, alike (share with the same label by all), cohen_kappa ({'a / b': value} of each pair),
            fleiss_kappa (None for two raters); no_majority (faces in images with labels, but no label by more than half
            of the raters); icc ({side: {'n', 'icc'}} of faces rated by all); against ({name: truth_figures of ours});
            sums.
        """
        whole = {key: number for key, number in self._labels.items() if -1 not in key}
        labels = np.array(list(whole), int).reshape(len(whole), len(self.names))
        numbers = np.array(list(whole.values()), np.float64)
        counts = (labels[:, :, None] == np.arange(len(EMOTIONS))).sum(1)
        is_alike = (counts == len(self.names)).any(1)
        return {
            'names': self.names,
            'n': int(numbers.sum()),
            'alike': float(numbers[is_alike].sum() / numbers.sum()) if whole else None,
            'cohen_kappa': {
                f'{self.names[one]} / {self.names[two]}': finite(
                    metrics.cohen_kappa(_confusion(labels[:, one], labels[:, two], numbers))
                )
                for one, two in combinations(range(len(self.names)), 2)
            },
            'fleiss_kappa': finite(fleiss_kappa(counts, numbers)) if len(self.names) > 2 else None,
            'no_majority': sum(
                number for key, number in self._labels.items() if max(key) >= 0 and _of_most(key, -1) == -1
            ),
            'icc': {
                side: {'n': int(self._moments[side][0]), 'icc': finite(_icc(self._moments[side]))} for side in _SIDES
            },
            'against': {name: truth_figures(each.values) for name, each in zip(self.names, self._against)},
            'sums': {
                'labels': [[*key, number] for key, number in sorted(self._labels.items())],
                **{side: self._moments[side].tolist() for side in _SIDES},
                'against': [each.sparse() for each in self._against],
            },
        }


def pooled_raters(blocks: Iterable[Mapping[str, Any] | None], alone: int = 0) -> dict[str, Any] | None:
    """Pool the blocks `raters` of several recordings.

    :param blocks: results of :meth:`RaterSums.figures`, None for recordings without.
    :param alone: number of recordings with a single rater.
    :returns: the same over the recordings of the most frequent group of raters, and left_out: [[names, number of
        recordings]] of other groups; None if no recording has several raters.
    """
    known = [block for block in blocks if block]
    if not known:
        return None
    groups = Counter(tuple(block['names']) for block in known)
    names = max(groups, key=lambda each: (groups[each], len(each)))
    whole = RaterSums(names)
    for block in known:
        if tuple(block['names']) == names:
            whole.merge(RaterSums(names, block['sums']))
    left_out = [[list(each), count] for each, count in groups.items() if each != names]
    return dict(whole.figures(), left_out=left_out + ([[['a single rater'], alone]] if alone else []))


def fleiss_kappa(counts: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Compute Fleiss' kappa.

    :param counts: (N, K) number of raters per case and class; each row sums to the number of raters.
    :param weights: (N,) frequency of each row; None for 1.
    :returns: at most 1, 0 for chance; NaN if all labels are of one class, or there are none.

    Source: Fleiss, Psychological Bulletin 1971, equations 1 to 7.
    """
    counts = np.asarray(counts, np.float64)
    weights = np.ones(len(counts)) if weights is None else np.asarray(weights, np.float64)
    if not weights.sum():
        return float('nan')
    raters = counts[0].sum()
    observed = np.average((counts**2).sum(1) - raters, weights=weights) / (raters * (raters - 1))
    by_chance = float((np.average(counts / raters, axis=0, weights=weights) ** 2).sum())
    return float((observed - by_chance) / (1 - by_chance)) if by_chance < 1 else float('nan')


def names_of(texts: Sequence[str]) -> list[str]:
    """Name raters by what differs in their paths or topics: ann and bob for truths/ann/p0.csv and truths/bob/p0.csv."""
    parts = [_without_ending(text).replace('#', '/').strip('/').split('/') for text in texts]
    while min(map(len, parts)) > 1 and len({each[0] for each in parts}) == 1:
        parts = [each[1:] for each in parts]
    if min(map(len, parts)) > 1 and len({each[0] for each in parts}) == len(parts):
        parts = [each[:1] for each in parts]  # one folder per rater
    names = ['/'.join(each) for each in parts]
    return [f'{name} ({place})' if names.count(name) > 1 else name for place, name in enumerate(names, 1)]


def _without_ending(text):
    return next((text[: -len(each)] for each in ENDINGS if text.lower().endswith(each)), text)


def _majority(votes):
    if not any(votes):
        return None
    known = [vote for vote in votes if vote is not None]
    emotion = _of_most([vote.emotion if vote else '' for vote in votes], '')
    rated = {side: [value for vote in known if (value := getattr(vote, side)) is not None] for side in _SIDES}
    affect = {side: float(np.mean(each)) for side, each in rated.items() if 2 * len(each) > len(votes)}
    person = next((vote.person for vote in known if vote.person), '')
    return GroundTruth(emotion, affect.get('valence'), affect.get('arousal'), person, tuple(votes))


def _of_most(labels, none):
    """Return the label given by more than half of the raters, else `none`, which also stands for no label."""
    label, count = Counter(labels).most_common(1)[0]
    return label if 2 * count > len(labels) else none


def _confusion(one, two, numbers):
    matrix = np.zeros((len(EMOTIONS), len(EMOTIONS)))
    np.add.at(matrix, (one, two), numbers)
    return matrix


def _icc(moments):
    """Compute ICC(2,1): two-way random effects, absolute agreement, single rater.

    :param moments: number of cases, sum of squares, sum of the cases' squared sums, and each rater's sum.
    :returns: at most 1; NaN for fewer than two cases, or if nothing varies.

    Source: Shrout and Fleiss, Psychological Bulletin 1979, table 4 and formula of ICC(2,1).
    """
    n, squares, of_cases, *sums = (float(each) for each in moments)
    k, total = len(sums), sum(sums)
    if n < 2:
        return float('nan')
    middle = total**2 / (n * k)
    between_cases, between_raters = of_cases / k - middle, sum(each**2 for each in sums) / n - middle
    error = (squares - middle - between_cases - between_raters) / ((n - 1) * (k - 1))
    cases, raters = between_cases / (n - 1), between_raters / (k - 1)
    scale = cases + (k - 1) * error + k * (raters - error) / n
    return (cases - error) / scale if scale > 1e-12 else float('nan')
