"""What an invented network says of invented faces, whose scores are true at a temperature that the test knows."""

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.ensemble import OperatingPoint, branch_scores
from facial_emotion_ros.evaluation.predictions import DatasetPredictions
from facial_emotion_ros.training.data.face_set import affect_of


def invented_reading(count=3000, branches=3, temperature=1.0, frequencies=None, seed=0, spread=0.5):
    """Draw logits, and labels from the scores that they would have at a temperature.

    :param count: number of faces.
    :param branches: B.
    :param temperature: at which the mean of the branches' scores is how often each class really occurs.
    :param frequencies: (8,) how often each class occurs; None for all alike.
    :param seed: of the draws.
    :param spread: how far the branches differ.
    :returns: DatasetPredictions whose affect is derived from votes.
    """
    generator = np.random.default_rng(seed)
    frequencies = np.full(8, 1 / 8) if frequencies is None else np.asarray(frequencies) / np.sum(frequencies)
    likely = generator.choice(8, count, p=frequencies)
    common = generator.normal(size=(count, 1, 8)) + np.log(frequencies)
    common[np.arange(count), 0, likely] += generator.uniform(0, 6, count)
    logits = (common + spread * generator.normal(size=(count, branches, 8))) * temperature
    scores = branch_scores(logits, OperatingPoint(temperature=temperature)).mean(1)
    labels = (scores.cumsum(1) > generator.random((count, 1)) * scores.sum(1, keepdims=True)).argmax(1)
    truth = affect_of(np.eye(8, dtype=np.float32)[labels])
    affect = truth[:, None] + 0.2 * generator.normal(size=(count, branches, 2))
    names = np.array([f'{row:05d}.png' for row in range(count)])
    return DatasetPredictions(
        names, labels, truth, 'derived from votes', logits.astype(np.float32), affect.astype(np.float32)
    )


def described(figures, name='esr_3_invented'):
    """Add to figures what the evaluate command adds: where they come from."""
    return dict(
        figures,
        bundle={'name': name, 'version': '1.2.3', 'sha256': 'ab' * 32},
        calibration={'operating_point': '', 'temperature': 2.0, 'offsets': None},
        dataset={
            'name': 'invented faces',
            'file': 'invented.npz',
            'faces': figures['n'],
            'labelled': figures['n'],
            'damaged': 0,
        },
        command='evaluate --dataset invented.npz',
        provider='CPUExecutionProvider',
        made='2026-01-02T03:04:05Z',
        versions={'python': '3.12', 'numpy': '2.0'},
    )


#: Frequencies like FER+'s, in the order of EMOTIONS.
FREQUENCIES = dict(zip(EMOTIONS, (8733, 7284, 3022, 3136, 536, 116, 2098, 120)))
