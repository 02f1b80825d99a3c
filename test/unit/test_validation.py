"""How a network reads held-out faces."""

import numpy as np
import pytest
import torch
from tiny_training import SIZE_PX, Labelled, one_hot

from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.loop import validation
from facial_emotion_ros.training.loop.validation import compute_metrics, outputs_of, selection_score
from facial_emotion_ros.training.model.network import ESR


def test_figures_are_right_when_they_are_counted_by_hand():
    affect = np.array([[0.5, 0.5], [-0.5, 0.0], [np.nan, np.nan], [0.0, 0.0]])
    faces = Labelled(one_hot('happy', 'sad', 'happy', None), affect)
    logits = np.zeros((4, 2, 8), np.float32)
    logits[0, :, 1] = 9  # right
    logits[1, :, 1] = 9  # wrong
    logits[2, 0, 1], logits[2, 1, 0] = 9, 5  # the surer branch is right
    outputs = np.nan_to_num(np.repeat(affect[:, None], 2, 1)).astype(np.float32)
    figures = compute_metrics(faces, logits, outputs)
    assert figures['accuracy'] == pytest.approx(2 / 3) and figures['branch_accuracy'] == pytest.approx(3 / 6)
    assert figures['macro_recall'] == pytest.approx(0.5)
    assert figures['rmse_valence'] == 0 and figures['ccc_arousal'] == pytest.approx(1)
    assert 3 < figures['loss'] < 4


def test_what_cannot_be_told_is_left_out_when_labels_are_missing():
    logits, affect = np.zeros((2, 1, 8), np.float32), np.zeros((2, 1, 2), np.float32)
    assert compute_metrics(Labelled(one_hot(None, None)), logits, affect) == {}
    assert set(compute_metrics(Labelled(one_hot('sad', 'sad')), logits, affect)) == {
        'loss',
        'accuracy',
        'macro_recall',
        'branch_accuracy',
    }


def test_the_better_has_the_larger_merit_when_judgements_are_compared():
    good, bad = {'accuracy': 0.8, 'loss': 0.5}, {'accuracy': 0.7, 'loss': 0.4}
    assert selection_score(good, 'joint') > selection_score(bad, 'joint')
    assert selection_score({'accuracy': 0.8, 'loss': 0.4}, 'branches') > selection_score(good, 'joint')
    assert selection_score(dict(bad, ccc_valence=0.5), 'affect') > selection_score(
        dict(good, ccc_valence=0.4), 'affect'
    )
    assert selection_score({'ccc_valence': float('nan')}, 'affect') < selection_score({'ccc_valence': -1.0}, 'affect')


def test_every_face_is_read_once_in_order_when_there_are_more_than_fit_at_once(monkeypatch):
    torch.manual_seed(0)
    network, geometry = ESR(1).eval(), CropGeometry(size_px=SIZE_PX)
    faces = Labelled(one_hot(*['happy'] * 10))
    monkeypatch.setattr(validation, '_BATCH', 4)
    logits, affect = outputs_of(network, faces, geometry)
    assert logits.shape == (10, 1, 8) and affect.shape == (10, 1, 2)
    last, _ = outputs_of(network, faces.rows([9]), geometry)
    np.testing.assert_allclose(logits[9:], last, atol=1e-5)
    assert outputs_of(network, faces.rows([]), geometry)[0].shape == (0, 1, 8)
