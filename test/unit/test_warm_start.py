"""Weights to start from: files, bundles, fewer branches."""

import pytest
import torch
from tiny_training import published_channels, quick_trainings, write_published  # noqa: F401

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.training.loop import saved_network
from facial_emotion_ros.training.loop.checkpoint import save_weights
from facial_emotion_ros.training.loop.warm_start import network_from, read_start, widen
from facial_emotion_ros.training.model.network import ESR, branches_of

PREFIX = 'convolutional_branches.'


def generator():
    """Return a torch.Generator of a fixed seed."""
    return torch.Generator().manual_seed(0)


def test_new_branches_are_copies_with_new_late_layers_when_weights_are_widened():
    torch.manual_seed(0)
    narrow = ESR(2).state_dict()
    wide = widen(narrow, 5, generator())
    ESR(5).load_state_dict(wide)
    assert torch.equal(wide[PREFIX + '1.conv4.weight'], narrow[PREFIX + '1.conv4.weight'])
    assert torch.equal(wide[PREFIX + '3.conv3.weight'], narrow[PREFIX + '1.conv3.weight'])
    assert not torch.equal(wide[PREFIX + '3.conv4.weight'], narrow[PREFIX + '1.conv4.weight'])
    assert not torch.equal(wide[PREFIX + '4.conv3.weight'], narrow[PREFIX + '0.conv3.weight'])
    assert (wide[PREFIX + '3.bn4.running_var'] == 1).all() and (wide[PREFIX + '3.bn4.running_mean'] == 0).all()


def test_a_network_is_the_same_when_it_is_drawn_again_and_nothing_else_is_disturbed():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first = network_from(None, 1, False, generator())
    assert torch.equal(torch.rand(1), expected)
    again = network_from(None, 1, False, generator())
    assert torch.equal(first.base.conv1.weight, again.base.conv1.weight)


def test_a_diversified_network_starts_from_a_plain_one_when_it_has_no_attention_to_offer():
    weights = ESR(1).state_dict()
    network = network_from(weights, 2, True, generator())
    assert network.diversified and network.branches == 2
    assert torch.equal(network.base.conv1.weight, weights['base.conv1.weight'])


def test_weights_are_refused_when_they_do_not_fit():
    with pytest.raises(BadModel, match='an ESR with 1 branches'):
        network_from(ESR(1, diversified=True).state_dict(), 1, False, generator())
    lacking = {name: tensor for name, tensor in ESR(1).state_dict().items() if name != 'base.conv1.weight'}
    with pytest.raises(BadModel, match='missing.*base.conv1.weight'):
        network_from(lacking, 1, False, generator())
    with pytest.raises(BadModel, match='do not fit'):
        network_from(dict(ESR(1).state_dict(), **{'base.conv1.weight': torch.zeros(2)}), 1, False, generator())
    with pytest.raises(BadModel, match='with branches'):
        branches_of({'conv1.weight': torch.zeros(1)})


@pytest.mark.usefixtures('published_channels')
def test_weights_are_read_when_they_lie_in_a_file_or_a_bundle(tmp_path):
    weights = ESR(1).state_dict()
    save_weights(str(tmp_path / 'weights.safetensors'), weights)
    read, geometry = read_start(str(tmp_path / 'weights.safetensors'))
    assert geometry is None and torch.equal(read['base.conv1.weight'], weights['base.conv1.weight'])
    pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')
    read, geometry = read_start('esr_9_ferplus')
    assert branches_of(read) == 9 and geometry.level_eyes and geometry.size_px == 64


@pytest.mark.parametrize('has_json', [False, True], ids=["the authors'", 'of save()'])
def test_a_folder_of_opendr_s_layout_is_a_start(tmp_path, has_json):
    weights = ESR(2).state_dict()
    if has_json:
        saved_network.save_weights(tmp_path, 'mine', weights, saved_network.InputSpec())
    else:
        write_published(tmp_path, weights)
    read, geometry = read_start(str(tmp_path))
    assert branches_of(read) == 2 and (geometry.color, geometry.size_px, geometry.margin) == ('bgr', 96, 1.0)
    assert torch.equal(read[PREFIX + '1.fc.weight'], weights[PREFIX + '1.fc.weight'])


@pytest.mark.parametrize('path', ['absent.safetensors', 'no_such_bundle', 'no/such/folder'])
def test_weights_are_refused_when_they_are_not_there(path):
    with pytest.raises(BadModel, match='expected'):
        read_start(path)
