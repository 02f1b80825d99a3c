"""Confidence intervals against scipy's, published values and what they must do."""

import math
import warnings

import numpy as np
import pytest

from facial_emotion_ros.evaluation.intervals import (
    bootstrap_interval,
    percentile_interval,
    resample_confusion,
    wilson_interval,
)

pytest.importorskip('scipy', reason='scipy is not installed: scripts/setup --tests does that')


@pytest.mark.parametrize(
    'hits, count, low, high', [(3, 16, 0.0659, 0.4301), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0)]
)
def test_the_interval_of_a_share_is_wilson_s(hits, count, low, high):
    assert wilson_interval(hits, count) == pytest.approx((low, high), abs=5e-4)


def test_the_bootstrap_gives_what_scipy_gives_when_it_draws_the_same_rows():
    from scipy import stats  # a second to import, in each process that collects tests

    values = np.random.default_rng(1).normal(size=60)
    expected = stats.bootstrap(
        [values], np.mean, n_resamples=400, batch=1, method='percentile', random_state=np.random.default_rng(0)
    ).confidence_interval
    assert bootstrap_interval(values, 400) == pytest.approx(tuple(expected))


def test_an_interval_holds_the_figure_and_narrows_with_more_faces():
    widths = []
    for count in (100, 10000):
        is_right = np.arange(count) % 5 != 0
        low, high = bootstrap_interval(is_right, 200)
        assert low < 0.8 < high and (low, high) == bootstrap_interval(is_right, 200)
        widths.append(high - low)
    # Standard error of a share: sqrt(p (1 - p) / n), 1.96 of them to each side.
    assert widths == pytest.approx([2 * 1.96 * math.sqrt(0.16 / 100), 2 * 1.96 * math.sqrt(0.16 / 10000)], rel=0.2)


def test_means_over_classes_hold_the_truth_as_often_as_promised_when_classes_are_rare():
    generator = np.random.default_rng(0)
    recalls, counts = np.array([0.8, 0.95, 0.7, 0.9]), np.array([100, 80, 5, 10])
    held = 0
    for _ in range(300):
        right = generator.binomial(counts, recalls)
        matrix = np.diag(right)
        matrix[np.arange(4), [1, 0, 0, 0]] += counts - right
        draws = resample_confusion(matrix, 300, seed=int(generator.integers(10**6)))
        np.testing.assert_allclose(draws.sum(2), counts[None].repeat(300, 0))
        low, high = percentile_interval((np.diagonal(draws, axis1=1, axis2=2) / counts).mean(1))
        held += low <= recalls.mean() <= high
    assert 0.87 < held / 300 < 0.99


def test_there_is_no_interval_when_there_is_nothing_to_resample_or_most_resamples_are_undefined():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for ends in (
            wilson_interval(0, 0),
            bootstrap_interval(np.zeros(0)),
            percentile_interval([]),
            percentile_interval([1.0, np.nan, np.nan]),
        ):
            assert np.isnan(ends).all()
    assert percentile_interval([1.0, 1.0, np.nan]) == (1.0, 1.0)
