"""How often the 95% intervals of a batch's pooled figures hold the truth, over simulated recordings.

    python test/interval_coverage.py

Recordings differ in their accuracy, in what they show, in how often the word changes, in bias and scale of the valence,
and, in the second table, in length. The truth are the figures of 20,000 of them. The last table is how often
`--compare` finds any difference where there is none: between two recordings, and two evaluations of one, of so many
stretches of time.
"""

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.recordings.evaluation.compare import ALIKE, compare
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    SufficientStatistics,
    add,
    compared_figures,
    intervals,
)

FIGURES = 'accuracy', 'macro_f1', 'macro_recall', 'kappa', 'coverage', 'flips_per_minute', 'ccc_valence', 'rmse_valence'
COUNTS = {2: 1500, 3: 1500, 5: 1000, 10: 600, 30: 300}
_MIX = 12 * np.array([0.3, 0.25, 0.1, 0.1, 0.1, 0.05, 0.06, 0.04])


class Seen:
    """An estimate as far as sums are made of it."""

    def __init__(self, emotion, valence):
        self.emotion, self.valence, self.arousal = emotion, valence, 0.0


def recording(generator, spread):
    """Draw the sums of one recording; its length varies by the factor exp(spread)."""
    count = 2 + int(80 * np.exp(spread * generator.normal() - spread**2 / 2))
    true = generator.choice(len(EMOTIONS), count, p=generator.dirichlet(_MIX))
    is_right = generator.random(count) < 1 / (1 + np.exp(-0.6 - 0.8 * generator.normal()))
    told = np.where(is_right, true, (true + generator.integers(1, len(EMOTIONS), count)) % len(EMOTIONS))
    valences = np.clip(0.3 * generator.normal() + 0.3 * generator.normal(size=count), -1, 1)
    values = 0.15 * generator.normal() + (0.5 + 0.2 * generator.normal()) * valences + generator.normal(0, 0.2, count)
    sums = SufficientStatistics()
    for truth, estimate, *pair in zip(true, told, valences, values):
        sums.add_face(Seen(EMOTIONS[estimate], pair[1]), GroundTruth(EMOTIONS[truth], pair[0]))
    sums.count('frames', count)
    sums.count('frames_with_faces', count * generator.beta(8, 2))
    sums.count('face_s', count)
    sums.count('flips', generator.poisson(count * generator.gamma(2, 0.05)))
    return sums


def main():
    """Print a table for recordings of one length, one for others, and one of false alarms."""
    for spread in (0.0, 0.7):
        generator = np.random.default_rng(0)
        truth = compared_figures(add(recording(generator, spread) for _ in range(20_000)).values)
        print(f'\nlengths vary by the factor {np.exp(spread):.1f}\nrecordings', *FIGURES)
        for count, draws in COUNTS.items():
            held = {name: [] for name in FIGURES}
            for _ in range(draws):
                for name, (low, high) in intervals([recording(generator, spread) for _ in range(count)]).items():
                    if name in held:
                        held[name].append(low <= truth[name] <= high)
            print(count, *(f'{np.mean(each):.0%}' for each in held.values()), sep='  ', flush=True)
    generator = np.random.default_rng(0)
    print('\nstretches, differences of two recordings, of two evaluations')
    for count, draws in COUNTS.items():
        alarms = [0, 0]
        for _ in range(draws // 3):
            pair = [[recording(generator, 0.0).sparse() for _ in range(count)] for _ in range(2)]
            for place, names in enumerate(('ab', 'aa')):
                before, now = (
                    {'bag': {'sha256': name}, 'stretches': {'/camera': {'seconds': 2.0, 'sums': dict(enumerate(sums))}}}
                    for name, sums in zip(names, pair)
                )
                alarms[place] += any(change.verdict != ALIKE for change in compare(before, now))
        print(count, *(f'{each / (draws // 3):.1%}' for each in alarms), sep='  ', flush=True)


if __name__ == '__main__':
    main()
