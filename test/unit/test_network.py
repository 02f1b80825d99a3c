"""ESR in torch: the published names and sizes, and what the authors' code gets wrong."""

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')

from facial_emotion_ros.learning.network import ESR  # noqa: E402


@pytest.fixture(scope='module')
def network():
    """Return a small ensemble in evaluation mode, its running statistics no longer those of a new network."""
    torch.manual_seed(0)
    network = ESR(3).train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(4, 3, 96, 96))
    return network.eval()


@pytest.mark.parametrize('branches, parameters', [(9, 20_349_546), (15, 33_666_054)])
def test_the_number_of_parameters_is_the_published_one(branches, parameters):
    with torch.device('meta'):
        assert sum(parameter.numel() for parameter in ESR(branches).parameters()) == parameters


def test_names_are_those_of_the_published_code():
    with torch.device('meta'):
        names = set(ESR(2).state_dict())
    layers = {f'{layer}{i}' for layer in ('conv', 'bn') for i in (1, 2, 3, 4)}
    assert {name.split('.')[1] for name in names if name.startswith('base.')} == layers
    branch = {name.split('.', 2)[2] for name in names if name.startswith('convolutional_branches.1.')}
    assert {name.split('.')[0] for name in branch} == layers | {'fc', 'fc_dimensional'}
    assert {'bn4.running_mean', 'bn4.running_var', 'fc.weight', 'fc_dimensional.bias'} <= branch
    assert all(name.startswith(('base.', 'convolutional_branches.')) for name in names)


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


def test_evaluation_mode_reaches_every_branch(network):
    assert not any(module.training for module in network.modules())


def test_affect_is_a_linear_layer_over_the_rectified_logits(network):
    with torch.inference_mode():
        logits, affect = network(torch.rand(2, 3, 96, 96))
        head = network.convolutional_branches[1].fc_dimensional
        torch.testing.assert_close(affect[:, 1], head(logits[:, 1].clamp(min=0)))


def test_the_last_two_rows_and_columns_do_not_count(network):
    # 96 -> 92 -> 90 -> 45 -> 43 -> 41 -> 20: what the last pooling drops reaches two pixels of the border.
    crops = torch.rand(1, 3, 96, 96)
    changed = crops.clone()
    changed[:, :, 94:] = 0
    changed[:, :, :, 94:] = 0
    with torch.inference_mode():
        torch.testing.assert_close(network(crops)[0], network(changed)[0])


def test_an_ensemble_without_a_branch_is_refused():
    with pytest.raises(ValueError, match='at least 1'):
        ESR(0)
