"""What the branches say together."""

import numpy as np
import pytest

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.emotion.ensemble import OperatingPoint, branch_scores, combine, mean_overlap, softmax


def one_hot_logits(classes, height=12.0):
    """Return (1, B, 8) logits of branches that are each sure of one class."""
    logits = np.zeros((1, len(classes), 8), np.float32)
    logits[0, np.arange(len(classes)), classes] = height
    return logits


def test_scores_are_the_mean_of_the_branches_probabilities():
    logits = np.random.default_rng(0).normal(size=(5, 9, 8)).astype(np.float32)
    expected = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    estimates = combine(logits, np.zeros((5, 9, 2), np.float32))
    np.testing.assert_allclose(estimates.scores, expected.mean(1), rtol=1e-5)
    np.testing.assert_allclose(estimates.scores.sum(1), 1, rtol=1e-6)


def test_agreement_is_the_share_of_pairs_when_every_branch_is_sure_of_its_class():
    happy, sad = EMOTIONS.index('happy'), EMOTIONS.index('sad')
    estimates = combine(one_hot_logits([happy] * 6 + [sad] * 3, height=60.0), np.zeros((1, 9, 2), np.float32))
    assert EMOTIONS[estimates.scores[0].argmax()] == 'happy'
    assert estimates.agreement[0] == pytest.approx((15 + 3) / 36)


def test_agreement_is_the_mean_overlap_of_all_pairs_when_it_is_summed_pair_by_pair():
    shares = softmax(3 * np.random.default_rng(2).normal(size=(6, 5, 8)))
    pairs = [np.minimum(shares[:, i], shares[:, j]).sum(-1) for i in range(5) for j in range(i)]
    np.testing.assert_allclose(mean_overlap(shares), np.mean(pairs, axis=0), rtol=1e-5)


@pytest.mark.parametrize(
    'classes, height, expected',
    [
        ([2] * 9, 60.0, 1.0),  # all sure of the same
        ([2] * 9, 0.3, 1.0),  # all unsure in the same way: this is not the confidence
        ([0, 1], 60.0, 0.0),  # sure of different classes
        ([0, 1, 2, 3, 4, 5, 6, 7], 60.0, 0.0),
        ([4], 1.0, 1.0),  # nobody to differ from
    ],
)
def test_agreement_has_these_ends(classes, height, expected):
    estimates = combine(one_hot_logits(classes, height), np.zeros((1, len(classes), 2), np.float32))
    assert estimates.agreement[0] == pytest.approx(expected, abs=1e-6)


def test_agreement_does_not_depend_on_the_number_of_branches_when_they_differ_alike():
    generator = np.random.default_rng(3)
    few, many = (combine(generator.normal(size=(4000, count, 8)), np.zeros((4000, count, 2))) for count in (3, 15))
    assert few.agreement.mean() == pytest.approx(many.agreement.mean(), abs=0.01)


def test_scores_are_those_of_the_divided_logits_when_there_is_a_temperature():
    generator = np.random.default_rng(4)
    logits, affect = generator.normal(size=(5, 9, 8)), generator.normal(size=(5, 9, 2))
    hot, divided = combine(logits, affect, OperatingPoint(temperature=2.5)), combine(logits / 2.5, affect)
    np.testing.assert_allclose(hot.scores, divided.scores, rtol=1e-6)
    np.testing.assert_allclose(hot.agreement, divided.agreement, rtol=1e-6)
    assert (hot.scores.max(1) < combine(logits, affect).scores.max(1)).all()


def test_offsets_multiply_the_odds_of_their_class_in_every_branch():
    logits, offsets = np.random.default_rng(5).normal(size=(4, 3, 8)), np.zeros(8)
    offsets[7] = np.log(3.0)
    before, after = (branch_scores(logits, OperatingPoint(temperature=0.5, offsets=each)) for each in (None, offsets))
    np.testing.assert_allclose(after[..., 7] / after[..., 0], 3 * before[..., 7] / before[..., 0], rtol=1e-4)
    scores = combine(logits, np.zeros((4, 3, 2)), OperatingPoint('', 0.5, offsets.tolist())).scores
    np.testing.assert_allclose(scores, after.mean(1), rtol=1e-6)


def test_affect_is_the_clipped_mean_of_the_branches():
    affect = np.array([[[0.2, -3.0], [0.6, -1.0]]], np.float32)
    estimates = combine(np.zeros((1, 2, 8), np.float32), affect)
    assert estimates.valence[0] == pytest.approx(0.4)
    assert estimates.arousal[0] == -1.0


def test_no_face_gives_empty_estimates():
    estimates = combine(np.zeros((0, 9, 8), np.float32), np.zeros((0, 9, 2), np.float32))
    assert len(estimates) == 0
    assert estimates.scores.shape == (0, 8)
    assert estimates.valence.shape == estimates.arousal.shape == estimates.agreement.shape == (0,)


def test_a_face_gives_the_same_when_it_is_alone():
    generator = np.random.default_rng(1)
    logits, affect = generator.normal(size=(4, 9, 8)), generator.normal(size=(4, 9, 2))
    whole, alone = combine(logits, affect), combine(logits[2:3], affect[2:3])
    np.testing.assert_array_equal(whole.scores[2:3], alone.scores)
    np.testing.assert_array_equal(whole.agreement[2:3], alone.agreement)


def test_huge_logits_stay_finite():
    assert np.isfinite(softmax(np.array([[1e30, -1e30, 0.0]]))).all()


@pytest.mark.parametrize(
    'logits, affect, expected, text',
    [
        (np.full((1, 9, 8), np.nan), np.zeros((1, 9, 2)), BadModel, 'finite'),
        (np.zeros((1, 9, 8)), np.full((1, 9, 2), np.inf), BadModel, 'finite'),
        (np.zeros((1, 9, 7)), np.zeros((1, 9, 2)), BadModel, r'\(1, 9, 7\)'),
        (np.zeros((1, 8)), np.zeros((1, 2)), BadModel, r'\(1, 8\)'),
        (np.zeros((2, 9, 8)), np.zeros((1, 9, 2)), BadModel, r'\(1, 9, 2\)'),
    ],
)
def test_outputs_are_refused_when_they_cannot_be_right(logits, affect, expected, text):
    with pytest.raises(expected, match=text):
        combine(logits, affect)
