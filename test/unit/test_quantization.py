"""Eight bits: what becomes of a network, and what of its answers."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_export import used
from test_inference_network import open_onnx, pixels_of

from facial_emotion_ros.core.errors import BadDataset, BadModel
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.inference.onnx_proto import with_signed_activations
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.model.export import to_inference_onnx
from facial_emotion_ros.training.model.quantization import name_parts, quantize

GEOMETRY = CropGeometry(size_px=64)


def faces(count, seed=0):
    """Return crops with patterns, light and contrast of their own."""
    generator = np.random.default_rng(seed)
    patterns = generator.random((count, 1, 8, 8)).repeat(8, 2).repeat(8, 3)
    return (patterns * generator.uniform(60, 255, (count, 1, 1, 1))).astype(np.uint8)


@pytest.fixture(scope='module', params=[False, True], ids=['ESR', 'ESR*'])
def models(request):
    """Return a model of two branches in floating point, the same in int8, and how much more these may differ.

    With random weights, an ESR*'s attention multiplies what rounding does.
    """
    model = to_inference_onnx(used(2, request.param, 64), GEOMETRY)
    return model, name_parts(quantize(model, [faces(16, 1), faces(16, 2)]))[0], 3 if request.param else 1


@pytest.fixture(scope='module')
def expected(models):
    """Return the logits of the model in floating point for PIXELS."""
    return logits_of(models[0])


PIXELS = faces(20, 3)


def logits_of(model_bytes):
    """Run a model on PIXELS."""
    return open_onnx(model_bytes).run(['logits'], {'pixels': PIXELS})[0]


def distance(found, expected):
    """Return the root of the mean square difference, in standard deviations of what is expected."""
    return float(np.sqrt(np.mean((found - expected) ** 2)) / expected.std(axis=0).mean())


def test_answers_hardly_differ_in_eight_bits(models, expected):
    found = logits_of(models[1])
    assert found.shape == expected.shape == (20, 2, 8)
    assert 0 < distance(found, expected) < 0.12 * models[2]
    assert len(models[1]) < 0.3 * len(models[0])


def test_answers_hardly_differ_in_the_signed_form_that_tensorrt_takes(models, expected):
    signed = with_signed_activations(models[1])
    assert len(signed) == len(models[1])
    model = onnx.load_from_string(signed)
    onnx.checker.check_model(model, full_check=True)
    middles = [numpy_helper.to_array(each) for each in model.graph.initializer if each.name.endswith('.middle')]
    assert middles and all(each.dtype == np.int8 and not each.any() for each in middles)
    assert distance(logits_of(signed), expected) < 0.2 * models[2]


@pytest.mark.parametrize('name', ['esr_9_ferplus_int8', 'centerface_int8'])
def test_the_embedded_models_load_in_the_signed_form(name):
    open_onnx(with_signed_activations(ModelBundle.open(embedded_bundle(name)).model_bytes))


@pytest.mark.parametrize('models', [False], ids=['ESR'], indirect=True)
def test_every_convolution_is_computed_in_eight_bits(models, tmp_path):
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / 'optimized.onnx')
    options.log_severity_level = 3
    onnxruntime.InferenceSession(models[1], options, providers=['CPUExecutionProvider'])
    kinds = [node.op_type for node in onnx.load(str(tmp_path / 'optimized.onnx')).graph.node]
    # The base's four, the branches' first ones in one, and three more of each branch.
    assert kinds.count('QLinearConv') == 4 + 1 + 2 * 3
    assert not {'Conv', 'FusedConv'}.intersection(kinds)
    # Once in; out of int8 only where a branch ends.
    assert kinds.count('QuantizeLinear') == 1 and kinds.count('DequantizeLinear') == 2


def test_biases_stay_floating_point_for_tensorrt(models):
    tensors = {each.name: each for each in onnx.load_from_string(models[1]).graph.initializer}
    assert not [name for name, each in tensors.items() if each.data_type == TensorProto.INT32]


@pytest.fixture
def sum_of_two():
    """Return a model of opset 13 with numbers below 0, an Add of two maps, and an output by a convolution."""
    generator = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(generator.normal(size=(4, 4, 3, 3)).astype(np.float32), name)
        for name in ('first', 'second', 'last')
    ]
    nodes = [
        helper.make_node('Conv', ['image', 'first'], ['a'], pads=[1] * 4),
        helper.make_node('Conv', ['a', 'second'], ['b'], pads=[1] * 4),
        helper.make_node('Add', ['a', 'b'], ['c']),
        helper.make_node('Conv', ['c', 'last'], ['out'], pads=[1] * 4),
    ]
    shape = ['N', 4, 8, 8]
    graph = helper.make_graph(
        nodes,
        'sum',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info('out', TensorProto.FLOAT, shape)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=7)
    return model.SerializeToString()


def test_numbers_below_0_lie_around_128_and_outputs_may_stay_floating_point(sum_of_two):
    batches = [np.random.default_rng(seed).normal(size=(4, 4, 8, 8)).astype(np.float32) for seed in range(3)]
    model_bytes = quantize(sum_of_two, batches, in_float=['out'])
    model = onnx.load_from_string(model_bytes)
    middles = {
        each.name: int(numpy_helper.to_array(each))
        for each in model.graph.initializer
        if each.name.endswith('.middle') and not each.dims
    }
    assert middles == {name + '.middle': 128 for name in ('image', 'a', 'b', 'c')}
    last = next(node for node in model.graph.node if node.output[0] == 'out')
    assert last.input[1] == 'last' and last.input[0] == 'c.rounded'
    image = np.random.default_rng(9).normal(size=(2, 4, 8, 8)).astype(np.float32)
    expected, found, signed = (
        open_onnx(each).run(None, {'image': image})[0]
        for each in (sum_of_two, model_bytes, with_signed_activations(model_bytes))
    )
    assert np.abs(found - expected).max() < 0.1 * np.abs(expected).max()
    np.testing.assert_allclose(signed, found, atol=1e-3 * np.abs(expected).max())  # around 128 nothing is lost


def test_what_cannot_be_quantised_is_refused(sum_of_two):
    with pytest.raises(BadDataset, match='at least one image'):
        quantize(sum_of_two, [])
    old = onnx.load_from_string(sum_of_two)
    old.opset_import[0].version = 11
    with pytest.raises(BadModel, match='opset 13, got 11'):
        quantize(old.SerializeToString(), [pixels_of(1, 1, 64)])
    bare = onnx.load_from_string(sum_of_two)
    del bare.graph.node[:]
    bare.graph.node.append(helper.make_node('Identity', ['image'], ['out']))
    with pytest.raises(BadModel, match='model with convolutions'):
        quantize(bare.SerializeToString(), [np.zeros((1, 4, 8, 8), np.float32)])


def test_a_model_without_eight_bits_has_no_signed_form(sum_of_two):
    with pytest.raises(BadModel, match='int8'):
        with_signed_activations(sum_of_two)
