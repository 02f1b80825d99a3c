"""CBAM: what it computes, and what it is called."""

import pytest
import torch
from torch.nn import functional

from facial_emotion_ros.training.model.attention import CBAM


@pytest.fixture
def block():
    """Return CBAM of 32 channels in evaluation mode, the statistics of its batch norm not those of a new one."""
    torch.manual_seed(0)
    block = CBAM(32).train()
    for _ in range(3):
        block(3 * torch.rand(4, 32, 5, 5))
    return block.eval()


def plain(weights, features):
    """Compute CBAM by the published names, without any module of ours."""

    def mlp(pooled):
        hidden = torch.relu(pooled @ weights['ChannelGate.mlp.1.weight'].T + weights['ChannelGate.mlp.1.bias'])
        return hidden @ weights['ChannelGate.mlp.3.weight'].T + weights['ChannelGate.mlp.3.bias']

    channel = torch.sigmoid(mlp(features.mean((2, 3))) + mlp(features.flatten(2).max(2).values))
    weighed = features * channel[:, :, None, None]
    statistics = torch.cat([weighed.max(1, keepdim=True).values, weighed.mean(1, keepdim=True)], 1)
    norm = [weights[f'SpatialGate.spatial.bn.{name}'] for name in ('running_mean', 'running_var', 'weight', 'bias')]
    convolved = functional.conv2d(statistics, weights['SpatialGate.spatial.conv.weight'], padding=3)
    spatial = torch.sigmoid(functional.batch_norm(convolved, *norm))
    return weighed * spatial, channel, spatial[:, 0]


@pytest.mark.parametrize('shape', [(3, 32, 5, 5), (1, 32, 1, 1), (0, 32, 4, 4)])
def test_channels_are_weighed_before_places_when_features_come_in(block, shape):
    features = torch.randn(shape)
    with torch.inference_mode():
        for output, expected in zip(block(features), plain(block.state_dict(), features)):
            assert output.shape == expected.shape
            torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)


def test_attention_lies_between_zero_and_one_when_features_are_large(block):
    with torch.inference_mode():
        _, channel, spatial = block(1000 * torch.randn(2, 32, 6, 6))
    for attention in (channel, spatial):
        assert attention.min() >= 0 and attention.max() <= 1


def test_a_batch_of_its_own_moves_the_spatial_statistics_by_a_hundredth_when_training(block):
    # The published momentum is 0.01, a tenth of torch's.
    norm = block.SpatialGate.spatial.bn
    before = norm.running_mean.clone()
    statistics = torch.full((2, 2, 5, 5), 7.0)
    block.train().SpatialGate.spatial(statistics)
    convolved = functional.conv2d(statistics, block.SpatialGate.spatial.conv.weight, padding=3)
    torch.testing.assert_close(norm.running_mean, 0.99 * before + 0.01 * convolved.mean())


def test_every_weight_gets_a_gradient_when_the_output_is_learned_from(block):
    block.train()(torch.randn(2, 32, 5, 5))[0].square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in block.parameters())
