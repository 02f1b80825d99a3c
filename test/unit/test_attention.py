"""CBAM: what it computes, and what it is called."""

import pytest
import torch
from test_author_checkpoints import plain_cbam
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


@pytest.mark.parametrize('shape', [(3, 32, 5, 5), (1, 32, 1, 1), (0, 32, 4, 4)])
def test_channels_are_weighed_before_places_when_features_come_in(block, shape):
    features = torch.randn(shape)
    with torch.inference_mode():
        for output, expected in zip(block(features), plain_cbam(block.state_dict(), '', features, measure=False)):
            assert output.shape == expected.shape
            torch.testing.assert_close(output, expected, atol=1e-6, rtol=1e-5)


def test_a_batch_of_its_own_moves_the_spatial_statistics_by_a_hundredth_when_training(block):
    # The published momentum is 0.01, a tenth of torch's.
    norm = block.SpatialGate.spatial.bn
    before = norm.running_mean.clone()
    statistics = torch.full((2, 2, 5, 5), 7.0)
    block.train().SpatialGate.spatial(statistics)
    convolved = functional.conv2d(statistics, block.SpatialGate.spatial.conv.weight, padding=3)
    torch.testing.assert_close(norm.running_mean, 0.99 * before + 0.01 * convolved.mean())
