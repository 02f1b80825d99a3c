"""Figures of merit against values worked out by hand."""

import math

import numpy as np
import pytest

from facial_emotion_ros.metrics import accuracy, auroc, confusion, expected_calibration_error, macro_recall


def test_accuracy_confusion_and_recall_of_a_small_case():
    labels, predictions = [0, 0, 1, 3], [0, 1, 1, 0]
    assert accuracy(labels, predictions) == 0.5
    matrix = confusion(labels, predictions)
    assert matrix.sum() == 4 and matrix[0, 0] == 1 and matrix[0, 1] == 1 and matrix[1, 1] == 1 and matrix[3, 0] == 1
    assert macro_recall(matrix) == pytest.approx((0.5 + 1 + 0) / 3)


def test_calibration_error_is_the_gap_of_each_bin_weighted_by_its_size():
    confidences = np.array([0.95] * 10 + [0.55] * 10)
    is_right = np.array([True] * 10 + [True] * 5 + [False] * 5)
    assert expected_calibration_error(confidences, is_right) == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)


@pytest.mark.parametrize('values, is_positive, expected', [
    ([1, 2, 3, 4], [False, False, True, True], 1.0),
    ([4, 3, 2, 1], [False, False, True, True], 0.0),
    ([1, 1, 1, 1], [False, True, False, True], 0.5),
    ([1, 2, 2, 3], [False, False, True, True], 0.875),
])
def test_auroc_counts_pairs_in_the_right_order_and_ties_half(values, is_positive, expected):
    assert auroc(values, is_positive) == pytest.approx(expected)


def test_figures_are_not_a_number_when_there_is_nothing_to_measure():
    assert math.isnan(accuracy([], []))
    assert math.isnan(expected_calibration_error([], []))
    assert math.isnan(auroc([1, 2], [True, True]))
    assert math.isnan(macro_recall(confusion([], [])))
