"""The averaged weights, and statistics that fit them."""

import torch

from facial_emotion_ros.training.loop.averaging import Average, recalibrate
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


def test_statistics_of_base_and_branches_are_those_of_the_faces_when_they_are_measured_anew():
    torch.manual_seed(0)
    network = ESR(2).eval()
    crops = [torch.rand(4, 3, 56, 56), torch.rand(4, 3, 56, 56)]
    recalibrate(network, crops)
    assert not any(module.training for module in network.modules())
    assert {module.momentum for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)} == {0.1}
    with torch.no_grad():
        shown = torch.stack([network.base.conv1(batch).mean((0, 2, 3)) for batch in crops]).mean(0)
    torch.testing.assert_close(network.base.bn1.running_mean, shown, atol=1e-5, rtol=1e-4)
    assert all(branch.bn4.num_batches_tracked == 2 for branch in network.convolutional_branches)
