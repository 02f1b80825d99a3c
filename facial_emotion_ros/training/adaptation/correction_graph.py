"""Adds a correction of the logits to an ESR's graph, fp32 or int8; affect outputs stay the same."""

import numpy as np
import onnx
from onnx import helper, numpy_helper

from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.training.adaptation.fit import Correction

#: Prefix of the added tensors.
CORRECTION = 'adaptation.'
FEATURES = CORRECTION + 'features'


def with_features(bundle: ModelBundle) -> bytes:
    """Add the input of the branches' last layers as an output.

    :param bundle: ModelBundle of architecture 'esr'.
    :returns: the model with an additional output FEATURES (N, B, 1, F).
    :raises BadModel: if the layers cannot be found.
    """
    model = _with_features(bundle)
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, ['faces', None, 1, None]))
    return model.SerializeToString()


def with_correction(bundle: ModelBundle, correction: Correction) -> bytes:
    """Add a correction to the logits, downstream of valence and arousal.

    :param bundle: ModelBundle of architecture 'esr'.
    :param correction: Correction.
    :returns: the model, with opset, inputs, outputs and named parts as before.
    :raises BadModel: see :func:`with_features`.
    """
    model = _with_features(bundle)
    graph, logits = model.graph, bundle.manifest['outputs']['logits']['name']
    for node in graph.node:
        node.output[:] = [CORRECTION + 'before' if name == logits else name for name in node.output]
    branches = len(correction.weights)
    constants = {
        'weights': correction.weights,
        'bias': correction.bias[:, None],
        'shape': np.array([-1, branches, correction.bias.shape[1]], np.int64),
    }
    _add_constants(graph, constants)
    names = {each: CORRECTION + each for each in ('product', 'sum', 'rows', *constants)}
    graph.node.extend(
        [
            helper.make_node('MatMul', [FEATURES, names['weights']], [names['product']]),
            helper.make_node('Add', [names['product'], names['bias']], [names['sum']]),
            helper.make_node('Reshape', [names['sum'], names['shape']], [names['rows']]),
            helper.make_node('Add', [CORRECTION + 'before', names['rows']], [logits]),
        ]
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def _with_features(bundle: ModelBundle) -> onnx.ModelProto:
    model = onnx.load_from_string(bundle.model_bytes)
    graph = model.graph
    branches = bundle.manifest['outputs']['logits']['branches']
    means = _branch_features(bundle, graph, branches)
    _add_constants(graph, {'branches': np.array([0, branches, 1, -1], np.int64)})
    graph.node.extend(
        [
            helper.make_node('Concat', means, [CORRECTION + 'means'], axis=1),
            helper.make_node('Reshape', [CORRECTION + 'means', CORRECTION + 'branches'], [FEATURES]),
        ]
    )
    return model


def _branch_features(bundle: ModelBundle, graph: onnx.GraphProto, branches: int) -> list[str]:
    """List the input tensors of the branches' last layers."""
    parts = bundle.manifest.get('parts')
    if parts:
        return list(parts['means'])
    read = {node.input[1]: node.input[0] for node in graph.node if node.op_type == 'Gemm'}
    names = [read.get(f'convolutional_branches.{branch}.fc.weight', '') for branch in range(branches)]
    if '' in names:
        raise BadModel(
            f'{bundle.folder}: expected a bundle made by `export` or `quantize`: its layers are not found by name'
        )
    return names


def _add_constants(graph: onnx.GraphProto, arrays: dict[str, np.ndarray]) -> None:
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(array), CORRECTION + name) for name, array in arrays.items()
    )
