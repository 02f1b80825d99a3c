"""What a training makes small, and where gradients go."""

import numpy as np
import pytest
import torch
from tiny_training import SIZE_PX, quick_trainings, tiny_recipe, two_kinds_of_faces  # noqa: F401

from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.loop.batch_sampler import BatchSampler
from facial_emotion_ros.training.loop.losses import TrainingLoss, losses
from facial_emotion_ros.training.loop.phases import choose_parameters, stages_of
from facial_emotion_ros.training.model.network import ESR


def gradients(network, **phase):
    """Run one batch; return the objective, its loss and the gradients by name, None where there is none."""
    stage = stages_of(
        tiny_recipe(
            dict({'steps': 1}, **phase), branches=network.branches, network={'diversified': network.diversified}
        )
    )[-1]
    choose_parameters(network, stage)
    objective = TrainingLoss(network, stage.phase).train()
    batch = BatchSampler(two_kinds_of_faces(), stage, CropGeometry(size_px=SIZE_PX), 1, 0)[0]
    network.zero_grad()
    total, parts = objective(batch)
    total.backward()
    return parts, {name: parameter.grad for name, parameter in network.named_parameters()}


def test_a_branch_that_does_not_take_part_adds_no_loss_when_its_weights_are_zero():
    logits = torch.zeros(2, 2, 8)
    logits[:, 1] = torch.randn(2, 8)
    distributions, targets = torch.full((2, 8), 1 / 8), torch.zeros(2, 2)
    weights = torch.tensor([[0.5, 0.0], [0.5, 0.0]])
    categorical, dimensional = losses(logits, torch.zeros(2, 2, 2), distributions, targets, weights, weights)
    assert categorical.item() == pytest.approx(np.log(8)) and dimensional.item() == 0


def test_the_loss_takes_the_prior_out_of_the_logits_when_it_is_given():
    """Logits that are the logarithm of p / prior fit targets p without a rest, up to their entropy."""
    target = torch.tensor([[0.5, 0.2, 0.1, 0.1, 0.04, 0.03, 0.02, 0.01]])
    log_prior = torch.tensor([0.3, 0.3, 0.1, 0.1, 0.08, 0.02, 0.06, 0.04]).log()
    weights, affect = torch.ones(1, 1), torch.zeros(1, 1, 2)

    def loss(logits, adjustment):
        return losses(logits[None], affect, target, affect[:, 0], weights, weights, adjustment)[0].item()

    entropy = -(target * target.log()).sum().item()
    assert loss(target.log() - log_prior, log_prior) == pytest.approx(entropy, rel=1e-5)
    assert loss(target.log() - log_prior, 0.0) > entropy + 0.1


def test_the_prior_is_that_of_the_drawn_faces_when_a_phase_asks_for_it():
    stage = stages_of(tiny_recipe({'steps': 1, 'prior_exponent': 0.5, 'rare': {'happy': 3}}))[-1]
    draws = BatchSampler(two_kinds_of_faces(), stage, CropGeometry(size_px=SIZE_PX), 1, 0)
    assert draws.prior[:2] == pytest.approx([0.25, 0.75])
    objective = TrainingLoss(ESR(1), stage.phase, prior=draws.prior)
    assert objective.log_prior[:2].tolist() == pytest.approx([0.5 * np.log(0.25), 0.5 * np.log(0.75)])
    assert TrainingLoss(ESR(1), stages_of(tiny_recipe({'steps': 1}))[-1].phase, prior=draws.prior).log_prior == 0


def test_affect_moves_only_its_own_layers_when_it_is_learned_beside_the_categories():
    torch.manual_seed(0)
    network = ESR(2)
    _, heavy = gradients(network, affect_weight=100.0)
    _, light = gradients(network, affect_weight=0.01)
    for name, gradient in heavy.items():
        assert torch.equal(gradient, light[name]) == ('fc_dimensional' not in name), name


def test_the_base_learns_from_the_mean_of_the_branches_when_the_recipe_says_so():
    torch.manual_seed(0)
    network = ESR(2)
    _, total = gradients(network, base_gradient='sum')
    _, mean = gradients(network, base_gradient='mean')
    torch.testing.assert_close(mean['base.conv1.weight'], total['base.conv1.weight'] / 2)
    branch = 'convolutional_branches.1.conv1.weight'
    torch.testing.assert_close(mean[branch], total[branch])


def test_the_other_branches_stay_as_they_are_when_a_step_has_few():
    torch.manual_seed(0)
    network = ESR(4)
    _, grads = gradients(network, branches_a_step=2)
    learns = {place for place in range(4) if grads[f'convolutional_branches.{place}.conv1.weight'] is not None}
    assert len(learns) == 2 and grads['base.conv1.weight'] is not None
    for place in range(4):
        assert (grads[f'convolutional_branches.{place}.fc_dimensional.bias'] is not None) == (place in learns)


def test_the_loss_is_the_mean_of_the_branches_that_learn_when_a_step_has_few():
    torch.manual_seed(0)
    network = ESR(3)
    first = network.convolutional_branches[0].state_dict()
    for branch in network.convolutional_branches:
        branch.load_state_dict(first)
    few, grads = gradients(network, branches_a_step=1, bootstrap=1.0)
    whole, all_grads = gradients(network, bootstrap=1.0)
    torch.testing.assert_close(few, whole)
    torch.testing.assert_close(grads['base.conv1.weight'], all_grads['base.conv1.weight'], atol=1e-5, rtol=1e-3)


def test_batch_norm_stays_when_only_the_dimensional_layers_learn():
    network = ESR(1)
    before = network.state_dict()['base.bn1.running_mean'].clone()
    _, grads = gradients(network, trains='affect')
    assert torch.equal(network.state_dict()['base.bn1.running_mean'], before)
    assert grads['base.conv1.weight'] is None and grads['convolutional_branches.0.fc_dimensional.weight'] is not None


def test_alike_attention_costs_when_the_phase_asks_for_diversity():
    torch.manual_seed(0)
    network = ESR(2, diversified=True)
    parts, grads = gradients(network, diversity=1.0)
    assert parts[2] > 0
    parts, without = gradients(network)
    assert parts[2] == 0
    name = 'convolutional_branches.0.cbam4.SpatialGate.spatial.conv.weight'
    assert not torch.equal(grads[name], without[name])
