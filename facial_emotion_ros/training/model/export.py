"""Converts between torch networks and ONNX model bundles."""

import copy
import io
import math
import warnings
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.inference.model_bundle import MAX_IR_VERSION, MAX_OPSET, ModelBundle, write_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.model.inference_network import InferenceNetwork, used_side
from facial_emotion_ros.training.model.network import ESR, MIN_SIZE_PX, Weights, branches_of, is_diversified

#: Smaller tensors keep single precision: batch norm variances would underflow in half precision.
_LEAST_HALF_ELEMENTS = 4096


def halved(weights: Weights) -> Weights:
    """Round large tensors to half precision, as a bundle stores them; they stay float32."""
    return {name: tensor.half().float() if _is_large(tensor) else tensor.clone() for name, tensor in weights.items()}


def network_of(weights: Weights) -> ESR:
    """Make the ESR or ESR* of a state dict.

    :param weights: state dict of an ESR; of an ESR* if it holds CBAM layers.
    :returns: ESR in evaluation mode.
    :raises BadModel: if names or shapes are not an ESR's.
    """
    network = ESR(branches_of(weights), is_diversified(weights))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BadModel(f'expected weights of an ESR: {error}') from error
    return network.eval()


def to_onnx(network: ESR, size_px: int = 96, fold: bool = False, half: bool = True) -> bytes:
    """Export an ESR or ESR*: crops (N, 3, S, S) to logits (N, B, 8) and affect (N, B, 2), N dynamic.

    Unless folded, initializers keep the names of the state dict, so that :func:`weights_of` can recover the weights;
    ONNX Runtime and TensorRT fold batch norm at load.

    :param network: ESR; exported in evaluation mode.
    :param size_px: side of the crops S.
    :param fold: fold batch norm and constants; weights_of cannot read the file then.
    :param half: store large weights in half precision, cast at load.
    :returns: ONNX model, opset 13, IR 7.
    :raises BadParameter: if crops of that size are too small.
    """
    _check_size(size_px)
    exported = copy.deepcopy(network).cpu().float() if fold else _of_distinct_values(network)
    side = used_side(size_px, network.diversified)
    # forward() without its other parameters, which the exporter would turn into inputs, and without unused pixels.
    exported.__dict__['forward'] = lambda crops: ESR.forward(exported, crops[:, :, :side, :side])
    modes = torch.onnx.TrainingMode
    model = _traced(
        exported,
        torch.zeros(1, 3, size_px, size_px),
        'crops',
        training=modes.EVAL if fold else modes.PRESERVE,  # EVAL folds batch norm
        do_constant_folding=fold,
    )
    if not fold:
        _set_weights(model.graph, network.state_dict())
    if half:
        _store_in_half(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def pixels_input(geometry: CropGeometry) -> dict[str, Any]:
    """Return the manifest's `input` of a model from :func:`to_inference_onnx`."""
    size = geometry.size_px
    return dict(vars(geometry), name='pixels', dtype='uint8', shape=['N', geometry.planes, size, size])


def to_inference_onnx(network: ESR, geometry: CropGeometry) -> bytes:
    """Export an ESR or ESR* in its fastest form (InferenceNetwork), from which weights_of cannot recover the weights.

    :param network: ESR.
    :param geometry: CropGeometry of its input.
    :returns: ONNX model, opset 13, IR 7: pixels (N, C, S, S) uint8, C = 1 for gray and 3 for colour, to
        logits (N, B, 8) and affect (N, B, 2), N dynamic.
    :raises BadParameter: if crops of that size are too small.
    """
    _check_size(geometry.size_px)
    fast = InferenceNetwork(network, geometry.size_px, geometry.planes == 1, geometry.scale).eval()
    pixels = torch.zeros(1, geometry.planes, geometry.size_px, geometry.size_px, dtype=torch.uint8)
    return _traced(fast, pixels, 'pixels', do_constant_folding=True).SerializeToString()


def weights_of(bundle: ModelBundle) -> Weights:
    """Extract the fp32 weights of a bundle.

    :param bundle: ModelBundle of architecture 'esr'.
    :returns: state dict of an ESR or ESR*, float32.
    :raises BadModel: if the model does not hold a complete ESR by name.
    """
    graph = onnx.load_from_string(bundle.model_bytes).graph
    if 'adaptation' in bundle.manifest:
        raise BadModel(
            f'{bundle.folder}: expected an unadapted bundle, got one from `adapt`, whose correction would be lost; use '
            f'{bundle.manifest["adaptation"]["of"]["name"]}, and adapt again'
        )
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    with torch.device('meta'):
        wanted = ESR(bundle.manifest['outputs']['logits']['branches'], is_diversified(tensors)).state_dict()
    weights = {}
    for name, like in wanted.items():
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.zeros(like.shape, dtype=like.dtype)
            continue
        array = tensors.get(name + _HALF, tensors.get(name))
        if array is None or tuple(array.shape) != tuple(like.shape):
            came = 'nothing' if array is None else str(array.shape)
            raise BadModel(
                f'{bundle.folder}: expected weights {name} {tuple(like.shape)}, got {came}; is it an fp32 bundle?'
            )
        weights[name] = torch.from_numpy(array.astype(np.float32))
    return weights


def write_esr_bundle(
    folder: str,
    network: ESR,
    geometry: CropGeometry,
    description: dict[str, Any],
    temperature: float = 1.0,
    half: bool = True,
) -> ModelBundle:
    """Export an ESR or ESR* into a bundle.

    :param folder: of the bundle.
    :param network: ESR.
    :param geometry: CropGeometry of its input.
    :param description: manifest fields: name, version, source, licence, training, metrics, and `affect_derived_from`.
    :param temperature: divisor of the logits, above 0.
    :param half: see :func:`to_onnx`.
    :returns: ModelBundle.
    :raises BadParameter: if size or temperature is out of range.
    """
    if not 0 < temperature < math.inf:
        raise BadParameter(f'expected a temperature above 0, got {temperature!r}')
    description = dict(description)
    affect = {'name': 'affect', 'range': [-1, 1], 'derived_from': description.pop('affect_derived_from')}
    labels = list(EMOTIONS)
    logits = {'name': 'logits', 'branches': network.branches, 'labels': labels, 'temperature': float(temperature)}
    manifest = {
        'architecture': 'esr',
        'model': {'precision': 'fp16 storage, fp32 arithmetic' if half else 'fp32'},
        'input': dict(vars(geometry), name='crops', shape=['N', 3, geometry.size_px, geometry.size_px]),
        'outputs': {'logits': logits, 'affect': affect},
    }
    manifest = dict({key: description.pop(key) for key in ('name', 'version')}, **manifest, **description)
    return write_bundle(folder, manifest, to_onnx(network, geometry.size_px, half=half))


def _check_size(size_px: int) -> None:
    if size_px < MIN_SIZE_PX:
        raise BadParameter(f'expected crops of at least {MIN_SIZE_PX} px for an ESR, got {size_px}')


def _traced(network: torch.nn.Module, example: torch.Tensor, name: str, **options: Any) -> onnx.ModelProto:
    """Run torch's TorchScript exporter, which supports opset 13."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        # The crop size is a constant.
        warnings.filterwarnings('ignore', 'Converting a tensor to a Python integer', torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            (example,),
            buffer,  # type: ignore[arg-type]
            opset_version=MAX_OPSET,
            input_names=[name],
            output_names=['logits', 'affect'],
            dynamic_axes={each: {0: 'faces'} for each in (name, 'logits', 'affect')},
            dynamo=False,
            **options,
        )
    model = onnx.load_from_string(buffer.getvalue())
    model.ir_version = MAX_IR_VERSION
    del model.metadata_props[:]
    for node in model.graph.node:
        node.doc_string = ''
    return model


#: Suffix of initializers in half precision.
_HALF = '.half'


def _is_large(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.numel() >= _LEAST_HALF_ELEMENTS


def _of_distinct_values(network: ESR) -> ESR:
    """Make a network without equal tensors: the exporter would merge them and lose names."""
    network = ESR(network.branches, network.diversified).eval()
    tensors = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
    with torch.no_grad():
        for place, tensor in enumerate(tensors, 1):
            tensor.fill_(place / len(tensors))
    return network


def _set_weights(graph: onnx.GraphProto, weights: Weights) -> None:
    for tensor in graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].detach().cpu().numpy(), tensor.name))


def _store_in_half(graph: onnx.GraphProto) -> None:
    casts = []
    for tensor in graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype != np.float32 or array.size < _LEAST_HALF_ELEMENTS:
            continue
        casts.append(onnx.helper.make_node('Cast', [tensor.name + _HALF], [tensor.name], to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(array.astype(np.float16), tensor.name + _HALF))
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(casts + nodes)
