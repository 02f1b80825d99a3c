"""What the branches say together."""

import numpy as np
import pytest

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.ensemble import combine, softmax
from facial_emotion_ros.errors import BadModel


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


def test_agreement_is_the_share_of_branches_that_choose_the_published_class():
    happy, sad = EMOTIONS.index('happy'), EMOTIONS.index('sad')
    estimates = combine(one_hot_logits([happy] * 6 + [sad] * 3), np.zeros((1, 9, 2), np.float32))
    assert EMOTIONS[estimates.scores[0].argmax()] == 'happy'
    assert estimates.agreement[0] == pytest.approx(6 / 9)


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


@pytest.mark.parametrize('logits, affect, expected, text', [
    (np.full((1, 9, 8), np.nan), np.zeros((1, 9, 2)), BadModel, 'finite'),
    (np.zeros((1, 9, 8)), np.full((1, 9, 2), np.inf), BadModel, 'finite'),
    (np.zeros((1, 9, 7)), np.zeros((1, 9, 2)), BadModel, r'\(1, 9, 7\)'),
    (np.zeros((1, 8)), np.zeros((1, 2)), BadModel, r'\(1, 8\)'),
    (np.zeros((2, 9, 8)), np.zeros((1, 9, 2)), BadModel, r'\(1, 9, 2\)'),
])
def test_outputs_are_refused_when_they_cannot_be_right(logits, affect, expected, text):
    with pytest.raises(expected, match=text):
        combine(logits, affect)
