"""Temperature and offsets, on faces whose true scores are known."""

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed: it is needed for training and evaluation only')

from invented_reading import FREQUENCIES, invented_reading  # noqa: E402

from facial_emotion_ros import metrics  # noqa: E402
from facial_emotion_ros.emotions import EMOTIONS  # noqa: E402
from facial_emotion_ros.ensemble import branch_scores  # noqa: E402
from facial_emotion_ros.errors import BadDataset, BadParameter  # noqa: E402
from facial_emotion_ros.evaluation import calibration  # noqa: E402

COUNTS = list(FREQUENCIES.values())


@pytest.mark.parametrize('temperature', [0.3, 1.0, 2.5, 8.0])
def test_the_temperature_is_found_when_scores_are_true_at_one(temperature):
    reading = invented_reading(temperature=temperature)
    assert calibration.fit_temperature(reading.logits, reading.labels) == pytest.approx(temperature, rel=0.1)


def test_other_faces_are_calibrated_when_the_temperature_was_fitted_on_held_out_ones():
    dev, valid = invented_reading(temperature=2.5), invented_reading(temperature=2.5, seed=1)
    found = calibration.calibrate(dev.logits, dev.labels)
    errors = []
    for temperature in (1.0, found.temperature):
        scores = calibration.pooled_scores(valid.logits, temperature)
        is_right = scores.argmax(1) == valid.labels
        errors.append(metrics.expected_calibration_error(scores.max(1), is_right))
    assert errors[0] > 0.1 and errors[1] <= 0.03
    assert found.offsets is None and found.strength == 0 and found.n == 3000
    assert found.after['ece'] < found.before['ece'] and found.after['nll'] < found.before['nll']


def test_no_temperature_does_better_than_the_one_that_is_found():
    reading = invented_reading(count=500, temperature=1.7, seed=2)
    found = calibration.fit_temperature(reading.logits, reading.labels)
    costs = [metrics.negative_log_likelihood(calibration.pooled_scores(reading.logits, found * factor), reading.labels)
             for factor in (1.0, 0.5, 0.9, 0.97, 1.03, 1.1, 2.0)]
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


def test_offsets_are_the_negative_logarithms_of_frequencies_times_the_strength():
    offsets = calibration.frequency_offsets(COUNTS, 0.5)
    assert offsets[0] == 0 and (offsets >= 0).all()
    assert offsets[EMOTIONS.index('disgust')] == pytest.approx(0.5 * np.log(8733 / 116))
    assert not calibration.frequency_offsets(COUNTS, 0).any()
    with pytest.raises(BadDataset, match='every class'):
        calibration.frequency_offsets([5, 4, 3, 2, 1, 0, 1, 1], 0.5)


@pytest.mark.parametrize('cost', [0.0, 0.005, 0.02])
def test_rare_classes_gain_and_no_more_accuracy_is_lost_than_allowed(cost):
    counts = [400, 300, 100, 100, 40, 30, 80, 30]
    reading = invented_reading(count=3000, frequencies=counts, seed=3)
    strength = calibration.choose_strength(reading.logits, reading.labels, counts, 1.0, cost)
    before, after = (
        calibration.pooled_scores(reading.logits, 1.0, calibration.frequency_offsets(counts, each)).argmax(1)
        for each in (0.0, strength))
    assert metrics.accuracy(reading.labels, after) >= metrics.accuracy(reading.labels, before) - cost - 1e-9
    found = calibration.calibrate(reading.logits, reading.labels, counts, cost)
    if cost == 0.02:
        rare = np.isin(reading.labels, [EMOTIONS.index('disgust'), EMOTIONS.index('contempt')])
        assert (after == reading.labels)[rare].mean() > (before == reading.labels)[rare].mean()
        assert found.after['macro_recall'] > found.before['macro_recall'] and found.offsets[0] == 0
    # The last temperature keeps every branch's choice as the strength made it.
    chosen = branch_scores(reading.logits, found.temperature, found.offsets).argmax(2)
    first = calibration.fit_temperature(reading.logits, reading.labels)
    wanted = branch_scores(reading.logits, first, calibration.frequency_offsets(counts, found.strength)).argmax(2)
    assert (chosen == wanted).mean() > 0.998


@pytest.mark.parametrize('cost', [-0.1, 1.0, float('nan')])
def test_a_cost_that_is_none_is_refused(cost):
    reading = invented_reading(count=100)
    with pytest.raises(BadParameter, match='cost'):
        calibration.calibrate(reading.logits, reading.labels, COUNTS, cost)
