"""The averaged weights."""

import torch

from facial_emotion_ros.training.loop.averaging import Average
from facial_emotion_ros.training.model.network import ESR


def test_the_average_follows_slowly_when_the_network_moves():
    network = ESR(1)
    average = Average(network, 0.9)
    before = network.base.conv1.weight.detach().clone()
    with torch.no_grad():
        network.base.conv1.weight += 1
        network.base.bn1.num_batches_tracked += 3
    average.follow(network, 1000)
    torch.testing.assert_close(average.network.base.conv1.weight, before + 0.1)
    assert average.network.base.bn1.num_batches_tracked == 3
    assert not average.network.training and network.training
    average.follow(network, 1)  # at the beginning it follows faster: 1 / 11 of the former stays
    torch.testing.assert_close(average.network.base.conv1.weight, before + 1 - 0.9 / 11)


def test_the_average_is_the_network_itself_when_there_is_no_averaging():
    network = ESR(1)
    average = Average(network, 0.0)
    with torch.no_grad():
        network.base.conv1.weight += 1
    average.follow(network, 1000)
    assert torch.equal(average.network.base.conv1.weight, network.base.conv1.weight)
