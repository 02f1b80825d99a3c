"""From torch to a bundle and back."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_training import measured, published_channels, quick_trainings  # noqa: F401

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.onnxruntime_backend import OrtModel
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.model import export
from facial_emotion_ros.training.model.network import ESR

DESCRIPTION = {
    'name': 'esr_2_random',
    'version': '0.0.1',
    'affect_derived_from': 'nothing: random weights',
    'source': {'architecture': 'ESR-2'},
    'licence': {'spdx': 'Apache-2.0'},
}


def used(branches, diversified, size_px):
    """Return a network of the same random weights each time, as after some training."""
    torch.manual_seed(0)
    return measured(ESR(branches, diversified), size_px)


def crops_of(count, size_px, seed=0):
    """Return random pictures that differ in contrast and pattern."""
    generator = torch.Generator().manual_seed(seed)
    patterns = torch.rand(count, 3, 8, 8, generator=generator)
    contrast = torch.rand(count, 1, 1, 1, generator=generator)
    # By itself, each pixel so many times.
    return contrast * patterns.repeat_interleave(size_px // 8, 2).repeat_interleave(size_px // 8, 3)


@pytest.fixture(scope='module')
def network():
    """Return an ESR-2 with random weights of half precision's values and used batch norm."""
    return export.network_of(export.halved(used(2, False, 64).state_dict()))


@pytest.fixture(scope='module')
def bundle(network, tmp_path_factory):
    """Return the network's bundle."""
    folder = tmp_path_factory.mktemp('bundles') / 'esr_2_random'
    return export.write_esr_bundle(folder, network, CropGeometry(), DESCRIPTION)


@pytest.fixture(scope='module')
def diversified():
    """Return an ESR*-2 for crops of 64 px, with random weights of half precision's values."""
    return export.network_of(export.halved(used(2, True, 64).state_dict()))


@pytest.fixture(scope='module')
def diversified_bundle(diversified, tmp_path_factory):
    """Return its bundle."""
    folder = tmp_path_factory.mktemp('bundles') / 'esr_star_2_random'
    geometry = CropGeometry(size_px=64)
    return export.write_esr_bundle(folder, diversified, geometry, DESCRIPTION, temperature=1.5)


@pytest.mark.parametrize('kind', ['', 'diversified_'])
@pytest.mark.parametrize('count', [0, 1, 3])
def test_onnx_runtime_gives_what_torch_gives(request, kind, count):
    network, bundle = (request.getfixturevalue(each) for each in (kind.strip('_') or 'network', kind + 'bundle'))
    crops = crops_of(count, bundle.manifest['input']['size_px'], seed=1)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(crops)]
    # The model itself, as the engine answers N = 0 without it.
    outputs = OrtModel(bundle, ProviderPlan()).run(['logits', 'affect'], {'crops': crops.numpy()})
    for output, wanted in zip(outputs, expected):
        assert output.shape == wanted.shape
        if count > 1:
            assert wanted.std(0).min() > 1e-3  # faces differ: there is something to compare
        np.testing.assert_allclose(output, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('is_diversified, half', [(False, False), (False, True), (True, False)])
def test_a_folded_network_gives_the_same(is_diversified, half):
    network = used(1, is_diversified, 64)
    model_bytes = export.to_onnx(network, 64, fold=True, half=half)
    kinds = {node.op_type for node in onnx.load_from_string(model_bytes).graph.node}
    assert 'BatchNormalization' not in kinds and ('Cast' in kinds) == half
    crops = crops_of(3, 64, seed=1)
    with torch.inference_mode():
        expected = network(crops)[0].numpy()
    session = onnxruntime.InferenceSession(model_bytes, providers=['CPUExecutionProvider'])
    found = session.run(['logits'], {'crops': crops.numpy()})[0]
    np.testing.assert_allclose(found, expected, atol=1e-2 if half else 1e-4, rtol=1e-2 if half else 1e-4)


def test_single_precision_is_kept_when_it_is_wanted(tmp_path):
    network = used(1, False, 64)
    bundle = export.write_esr_bundle(tmp_path / 'single', network, CropGeometry(size_px=64), DESCRIPTION, half=False)
    assert bundle.manifest['model']['precision'] == 'fp32'
    weights = export.weights_of(bundle)
    assert all(
        torch.equal(weights[name], tensor)
        for name, tensor in network.state_dict().items()
        if not name.endswith('num_batches_tracked')
    )


@pytest.mark.filterwarnings('error')  # of the exporter about what it cannot follow
def test_a_network_in_training_mode_is_exported_as_it_infers_and_left_in_that_mode():
    for fold in (False, True):
        training = ESR(1).train()
        kinds = {node.op_type for node in onnx.load_from_string(export.to_onnx(training, 64, fold)).graph.node}
        assert 'Dropout' not in kinds and ('BatchNormalization' in kinds) != fold
        assert training.training and all(module.training for module in training.modules())
        assert not training.base.bn1.running_mean.any()


@pytest.mark.usefixtures('published_channels')
def test_the_embedded_bundle_gives_what_torch_gives_from_its_own_weights():
    bundle = ModelBundle.open(embedded_bundle('esr_9_ferplus'), expect='esr')
    network = export.network_of(export.weights_of(bundle))
    assert network.branches == 9
    size = bundle.manifest['input']['size_px']
    crops = np.random.default_rng(0).random((3, 3, size, size)).astype(np.float32)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(torch.from_numpy(crops))]
    for output, wanted in zip(EsrEngine(bundle).run(crops), expected):
        np.testing.assert_allclose(output, wanted, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize('kind', ['', 'diversified_'])
def test_the_weights_come_back_from_the_bundle(request, kind):
    network = request.getfixturevalue(kind.strip('_') or 'network')
    weights = export.weights_of(request.getfixturevalue(kind + 'bundle'))
    assert set(weights) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(weights[name], tensor), name
    again = export.network_of(weights)
    assert again.diversified == network.diversified and again.branches == network.branches


def test_every_name_is_kept_when_tensors_are_equal():
    # The exporter merges equal tensors: a new network has many, and the gates' single numbers are equal often.
    network = ESR(2, True)
    bundle = ModelBundle('', {'outputs': {'logits': {'branches': 2}}}, export.to_onnx(network, 64))
    assert set(export.weights_of(bundle)) == set(network.state_dict())


def test_the_manifest_says_what_the_robot_must_know(bundle):
    manifest = bundle.manifest
    assert manifest['outputs']['logits']['labels'] == list(EMOTIONS)
    assert manifest['outputs']['logits']['branches'] == 2
    assert CropGeometry.from_manifest(manifest['input']) == CropGeometry()
    assert manifest['model']['opset'] == 13 and manifest['model']['ir_version'] <= 7
    assert manifest['outputs']['logits']['temperature'] == 1.0 and 'offsets' not in manifest['outputs']['logits']


def test_size_and_calibration_reach_the_robot_when_they_are_not_the_usual_ones(diversified_bundle):
    manifest = diversified_bundle.manifest
    assert manifest['model']['opset'] == 13 and manifest['model']['ir_version'] <= 7
    assert manifest['input']['size_px'] == 64 and manifest['input']['shape'] == ['N', 3, 64, 64]
    engine = EsrEngine(diversified_bundle)
    assert engine.point.temperature == 1.5
    assert engine.run(np.zeros((2, 3, 64, 64), np.float32))[0].shape == (2, 2, 8)


@pytest.mark.parametrize('temperature', [0, -1, float('nan'), float('inf')])
def test_a_temperature_is_refused_when_it_is_not_above_zero(network, tmp_path, temperature):
    with pytest.raises(BadParameter, match='above 0'):
        export.write_esr_bundle(tmp_path / 'bad', network, CropGeometry(), DESCRIPTION, temperature)


def test_a_size_is_refused_when_nothing_would_be_left_to_convolve(network):
    with pytest.raises(BadParameter, match='at least 54 px for an ESR, got 48'):
        export.to_onnx(network, 48)


def test_large_weights_are_stored_in_half_precision_and_batch_norm_is_not(bundle):
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load_from_string(bundle.model_bytes).graph.initializer}
    assert kinds['convolutional_branches.0.conv4.weight.half'] == onnx.TensorProto.FLOAT16
    assert kinds['base.bn2.running_var'] == onnx.TensorProto.FLOAT


@pytest.mark.parametrize(
    'spoil',
    [
        lambda weights: weights.pop('base.conv1.weight'),
        lambda weights: weights.update({'base.conv1.weight': torch.zeros(64, 1, 5, 5)}),
        lambda weights: weights.update({'head.weight': torch.zeros(1)}),
        lambda weights: weights.update({'base.cbam1.weight': torch.zeros(1)}),
        lambda weights: weights.update({'convolutional_branches.x.fc.weight': torch.zeros(1)}),
        lambda weights: weights.clear(),
    ],
)
def test_weights_are_refused_when_they_are_not_an_esr_s(network, spoil):
    weights = dict(network.state_dict())
    spoil(weights)
    with pytest.raises(BadModel, match='ESR'):
        export.network_of(weights)


def test_a_bundle_cannot_be_trained_on_when_its_weights_have_other_names(bundle, tmp_path):
    model = onnx.load_from_string(bundle.model_bytes)
    for tensor in model.graph.initializer:
        if tensor.name == 'base.bn1.weight':
            tensor.name = 'renamed'
    for node in model.graph.node:
        node.input[:] = ['renamed' if name == 'base.bn1.weight' else name for name in node.input]
    other = ModelBundle(bundle.folder, bundle.manifest, model.SerializeToString())
    with pytest.raises(BadModel, match='base.bn1.weight'):
        export.weights_of(other)
