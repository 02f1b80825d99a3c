"""What alike branches cost."""

import pytest
import torch
from tiny_training import quick_trainings  # noqa: F401

from facial_emotion_ros.training.model.diversity import diversity_loss, likeness
from facial_emotion_ros.training.model.network import ESR, Attention

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
def test_alike_attention_costs_more_than_diverse_attention(branches):
    alike, similar, diverse = (attention_of(branches, spread) for spread in (0.0, 0.01, 0.5))
    nothing = Attention(*(each.new_zeros(0, *each.shape[1:]) for each in diverse))
    # Both kinds count: either alone is half of the cost.
    for only in ({'channel': diverse.channel}, {'spatial': diverse.spatial}):
        assert diversity_loss(alike._replace(**only)).item() == pytest.approx(1, abs=1e-2)
    alike, similar, diverse = (diversity_loss(each).item() for each in (alike, similar, diverse))
    assert alike >= similar > diverse and alike == pytest.approx(2, abs=5e-3)
    assert diverse == pytest.approx(0, abs=1e-2) and diversity_loss(nothing).item() == pytest.approx(0, abs=1e-12)


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


def test_nothing_is_to_be_paid_when_there_is_one_branch():
    assert diversity_loss(attention_of(1, 0.1)).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize('branches', [2, 9, 15])
@pytest.mark.parametrize('spread', [0.0, 1e-8, 1e-4, 1e-3, 1e-2, 0.3])
def test_cost_and_gradient_are_finite_when_branches_are_almost_alike(branches, spread):
    attention = Attention(*(each.requires_grad_() for each in attention_of(branches, spread)))
    loss = diversity_loss(attention)
    loss.backward()
    assert loss.isfinite()
    for each in attention:
        assert each.grad.isfinite().all() and each.grad.norm() < 100 * branches


@pytest.mark.parametrize('precision', [torch.float32, torch.bfloat16])
def test_branches_drift_apart_when_they_learn_from_the_cost_alone(precision):
    torch.manual_seed(0)
    network = ESR(3, diversified=True).train()
    start = network.convolutional_branches[0].state_dict()
    for branch in network.convolutional_branches:  # alike, but not so much that the gradient vanishes
        branch.load_state_dict(
            {
                name: tensor + 0.03 * torch.randn_like(tensor) if tensor.is_floating_point() else tensor
                for name, tensor in start.items()
            }
        )
    optimizer = torch.optim.SGD(network.convolutional_branches.parameters(), lr=0.1)
    crops = torch.rand(4, 3, 64, 64)
    costs = []
    for _ in range(4):
        with torch.autocast('cpu', precision, enabled=precision != torch.float32):
            cost = diversity_loss(network(crops, with_attention=True)[2])
        optimizer.zero_grad()
        cost.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        costs.append(cost.item())
    assert costs[-1] < 0.5 * costs[0]
