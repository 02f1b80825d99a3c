"""Grad-CAM against its definition by gradients, and where its cells look."""

import pytest
import torch
from tiny_training import measured, quick_trainings  # noqa: F401

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.training.model.grad_cam import CELL_PX, FIRST_CELL_PX, grad_cam, on_crop
from facial_emotion_ros.training.model.network import ESR


@pytest.fixture(scope='module', params=[False, True], ids=['ESR', 'ESR*'])
def network(request):
    """Return an ensemble of two whose running statistics are those of random pictures."""
    torch.manual_seed(0)
    return measured(ESR(2, request.param), 96)


def test_maps_are_what_the_gradients_say(network):
    crops = torch.rand(2, 3, 96, 96)
    maps, logits = grad_cam(network, crops)
    assert maps.shape == (2, 2, 8, 6, 6) and not maps.requires_grad
    torch.testing.assert_close(logits, network(crops)[0].detach(), atol=1e-6, rtol=1e-5)
    for place, branch in enumerate(network.convolutional_branches):
        last = branch.maps(network.base(crops))[0].detach().requires_grad_()
        answers = branch.heads(last)[0]
        for emotion in (0, 5):
            (gradient,) = torch.autograd.grad(answers[:, emotion].sum(), last, retain_graph=True)
            expected = (gradient.mean((2, 3), keepdim=True) * last).sum(1).relu().detach()
            torch.testing.assert_close(maps[:, place, emotion], expected, atol=1e-6, rtol=1e-4)
    assert maps.amax((-2, -1)).max() > 0


def test_maps_of_no_face_are_empty(network):
    maps, logits = grad_cam(network, torch.zeros(0, 3, 64, 64))
    assert maps.shape == (0, 2, 8, 2, 2) and logits.shape == (0, 2, 8)
    assert on_crop(maps, 64).shape == (0, 2, 8, 64, 64)


@pytest.mark.parametrize('size_px, cells', [(96, 6), (64, 2), (120, 9)])
def test_a_cell_s_heat_lies_where_it_looks_when_gradients_reach_the_pixels(size_px, cells):
    torch.manual_seed(1)
    network = ESR(1).eval()
    crops = torch.rand(2, 3, size_px, size_px, requires_grad=True)
    last = network.convolutional_branches[0].maps(network.base(crops))[0]
    assert last.shape[-1] == cells
    row, column = cells - 1, 0  # where a map that is stretched over the crop goes most astray
    (gradient,) = torch.autograd.grad(last[:, :, row, column].sum(), crops)
    seen = gradient.square().sum((0, 1))
    maps = torch.zeros(cells, cells)
    maps[row, column] = 1.0
    heat = on_crop(maps, size_px)
    pixels = torch.arange(size_px, dtype=torch.float32)
    for weights, cell in ((lambda each: each.sum(1), row), (lambda each: each.sum(0), column)):
        middle = FIRST_CELL_PX + CELL_PX * cell
        for each in (heat, seen):
            assert abs((weights(each) * pixels).sum() / each.sum() - middle) < 6.0


def test_a_network_in_training_is_refused():
    with pytest.raises(BadParameter, match=r'eval\(\)'):
        grad_cam(ESR(1).train(), torch.rand(1, 3, 64, 64))
