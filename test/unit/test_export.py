"""From torch to a bundle and back."""

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')
onnx = pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')

from facial_emotion_ros.emotions import EMOTIONS  # noqa: E402
from facial_emotion_ros.errors import BadModel  # noqa: E402
from facial_emotion_ros.esr_engine import EsrEngine  # noqa: E402
from facial_emotion_ros.face_crop import CropGeometry  # noqa: E402
from facial_emotion_ros.learning import export  # noqa: E402
from facial_emotion_ros.learning.network import ESR  # noqa: E402
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle  # noqa: E402
from facial_emotion_ros.onnx_session import RunningModel  # noqa: E402

DESCRIPTION = {
    'name': 'esr_3_random', 'version': '0.0.1', 'affect_derived_from': 'nothing: random weights',
    'source': {'architecture': 'ESR-3'}, 'licence': {'spdx': 'Apache-2.0'},
}


@pytest.fixture(scope='module')
def network():
    """Return an ESR-3 with random weights of half precision's values and used batch norm."""
    torch.manual_seed(0)
    network = ESR(3).train()
    with torch.no_grad():
        network(torch.rand(8, 3, 96, 96))
    return export.network_of(export.halved(network.state_dict()))


@pytest.fixture(scope='module')
def bundle(network, tmp_path_factory):
    """Return the network's bundle."""
    folder = tmp_path_factory.mktemp('bundles') / 'esr_3_random'
    return export.write_esr_bundle(folder, network, CropGeometry(), DESCRIPTION)


@pytest.mark.parametrize('count', [0, 1, 3, 17])
def test_onnx_runtime_gives_what_torch_gives(network, bundle, count):
    crops = np.random.default_rng(count).random((count, 3, 96, 96)).astype(np.float32)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(torch.from_numpy(crops))]
    # The model itself, as the engine answers N = 0 without it.
    outputs = RunningModel(bundle).run(['logits', 'affect'], {'crops': crops})
    for output, wanted in zip(outputs, expected):
        assert output.shape == wanted.shape
        np.testing.assert_allclose(output, wanted, atol=1e-4, rtol=1e-4)


def test_the_embedded_bundle_gives_what_torch_gives_from_its_own_master_weights():
    bundle = ModelBundle.open(embedded_bundle('esr_9_ferplus'), expect='esr')
    network = export.network_of(export.weights_of(bundle))
    assert network.branches == 9
    crops = np.random.default_rng(0).random((3, 3, 96, 96)).astype(np.float32)
    with torch.inference_mode():
        expected = [output.numpy() for output in network(torch.from_numpy(crops))]
    for output, wanted in zip(EsrEngine(bundle).run(crops), expected):
        np.testing.assert_allclose(output, wanted, atol=1e-3, rtol=1e-3)


def test_the_master_weights_come_back_from_the_bundle(network, bundle):
    weights = export.weights_of(bundle)
    assert set(weights) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        if not name.endswith('num_batches_tracked'):
            assert torch.equal(weights[name], tensor), name


def test_the_manifest_says_what_the_robot_must_know(bundle):
    manifest = bundle.manifest
    assert manifest['outputs']['logits']['labels'] == list(EMOTIONS)
    assert manifest['outputs']['logits']['branches'] == 3
    assert CropGeometry.from_manifest(manifest['input']) == CropGeometry()
    assert manifest['model']['opset'] == 13 and manifest['model']['ir_version'] <= 7


def test_large_weights_are_stored_in_half_precision_and_batch_norm_is_not(bundle):
    kinds = {tensor.name: tensor.data_type for tensor in onnx.load_from_string(bundle.model_bytes).graph.initializer}
    assert kinds['base.conv2.weight.half'] == onnx.TensorProto.FLOAT16
    assert kinds['base.bn2.running_var'] == onnx.TensorProto.FLOAT


@pytest.mark.parametrize('spoil', [
    lambda weights: weights.pop('base.conv1.weight'),
    lambda weights: weights.update({'base.conv1.weight': torch.zeros(64, 1, 5, 5)}),
    lambda weights: weights.update({'head.weight': torch.zeros(1)}),
])
def test_weights_are_refused_when_they_are_not_an_esr_s(network, spoil):
    weights = dict(network.state_dict())
    spoil(weights)
    with pytest.raises(BadModel, match='ESR'):
        export.network_of(weights)


def test_a_bundle_is_no_master_when_its_weights_have_other_names(bundle, tmp_path):
    model = onnx.load_from_string(bundle.model_bytes)
    for tensor in model.graph.initializer:
        if tensor.name == 'base.bn1.weight':
            tensor.name = 'renamed'
    for node in model.graph.node:
        node.input[:] = ['renamed' if name == 'base.bn1.weight' else name for name in node.input]
    other = ModelBundle(bundle.folder, bundle.manifest, model.SerializeToString())
    with pytest.raises(BadModel, match='base.bn1.weight'):
        export.weights_of(other)
