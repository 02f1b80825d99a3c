"""Checkpoints of the authors' code and of OpenDR, against a forward pass that knows nothing of our modules."""

import functools
import os

import pytest
import torch
from tiny_training import write_published
from torch.nn import functional

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.training.model.author_checkpoints import read_published
from facial_emotion_ros.training.model.export import network_of
from facial_emotion_ros.training.model.network import ESR

BASE, BRANCH = 'Net-Base-Shared_Representations.pt', 'Net-Branch_{}.pt'


def cbam_names(channels):
    """Return names and shapes of the published CBAM."""
    hidden, gate, place = channels // 16, 'ChannelGate.mlp.', 'SpatialGate.spatial.'
    return {
        gate + '1.weight': (hidden, channels),
        gate + '1.bias': (hidden,),
        gate + '3.weight': (channels, hidden),
        gate + '3.bias': (channels,),
        place + 'conv.weight': (1, 2, 7, 7),
        **norm_names(place + 'bn.', 1),
    }


def norm_names(prefix, channels):
    """Return names and shapes of a batch norm."""
    names = {prefix + name: (channels,) for name in ('weight', 'bias', 'running_mean', 'running_var')}
    return dict(names, **{prefix + 'num_batches_tracked': ()})


def part_names(widths, kernels, diversified, heads=False):
    """Return names and shapes of one published file: of the base, or of a branch with its heads."""
    names = {}
    for i, (inputs, outputs, kernel) in enumerate(zip(widths, widths[1:], kernels), 1):
        names.update({f'conv{i}.weight': (outputs, inputs, kernel, kernel), f'conv{i}.bias': (outputs,)})
        names.update(norm_names(f'bn{i}.', outputs))
        if diversified:
            names.update({f'cbam{i}.{name}': shape for name, shape in cbam_names(outputs).items()})
    if heads:
        names.update(
            {'fc.weight': (8, 512), 'fc.bias': (8,), 'fc_dimensional.weight': (2, 8), 'fc_dimensional.bias': (2,)}
        )
    return names


def random_part(names, generator):
    """Return random tensors of these names and shapes."""
    part = {}
    for name, shape in names.items():
        if name.endswith('num_batches_tracked'):
            part[name] = torch.tensor(7)
        elif name.endswith('running_var') or name.split('.')[-2].startswith('bn') and name.endswith('weight'):
            part[name] = 0.5 + torch.rand(shape, generator=generator)
        else:
            spread = 0.2 if len(shape) < 2 else (2.0 / torch.Size(shape[1:]).numel()) ** 0.5
            part[name] = spread * torch.randn(shape, generator=generator)
    return part


@functools.lru_cache
def random_parts(branches, diversified):
    """Return the parts of a checkpoint of random weights, to be copied.

    Their running statistics are those of some random pictures, so that activations are of the size that they are in
    use.
    """
    generator = torch.Generator().manual_seed(branches)
    parts = [random_part(part_names((3, 64, 128, 128, 128), (5, 3, 3, 3), diversified), generator)]
    for _ in range(branches):
        names = part_names((128, 128, 256, 256, 512), (3, 3, 3, 3), diversified, heads=True)
        parts.append(random_part(names, generator))
    plain_forward(parts, crops_of(64, generator), measure=True)
    return parts


def checkpoint(folder, branches, diversified=False, **options):
    """Write a checkpoint of random weights as the published code does; return its parts."""
    parts = [{name: tensor.clone() for name, tensor in part.items()} for part in random_parts(branches, diversified)]
    folder.mkdir(exist_ok=True)
    torch.save(parts[0], folder / BASE, **options)
    for number, part in enumerate(parts[1:], 1):
        torch.save(part, folder / BRANCH.format(number), **options)
    return parts


def crops_of(size_px, generator):
    """Return three random pictures that differ in brightness, contrast and pattern."""
    coarse = torch.rand(3, 3, 6, 6, generator=generator)
    fine = torch.rand(3, 3, size_px, size_px, generator=generator)
    contrast = torch.linspace(0.1, 0.9, 3)[:, None, None, None]
    return contrast * functional.interpolate(coarse, size=size_px, mode='bilinear') + 0.1 * fine


def plain_cbam(part, prefix, features, measure):
    """Weigh by channel, then by place; return the features, the weights of channels and those of places."""

    def mlp(pooled):
        gate = prefix + 'ChannelGate.mlp.'
        hidden = functional.linear(pooled, part[gate + '1.weight'], part[gate + '1.bias'])
        return functional.linear(torch.relu(hidden), part[gate + '3.weight'], part[gate + '3.bias'])

    channel = torch.sigmoid(mlp(features.mean((2, 3))) + mlp(features.amax((2, 3))))
    features = features * channel[:, :, None, None]
    statistics = torch.cat([features.amax(1, keepdim=True), features.mean(1, keepdim=True)], 1)
    place = prefix + 'SpatialGate.spatial.'
    convolved = functional.conv2d(statistics, part[place + 'conv.weight'], padding=3)
    places = torch.sigmoid(plain_norm(part, place + 'bn.', convolved, measure))
    return features * places, channel, places[:, 0]


def plain_norm(part, prefix, features, measure):
    """Normalise by running statistics, which can be measured first."""
    if measure:
        part[prefix + 'running_mean'] = features.mean((0, 2, 3))
        part[prefix + 'running_var'] = features.var((0, 2, 3))
    return functional.batch_norm(
        features,
        part[prefix + 'running_mean'],
        part[prefix + 'running_var'],
        part[prefix + 'weight'],
        part[prefix + 'bias'],
        eps=1e-5,
    )


def plain_blocks(part, features, pooled, padded, measure):
    """Run four blocks: convolution, batch norm, ReLU, pooling in some, CBAM where the file has it."""
    for i in (1, 2, 3, 4):
        padding = 1 if i in padded else 0
        features = functional.conv2d(features, part[f'conv{i}.weight'], part[f'conv{i}.bias'], padding=padding)
        features = torch.relu(plain_norm(part, f'bn{i}.', features, measure))
        if i in pooled:
            features = functional.max_pool2d(features, 2, 2)
        if f'cbam{i}.ChannelGate.mlp.1.weight' in part:
            features = plain_cbam(part, f'cbam{i}.', features, measure)[0]
    return features


def plain_forward(parts, crops, measure=False):
    """Compute logits and affect as the papers describe it, from the files' own names, in functions of torch alone."""
    shared = plain_blocks(parts[0], crops, pooled=(2, 4), padded=(), measure=measure)
    answers = []
    for part in parts[1:]:
        maps = plain_blocks(part, shared, pooled=(2,), padded=(4,), measure=measure)
        logits = functional.linear(maps.mean((2, 3)), part['fc.weight'], part['fc.bias'])
        affect = functional.linear(torch.relu(logits), part['fc_dimensional.weight'], part['fc_dimensional.bias'])
        answers.append((logits, affect))
    return [torch.stack(each, 1) for each in zip(*answers)]


@pytest.mark.parametrize(
    'branches, diversified, size_px',
    [
        (1, False, 64),
        (2, False, 96),
        (2, True, 64),
    ],
)
def test_a_published_checkpoint_gives_what_a_plain_forward_pass_gives(tmp_path, branches, diversified, size_px):
    parts = checkpoint(tmp_path, branches, diversified)
    network = network_of(read_published(tmp_path))
    assert network.branches == branches and network.diversified == diversified
    crops = crops_of(size_px, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for output, expected in zip(network(crops), plain_forward(parts, crops)):
            assert expected.std(0).min() > 1e-2  # faces differ: there is something to compare
            torch.testing.assert_close(output, expected, atol=1e-5, rtol=0)
        # Without the rounding of single precision, nothing is left of a difference.
        parts, crops = [{name: tensor.double() for name, tensor in part.items()} for part in parts], crops[:1].double()
        for output, expected in zip(network.double()(crops), plain_forward(parts, crops)):
            torch.testing.assert_close(output, expected, atol=1e-10, rtol=0)


def test_files_of_old_torch_are_read_when_they_have_no_counters(tmp_path):
    # The authors' files were written by a torch before 1.6, in its former format.
    parts = checkpoint(tmp_path, 1, _use_new_zipfile_serialization=False)
    old = {name: tensor for name, tensor in parts[0].items() if not name.endswith('num_batches_tracked')}
    torch.save(old, tmp_path / BASE, _use_new_zipfile_serialization=False)
    assert network_of(read_published(tmp_path)).branches == 1


def test_branches_without_affect_layers_get_our_projection_and_it_is_reported(tmp_path):
    checkpoint(tmp_path, 2)
    path = tmp_path / BRANCH.format(1)
    bare = {name: tensor for name, tensor in torch.load(path, weights_only=True).items() if 'dimensional' not in name}
    torch.save(bare, path)
    told = []
    weights = read_published(tmp_path, report=told.append)
    (line,) = told
    assert '1 of 2 branches' in line and 'fc_dimensional' in line
    layer = weights['convolutional_branches.0.fc_dimensional.weight']
    happy, sad = EMOTIONS.index('happy'), EMOTIONS.index('sad')
    assert layer.shape == (2, 8) and layer[0, happy] > 0 > layer[0, sad]
    assert not torch.equal(layer, weights['convolutional_branches.1.fc_dimensional.weight'])
    network_of(weights)


@pytest.mark.parametrize('diversified', [False, True])
def test_what_is_written_comes_back_and_has_the_published_names(tmp_path, diversified):
    network = ESR(2, diversified).half()
    write_published(tmp_path, network.state_dict())
    files = {
        BASE: part_names((3, 64, 128, 128, 128), (5, 3, 3, 3), diversified),
        BRANCH.format(1): part_names((128, 128, 256, 256, 512), (3, 3, 3, 3), diversified, heads=True),
    }
    files[BRANCH.format(2)] = files[BRANCH.format(1)]
    assert sorted(files) == sorted(os.listdir(tmp_path))
    for file, expected in files.items():
        part = torch.load(tmp_path / file, weights_only=True)
        assert {key: tuple(tensor.shape) for key, tensor in part.items()} == expected
    weights = read_published(tmp_path, 2)
    for key, tensor in network.state_dict().items():
        assert torch.equal(weights[key], tensor.float() if tensor.is_floating_point() else tensor)


def test_every_absent_file_is_named(tmp_path):
    checkpoint(tmp_path, 3)
    (tmp_path / BASE).unlink()
    (tmp_path / BRANCH.format(2)).unlink()
    with pytest.raises(BadModel, match='ESR-4.*no Net-Base-Shared.*no Net-Branch_2.pt, no Net-Branch_4.pt'):
        read_published(tmp_path, 4)


class Dangerous:
    """Leaves a file behind when it is unpickled."""

    def __reduce__(self):
        return (exec, ("open('harm.txt', 'w').close()",))


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut'])
def test_a_damaged_file_is_refused_by_name(tmp_path, content):
    checkpoint(tmp_path, 2)
    (tmp_path / BRANCH.format(2)).write_bytes(content)
    with pytest.raises(BadModel, match='Net-Branch_2.pt: expected a state dict'):
        read_published(tmp_path, 2)


@pytest.mark.parametrize('content', [Dangerous(), {'fc.weight': Dangerous()}, [torch.zeros(1)], {}, {'epoch': 3}])
def test_anything_but_plain_tensors_is_refused_and_not_run(tmp_path, content, monkeypatch):
    monkeypatch.chdir(tmp_path)
    checkpoint(tmp_path, 1)
    torch.save(content, tmp_path / BRANCH.format(1))
    with pytest.raises(BadModel, match='Net-Branch_1.pt: expected a state dict'):
        read_published(tmp_path, 1)
    assert not (tmp_path / 'harm.txt').exists()


@pytest.mark.parametrize(
    'number, spoil, words',
    [
        (0, lambda part: part.pop('conv1.weight'), 'Net-Base.*: .*conv1.weight is missing'),
        (
            1,
            lambda part: part.update({'fc.weight': torch.zeros(7, 512)}),
            r'Net-Branch_1.pt: .*\(8, 512\).*got \(7, 512\)',
        ),
        (
            2,
            lambda part: part.update({'cbam1.x': torch.zeros(1)}),
            'Net-Branch_2.pt: expected a plain ESR like its base.*cbam1.x is unknown',
        ),
        (
            2,
            lambda part: part['bn2.bias'].fill_(torch.nan),
            'Net-Branch_2.pt: .*bn2.bias has values that are not finite',
        ),
        (1, lambda part: [part.update({f'module.{name}': part.pop(name)}) for name in list(part)], 'and [0-9]+ more'),
    ],
)
def test_a_file_that_does_not_fit_is_named_with_what_is_wrong(tmp_path, number, spoil, words):
    parts = checkpoint(tmp_path, 2)
    spoil(parts[number])
    torch.save(parts[number], tmp_path / (BRANCH.format(number) if number else BASE))
    with pytest.raises(BadModel, match=words):
        read_published(tmp_path, 2)


def test_all_files_that_do_not_fit_are_named_when_a_branch_is_no_esr_star_s(tmp_path):
    checkpoint(tmp_path, 2)
    generator = torch.Generator().manual_seed(0)
    torch.save(random_part(part_names((3, 64, 128, 128, 128), (5, 3, 3, 3), True), generator), tmp_path / BASE)
    with pytest.raises(
        BadModel, match=r'Net-Branch_1.pt: expected an ESR\*.*cbam1.*Net-Branch_2.pt: expected an ESR\*'
    ):
        read_published(tmp_path)


@pytest.mark.parametrize('options', [{'branches': 0}, {'branch_file': 'Net-Branch.pt'}])
def test_wishes_that_cannot_be_met_are_refused(tmp_path, options):
    with pytest.raises(BadParameter):
        read_published(tmp_path, **options)
