"""ESR and ESR* in torch: the published names and sizes, and what the authors' code gets wrong."""

import copy

import pytest
import torch
from tiny_training import measured, published_channels, quick_trainings  # noqa: F401

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.model.network import ESR, MIN_SIZE_PX


@pytest.fixture(scope='module', autouse=True)
def seed():
    """Begin with the same weights each time."""
    torch.manual_seed(0)


@pytest.fixture(scope='module')
def network():
    """Return a small ensemble in evaluation mode."""
    return measured(ESR(3), 96)


@pytest.fixture(scope='module', params=[False, True], ids=['ESR', 'ESR*'])
def small(request):
    """Return an ensemble of two for crops of 64 px, plain and diversified."""
    return measured(ESR(2, request.param))


@pytest.mark.parametrize(
    'branches, diversified, parameters',
    [
        (9, False, 20_349_546),
        (15, False, 33_666_054),
        (9, True, 20_832_494),
        (15, True, 34_465_946),
    ],
)
@pytest.mark.usefixtures('published_channels')
def test_the_number_of_parameters_is_the_published_one(branches, diversified, parameters):
    with torch.device('meta'):
        network = ESR(branches, diversified)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    assert network.branches == branches and network.diversified == diversified


@pytest.mark.parametrize('count', [0, 1, 3])
def test_each_branch_gives_logits_and_affect_of_each_face(network, count):
    with torch.inference_mode():
        logits, affect = network(torch.zeros(count, 3, 96, 96))
    assert tuple(logits.shape) == (count, 3, 8) and tuple(affect.shape) == (count, 3, 2)


def test_a_face_gives_the_same_when_it_is_alone(network):
    crops = torch.rand(4, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        whole, alone = network(crops)[0], network(crops[2:3])[0]
    torch.testing.assert_close(whole[2:3], alone, atol=1e-5, rtol=1e-5)


def test_an_ensemble_without_a_branch_is_refused():
    with pytest.raises(BadParameter, match='at least 1'):
        ESR(0)


def test_the_least_size_leaves_something_to_convolve_and_one_pixel_less_does_not(small):
    with torch.inference_mode():
        assert torch.isfinite(small(torch.rand(1, 3, MIN_SIZE_PX, MIN_SIZE_PX))[0]).all()
        with pytest.raises(RuntimeError):
            small(torch.rand(1, 3, MIN_SIZE_PX - 1, MIN_SIZE_PX - 1))


@pytest.mark.parametrize('count', [0, 1, 3])
@pytest.mark.usefixtures('published_channels')
def test_attention_of_each_branch_comes_with_the_same_answers_when_it_is_asked_for(count):
    network = measured(ESR(2, True))
    crops = torch.rand(count, 3, 64, 64)
    with torch.inference_mode():
        logits, affect = network(crops)
        *outputs, attention = network(crops, with_attention=True)
    assert torch.equal(outputs[0], logits) and torch.equal(outputs[1], affect)
    assert tuple(attention.channel.shape) == (count, 2, 512) and tuple(attention.spatial.shape) == (count, 2, 2, 2)
    for each in attention:
        assert ((each > 0) & (each < 1)).all()


def test_attention_is_refused_when_the_network_has_none(network):
    with pytest.raises(BadParameter, match='diversified=True'):
        network(torch.rand(1, 3, 96, 96), with_attention=True)


def gradients(network, base_gradient):
    """Return the network's answers in training, and the gradients of the sum of its branches' losses."""
    network = copy.deepcopy(network).train()
    crops = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    logits, affect = network(crops, base_gradient=base_gradient)
    (logits.square().mean() + affect.square().mean()).backward()
    return logits, {name: parameter.grad for name, parameter in network.named_parameters()}


@pytest.mark.parametrize('factor', [0.5, 0.0])
def test_only_the_base_s_gradient_shrinks_when_it_is_scaled(small, factor):
    logits, whole = gradients(small, 1.0)
    same, scaled = gradients(small, factor)
    assert torch.equal(logits, same)
    for name, gradient in whole.items():
        expected = factor * gradient if name.startswith('base.') else gradient
        torch.testing.assert_close(scaled[name], expected, rtol=1e-4, atol=1e-7)
    assert any(gradient.abs().max() > 0 for name, gradient in whole.items() if name.startswith('base.'))


def test_the_others_answer_as_before_when_a_branch_is_added(small):
    network = copy.deepcopy(small)
    crops = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(crops)[0]
        added = network.add_branch(torch.Generator().manual_seed(5))
        after = network(crops)[0]
    assert network.branches == 3 and added is network.convolutional_branches[2]
    assert torch.equal(after[:, :2], before) and not torch.equal(after[:, 2], before[:, 1])
    assert not any(module.training for module in network.modules())


def test_an_added_branch_is_that_of_its_generator_and_leaves_torch_s_own_alone(small):
    branches = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        state = torch.get_rng_state()
        branches.append(copy.deepcopy(small).add_branch(torch.Generator().manual_seed(5)).state_dict())
        assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(branches[0][name], tensor) for name, tensor in branches[1].items())
    other = copy.deepcopy(small).add_branch(torch.Generator().manual_seed(6)).state_dict()
    assert not torch.equal(branches[0]['conv4.weight'], other['conv4.weight'])


def test_an_added_branch_has_the_mode_and_numbers_of_the_others():
    network = ESR(1).double().train()
    branch = network.add_branch()
    assert branch.fc.weight.dtype == torch.float64 and branch.training
