"""Operating points that are fitted, on faces whose true scores are known."""

import numpy as np
import pytest
from invented_reading import FREQUENCIES, invented_reading

from facial_emotion_ros.core import metrics
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.emotion.ensemble import UNCALIBRATED, OperatingPoint, combine
from facial_emotion_ros.evaluation import calibration

COUNTS = np.array(list(FREQUENCIES.values()), np.float64)
PRIOR = COUNTS / COUNTS.sum()


@pytest.mark.parametrize('temperature', [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_is_found_when_scores_are_true_at_one(temperature):
    reading = invented_reading(temperature=temperature)
    assert calibration.fit_temperature(reading.logits, reading.labels) == pytest.approx(temperature, rel=0.1)


def test_other_faces_are_calibrated_when_the_temperature_was_fitted_on_held_out_ones():
    dev, valid = invented_reading(temperature=2.5), invented_reading(temperature=2.5, seed=1)
    found = calibration.calibrate(dev, np.full(8, 0.125), {'plain': 0})
    errors = []
    for point in (UNCALIBRATED, found.points['plain']):
        scores = calibration.pooled_scores(valid.logits, point)
        errors.append(metrics.expected_calibration_error(scores.max(1), scores.argmax(1) == valid.labels))
    assert errors[0] > 0.1 and errors[1] <= 0.03 and found.n == 3000
    assert found.after['plain']['ece'] < found.before['ece'] and found.after['plain']['nll'] < found.before['nll']


def test_no_temperature_does_better_than_the_one_that_is_found():
    reading = invented_reading(count=500, temperature=1.7, seed=2)
    found = calibration.fit_temperature(reading.logits, reading.labels)
    costs = [
        metrics.negative_log_likelihood(
            calibration.pooled_scores(reading.logits, OperatingPoint(temperature=found * factor)), reading.labels
        )
        for factor in (1.0, 0.5, 0.9, 0.97, 1.03, 1.1, 2.0)
    ]
    assert min(costs) == costs[0]


def test_it_ends_at_the_bound_when_no_temperature_fits():
    reading = invented_reading(count=200)
    always_right = np.where(np.arange(8) == reading.labels[:, None, None], 5.0, 0.0) * np.ones((200, 3, 8))
    found = calibration.fit_temperature(always_right, reading.labels)
    assert found == pytest.approx(calibration.TEMPERATURES[0], rel=0.5)


def test_too_few_faces_are_refused():
    reading = invented_reading(count=99)
    with pytest.raises(BadDataset, match='at least 100 .* got 99'):
        calibration.fit_temperature(reading.logits, reading.labels)


def test_each_point_has_a_temperature_that_is_true_for_the_frequencies_it_stands_for():
    reading = invented_reading(count=2500, frequencies=COUNTS, temperature=2.0, seed=3)
    found = calibration.calibrate(reading, PRIOR, {'balanced': 0.5, 'uniform': 1.0, 'trained': 0.0})
    assert list(found.points) == ['balanced', 'uniform', 'trained']
    # Scores are true at one temperature, and stay so under Bayes' rule: each point finds that one again.
    for point in found.points.values():
        assert point.temperature == pytest.approx(2.0, rel=0.15), point.name
    np.testing.assert_allclose(found.points['uniform'].class_weights, 1 / PRIOR)
    assert found.points['trained'].class_weights is None
    recall = {name: each['macro_recall'] for name, each in found.after.items()}
    assert recall['trained'] < recall['balanced'] < recall['uniform']


def test_bounds_turn_away_the_same_share_of_held_out_faces_at_each_point():
    reading = invented_reading(count=3000, frequencies=COUNTS, seed=4)
    for point in calibration.calibrate(reading, PRIOR, {'balanced': 0.5, 'trained': 0.0}).points.values():
        scores = combine(reading.logits, reading.affect, point)
        for bound, values in ((point.min_confidence, scores.scores.max(1)), (point.min_agreement, scores.agreement)):
            assert 0.01 < (values < bound).mean() < 0.04


def test_a_class_that_does_not_occur_in_training_is_refused():
    prior = np.where(np.arange(8) == EMOTIONS.index('contempt'), 0.0, PRIOR)
    with pytest.raises(BadDataset, match='every class'):
        calibration.calibrate(invented_reading(count=200), prior, {'balanced': 0.5})
