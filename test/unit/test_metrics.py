"""Figures of merit against values worked out by hand."""

import math

import numpy as np
import pytest

from facial_emotion_ros.core.metrics import (
    accuracy,
    auroc,
    ccc,
    cohen_kappa,
    confusion,
    expected_calibration_error,
    f1_scores,
    macro_f1,
    macro_f1_all,
    macro_recall,
    negative_log_likelihood,
    pcc,
    precisions,
    recalls,
    reliability,
    risk_coverage,
    rmse,
    roc_curve,
    sagr,
)


def test_accuracy_confusion_and_recall_of_a_small_case():
    labels, predictions = [0, 0, 1, 3], [0, 1, 1, 0]
    assert accuracy(labels, predictions) == 0.5
    matrix = confusion(labels, predictions)
    assert matrix.sum() == 4 and matrix[0, 0] == 1 and matrix[0, 1] == 1 and matrix[1, 1] == 1 and matrix[3, 0] == 1
    assert macro_recall(matrix) == pytest.approx((0.5 + 1 + 0) / 3)


def test_figures_of_each_class_of_a_small_case():
    # class 0: 2 of 3 found, 1 false; class 1: 1 of 1 found, 1 false; class 2: occurs, is never predicted.
    matrix = confusion([0, 0, 0, 1, 2], [0, 0, 1, 1, 0])
    np.testing.assert_allclose(recalls(matrix)[:4], [2 / 3, 1, 0, np.nan])
    np.testing.assert_allclose(precisions(matrix)[:4], [2 / 3, 1 / 2, np.nan, np.nan])
    np.testing.assert_allclose(f1_scores(matrix)[:4], [2 / 3, 2 / 3, 0, np.nan])
    assert macro_f1(matrix) == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    # A class that nobody shows and somebody is taken for lowers precision elsewhere, and has no recall of its own.
    assert np.isnan(f1_scores(confusion([0, 0], [0, 5]))[5]) and macro_f1(confusion([0, 0], [0, 5])) == 2 / 3
    # ... and counts as 0 where all classes are asked for.
    assert macro_f1_all(confusion([0, 0], [0, 5])) == 1 / 3 and macro_f1_all(matrix) == macro_f1(matrix)
    assert np.isnan(macro_f1_all(np.zeros((8, 8))))


def test_kappa_counts_agreement_beyond_chance():
    # Cohen's own kind of example: 20 + 15 of 50 agree, 0.5 by chance.
    assert cohen_kappa([[20, 5], [10, 15]]) == pytest.approx((0.7 - 0.5) / 0.5)
    assert cohen_kappa(confusion([0, 1, 2, 3], [0, 1, 2, 3])) == 1.0
    assert cohen_kappa(confusion([0, 0, 1, 1], [0, 1, 0, 1])) == 0.0
    assert cohen_kappa(confusion([0, 1], [1, 0])) == -1.0
    assert np.isnan(cohen_kappa(confusion([3, 3], [3, 3]))) and np.isnan(cohen_kappa(np.zeros((8, 8))))


def test_likelihood_is_the_mean_logarithm_of_the_right_score():
    scores = np.array([[0.5, 0.5], [0.9, 0.1]])
    assert negative_log_likelihood(scores, [0, 1]) == pytest.approx(-(math.log(0.5) + math.log(0.1)) / 2)
    assert np.isfinite(negative_log_likelihood([[1.0, 0.0]], [1]))


def test_reliability_gives_confidence_and_accuracy_of_each_bin():
    counts, means, accuracies = reliability([0.1, 0.2, 0.9, 1.0], [False, True, True, True], bins=2)
    assert counts.tolist() == [2, 2]
    np.testing.assert_allclose(means, [0.15, 0.95])
    np.testing.assert_allclose(accuracies, [0.5, 1.0])


def test_calibration_error_is_the_gap_of_each_bin_weighted_by_its_size():
    confidences = np.array([0.95] * 10 + [0.55] * 10)
    is_right = np.array([True] * 10 + [True] * 5 + [False] * 5)
    assert expected_calibration_error(confidences, is_right) == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)


@pytest.mark.parametrize(
    'values, is_positive, expected',
    [
        ([1, 2, 3, 4], [False, False, True, True], 1.0),
        ([4, 3, 2, 1], [False, False, True, True], 0.0),
        ([1, 1, 1, 1], [False, True, False, True], 0.5),
        ([1, 2, 2, 3], [False, False, True, True], 0.875),
    ],
)
def test_auroc_counts_pairs_in_the_right_order_and_ties_half(values, is_positive, expected):
    assert auroc(values, is_positive) == pytest.approx(expected)


def test_the_roc_curve_encloses_the_auroc_when_values_tie():
    values, is_positive = [1, 2, 2, 3, 3, 3], [False, False, True, True, False, True]
    false_rate, true_rate = roc_curve(values, is_positive)
    assert (false_rate[0], true_rate[0], false_rate[-1], true_rate[-1]) == (0, 0, 1, 1)
    area = (np.diff(false_rate) * (true_rate[1:] + true_rate[:-1]) / 2).sum()
    assert area == pytest.approx(auroc(values, is_positive))
    assert len(false_rate) == 4


def test_risk_is_the_error_rate_of_those_that_are_kept():
    coverage, risk = risk_coverage([0.9, 0.8, 0.8, 0.1], [True, False, True, False])
    np.testing.assert_allclose(coverage, [0.25, 0.75, 1])
    np.testing.assert_allclose(risk, [0, 1 / 3, 0.5])
    assert [len(each) for each in risk_coverage([], [])] == [0, 0]


def test_affect_figures_of_a_small_case():
    truth, estimates = np.array([-1.0, 0.0, 1.0]), np.array([-0.5, 0.25, 0.5])
    assert rmse(truth, estimates) == pytest.approx(math.sqrt((0.25 + 0.0625 + 0.25) / 3))
    assert pcc(truth, 2 * truth + 3) == pytest.approx(1)
    # Lin 1989: 2 cov / (var + var + squared gap of the means), with variances over N.
    assert ccc(truth, estimates) == pytest.approx(2 * (1 / 3) / (2 / 3 + estimates.var() + estimates.mean() ** 2))
    assert ccc(truth, truth) == pytest.approx(1) and ccc(truth, truth + 1) < 1
    assert sagr(truth, estimates) == 1 and sagr(truth, [0.5, 0, 0.5]) == 0.5


def test_figures_are_not_a_number_when_there_is_nothing_to_measure():
    assert math.isnan(accuracy([], []))
    assert math.isnan(expected_calibration_error([], []))
    assert math.isnan(auroc([1, 2], [True, True]))
    assert math.isnan(macro_recall(confusion([], [])))
    for figure in (rmse, pcc, ccc, sagr):
        assert math.isnan(figure([], []))
    # The mean of three times 0.1 is not 0.1.
    assert all(math.isnan(pcc([constant] * 3, [1, 2, 3])) for constant in (1, 0.1))
    assert all(math.isnan(ccc([constant] * 3, [constant] * 3)) for constant in (1, 0.1))
    assert math.isnan(negative_log_likelihood(np.zeros((0, 8)), []))
