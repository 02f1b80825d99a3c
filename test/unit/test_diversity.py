"""What alike branches cost."""

import math

import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')

from facial_emotion_ros.errors import BadParameter  # noqa: E402
from facial_emotion_ros.learning.diversity import (  # noqa: E402
    channel_diversity,
    diversity_loss,
    likeness,
    spatial_diversity,
)
from facial_emotion_ros.learning.network import ESR, Attention  # noqa: E402

ODD_AND_EVEN = [2, 3, 8, 9, 15]


def attention_of(branches, spread, faces=4, seed=0):
    """Return attention of branches that differ by `spread` around what is common to them."""
    generator = torch.Generator().manual_seed(seed)

    def around(*shape):
        common = torch.rand(faces, 1, *shape, generator=generator)
        own = spread * torch.randn(faces, branches, *shape, generator=generator)
        return (common + own).clamp(0, 1)
    return Attention(around(512), around(6, 6))


@pytest.mark.parametrize('branches', ODD_AND_EVEN)
@pytest.mark.parametrize('logarithmic', [False, True])
@pytest.mark.parametrize('cost', [spatial_diversity, channel_diversity, diversity_loss])
def test_alike_attention_costs_more_than_diverse_attention(branches, logarithmic, cost):
    alike, similar, diverse = (
        cost(attention_of(branches, spread), logarithmic=logarithmic) for spread in (0.0, 0.01, 0.5)
    )
    assert alike > diverse and alike >= similar > diverse
    if not logarithmic:
        most = 2 if cost is diversity_loss else 1
        assert alike == pytest.approx(most, abs=5e-3) and diverse == pytest.approx(0, abs=1e-2)


@pytest.mark.parametrize('branches', ODD_AND_EVEN)
def test_a_zero_diagonal_would_reward_alike_branches_when_their_number_is_odd(branches):
    # What OpenDR's loss does, and why ours has ones there.
    def with_zero_diagonal(attention):
        kernel = likeness(attention.spatial)
        return -torch.det(kernel - torch.eye(branches, dtype=kernel.dtype)).item()
    alike, diverse = (with_zero_diagonal(attention_of(branches, spread)) for spread in (0.0, 0.5))
    assert alike == pytest.approx((branches - 1) * (-1) ** branches, abs=1e-6)
    assert (alike < diverse) == (branches % 2 == 1)


def test_likeness_is_the_published_kernel_when_the_diagonal_is_left_aside():
    attention = attention_of(3, 0.05).spatial
    kernel = likeness(attention)
    for i in range(3):
        for j in range(3):
            squared = (attention[:, i] - attention[:, j]).square().sum((1, 2))
            expected = torch.exp(-10 * squared).mean()
            assert kernel[i, j].item() == pytest.approx(1.0 if i == j else expected.item(), rel=1e-5)


@pytest.mark.parametrize('branches', [1, 9])
def test_nothing_is_to_be_paid_when_there_is_one_branch_or_no_face(branches):
    faces = 0 if branches > 1 else 4
    for logarithmic in (False, True):
        loss = diversity_loss(attention_of(branches, 0.1, faces), logarithmic=logarithmic)
        assert loss.item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('branches', [2, 9, 15])
@pytest.mark.parametrize('logarithmic', [False, True])
@pytest.mark.parametrize('spread', [0.0, 1e-8, 1e-4, 1e-3, 1e-2, 0.3])
def test_cost_and_gradient_are_finite_when_branches_are_almost_alike(branches, logarithmic, spread):
    attention = Attention(*(each.requires_grad_() for each in attention_of(branches, spread)))
    loss = diversity_loss(attention, logarithmic=logarithmic)
    loss.backward()
    assert loss.isfinite()
    for each in attention:
        assert each.grad.isfinite().all() and each.grad.norm() < 100 * branches


@pytest.mark.parametrize('precision', [torch.float32, torch.bfloat16])
def test_branches_drift_apart_when_they_learn_from_the_cost_alone(precision):
    torch.manual_seed(0)
    network = ESR(3, diversified=True).train()
    start = network.convolutional_branches[0].state_dict()
    for branch in network.convolutional_branches:  # almost alike
        branch.load_state_dict({name: tensor + 1e-3 * torch.randn_like(tensor) if tensor.is_floating_point() else tensor
                                for name, tensor in start.items()})
    optimizer = torch.optim.SGD(network.convolutional_branches.parameters(), lr=1e-3)
    crops = torch.rand(4, 3, 64, 64)
    costs = []
    for _ in range(4):
        with torch.autocast('cpu', precision, enabled=precision != torch.float32):
            cost = diversity_loss(network(crops, with_attention=True)[2], logarithmic=True)
        optimizer.zero_grad()
        cost.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        costs.append(cost.item())
    assert costs[-1] < costs[0]


@pytest.mark.parametrize('sharpness', [0.0, -1.0, math.nan])
def test_a_sharpness_is_refused_when_it_is_not_above_zero(sharpness):
    with pytest.raises(BadParameter, match='above 0'):
        diversity_loss(attention_of(2, 0.1), sharpness)
