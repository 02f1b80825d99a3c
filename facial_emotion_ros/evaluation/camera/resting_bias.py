"""Evaluates the correction of a face's resting bias on simulated persons with scores of real faces.

A simulated person shows one neutral picture most of the time and pictures of expressions in between. The person's bias
and noise are added to the logarithms of the scores.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.estimates import EmotionPrediction
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.emotion.temporal_filter import TemporalFilter
from facial_emotion_ros.evaluation.calibration import pooled_scores
from facial_emotion_ros.evaluation.predictions import read_faces
from facial_emotion_ros.training.data.face_set import FaceSet

#: Images per second; alternating periods at rest and with an expression, in seconds.
RATE_HZ, REST_S, EXPRESSION_S = 2.0, 14.0, 6.0
#: Duration in seconds; only the second half is evaluated.
LENGTH_S = 300.0
#: Standard deviation of the noise of each frame, of the logarithms of the scores.
NOISE = 0.25
#: Bias of the log score of a random class of each person.
BIASES = (0.0, 1.0, 2.0, 3.0)
#: Time constants to compare, in seconds; 0 is no correction.
CONSTANTS_S = (0.0, 60.0)
#: Maximum number of faces per class that are shown for ten minutes.
HELD = 100


class Shares(NamedTuple):
    """Accuracy at rest, and with expressions (mean over the classes)."""

    rest: float
    expressions: float


def read(engine: EsrEngine, face_set: FaceSet) -> tuple[np.ndarray, np.ndarray]:
    """Estimate a set of faces.

    :returns: (N, 8) scores at the engine's operating point, and (N,) labels, of the labelled faces.
    :raises BadDataset: if no face has a label.
    """
    labelled = read_faces(engine, face_set).labelled()
    return pooled_scores(labelled.logits, engine.point), labelled.labels


def lines(scores: np.ndarray, labels: np.ndarray, persons: int = 150, seed: int = 0) -> Iterator[str]:
    """Yield the lines of a table of the correction's effect.

    :param scores, labels: from :func:`read`.
    :param persons: number of simulated persons per line.
    :param seed: seed of the simulation.
    """
    yield 'constant   bias   right at rest   right with an expression (mean of the classes)'
    for constant_s in CONSTANTS_S:
        for bias in BIASES:
            shares = simulate(scores, labels, bias, constant_s, persons, seed)
            yield f'{constant_s:6g} s   {bias:4.1f}   {100 * shares.rest:12.1f}%   {100 * shares.expressions:12.1f}%'
    yield 'ten minutes of one expression that was right at first: still right, neutral'
    for number, emotion in list(enumerate(EMOTIONS))[1:]:
        shown = np.flatnonzero((labels == number) & (scores.argmax(1) == number))
        words = [
            last
            for first, last in (
                hold(scores[row], 60.0, seed=row) for row in np.random.default_rng(seed).permutation(shown)[:HELD]
            )
            if first == emotion
        ]
        if words:
            kept, neutral = (100 * words.count(word) / len(words) for word in (emotion, EMOTIONS[0]))
            yield f'{emotion:9} {kept:5.1f}%   {neutral:5.1f}%   of {len(words)}'


def simulate(
    scores: np.ndarray, labels: np.ndarray, bias: float, personal_neutral_s: float, persons: int = 150, seed: int = 0
) -> Shares:
    """Simulate persons.

    :param scores: (N, 8) scores of pictures.
    :param labels: (N,) their classes.
    :param bias: added to the log score of a random class of each person.
    :param personal_neutral_s: see TemporalFilter.
    :param persons: number of persons.
    :param seed: seed of the simulation.
    """
    generator, neutral = np.random.default_rng(seed), EMOTIONS.index('neutral')
    classes = [each for each in np.unique(labels) if each != neutral]
    right = np.zeros((len(EMOTIONS), 2))
    for _ in range(persons):
        added = bias * np.eye(len(EMOTIONS))[generator.integers(1, len(EMOTIONS))]
        resting = generator.choice(np.flatnonzero(labels == neutral))
        smoothing, shown = TemporalFilter(personal_neutral_s=personal_neutral_s), resting
        for step in range(int(LENGTH_S * RATE_HZ)):
            time_s = step / RATE_HZ
            if step % int((REST_S + EXPRESSION_S) * RATE_HZ) == 0:
                shown = resting
            elif step % int((REST_S + EXPRESSION_S) * RATE_HZ) == int(REST_S * RATE_HZ):
                shown = generator.choice(np.flatnonzero(labels == generator.choice(classes)))
            raw = prediction(scores[shown], added + generator.normal(0, NOISE, 8))
            smooth, _ = smoothing.smooth('face', raw, (), time_s)
            if time_s >= LENGTH_S / 2:
                right[labels[shown]] += smooth.emotion == EMOTIONS[labels[shown]], 1
    shares = right[:, 0] / np.maximum(right[:, 1], 1)
    return Shares(shares[neutral], shares[classes].mean())


def hold(scores: np.ndarray, personal_neutral_s: float, seed: int = 0) -> tuple[str, str]:
    """Show one face for ten minutes.

    :param scores: (8,) scores of the picture.
    :param personal_neutral_s: see TemporalFilter.
    :param seed: seed of the noise.
    :returns: emotion after one second, and at the end.
    """
    generator, smoothing = np.random.default_rng(seed), TemporalFilter(personal_neutral_s=personal_neutral_s)
    words = [
        smoothing.smooth('face', prediction(scores, generator.normal(0, NOISE, 8)), (), step / RATE_HZ)[0].emotion
        for step in range(int(600 * RATE_HZ))
    ]
    return words[int(RATE_HZ)], words[-1]


def prediction(scores: np.ndarray, added: np.ndarray) -> EmotionPrediction:
    """Make a prediction from (8,) scores, with `added` (8,) added to their logarithms."""
    shifted = np.maximum(scores, 1e-6) * np.exp(added)
    shifted = shifted / shifted.sum()
    best = int(shifted.argmax())
    return EmotionPrediction(EMOTIONS[best], dict(zip(EMOTIONS, shifted.tolist())), 0.0, 0.0, float(shifted[best]), 1.0)
