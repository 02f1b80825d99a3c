"""From torch to an ONNX model bundle, and back."""

import copy
import io
import math
import warnings

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadModel, BadParameter
from facial_emotion_ros.learning.inference_network import InferenceNetwork, used_side
from facial_emotion_ros.learning.network import ESR, MIN_SIZE_PX
from facial_emotion_ros.model_bundle import MAX_IR_VERSION, MAX_OPSET, write_bundle

#: Tensors with fewer elements keep single precision: batch norm's variances do not survive half precision.
_LEAST_HALF_ELEMENTS = 4096


def halved(weights):
    """Round the large tensors to half precision, as a bundle stores them.

    :param weights: state dict of an ESR.
    :returns: state dict of float32 tensors whose large ones have half precision's values.
    """
    return {name: tensor.half().float() if _is_large(tensor) else tensor.clone() for name, tensor in weights.items()}


def network_of(weights):
    """Make the ESR or ESR* that weights fit.

    :param weights: state dict of an ESR; with CBAM's names in it, of an ESR*.
    :returns: ESR with these weights, in evaluation mode.
    :raises BadModel: if names or shapes are not an ESR's.
    """
    branches = {name.split('.')[1] for name in weights if name.startswith('convolutional_branches.')}
    network = ESR(max(1, len(branches)), _is_diversified(weights))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise BadModel(f'weights of an ESR expected: {error}') from error
    return network.eval()


def to_onnx(network, size_px=96, fold=False, half=True):
    """Export an ESR or ESR*: crops (N, 3, S, S) to logits (N, B, 8) and affect (N, B, 2), N dynamic.

    Left unfolded, initializers keep the names of the state dict and batch norm stays by itself, so that
    :func:`weights_of` can give the master weights back; ONNX Runtime and TensorRT fold it when they load.

    :param network: ESR; it is exported as it infers, whatever mode it is in.
    :param size_px: side of the crops S.
    :param fold: have batch norm and all that is constant computed now. The file is then no master.
    :param half: store large weights in half precision and cast them to single at load.
    :returns: bytes of an ONNX model, opset 13, IR 7.
    :raises BadParameter: if crops of that size leave nothing to convolve.
    """
    _check_size(size_px)
    exported = copy.deepcopy(network).cpu().float() if fold else _of_distinct_values(network)
    side = used_side(size_px, network.diversified)
    # The exporter takes defaults for further inputs: they are left away. So is what no result depends on.
    exported.forward = lambda crops: ESR.forward(exported, crops[:, :, :side, :side])
    modes = torch.onnx.TrainingMode
    model = _traced(exported, torch.zeros(1, 3, size_px, size_px), 'crops',
                    training=modes.EVAL if fold else modes.PRESERVE,  # EVAL folds batch norm
                    do_constant_folding=fold)
    if not fold:
        _put_in(model.graph, network.state_dict())
    if half:
        _store_in_half(model.graph)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def pixels_input(geometry):
    """Say in a manifest's `input` what a model of :func:`to_inference_onnx` takes.

    :param geometry: CropGeometry.
    :returns: dict.
    """
    size = geometry.size_px
    return dict(vars(geometry), name='pixels', dtype='uint8', shape=['N', geometry.planes, size, size])


def to_inference_onnx(network, geometry):
    """Export an ESR or ESR* in the form that runs fastest, which is no master: see InferenceNetwork.

    :param network: ESR.
    :param geometry: CropGeometry of its input.
    :returns: bytes of an ONNX model, opset 13, IR 7: pixels (N, C, S, S) uint8, C = 1 for gray and 3 for colour, to
        logits (N, B, 8) and affect (N, B, 2), N dynamic.
    :raises BadParameter: if crops of that size leave nothing to convolve.
    """
    _check_size(geometry.size_px)
    fast = InferenceNetwork(network, geometry.size_px, geometry.planes == 1, geometry.scale).eval()
    pixels = torch.zeros(1, geometry.planes, geometry.size_px, geometry.size_px, dtype=torch.uint8)
    return _traced(fast, pixels, 'pixels', do_constant_folding=True).SerializeToString()


def weights_of(bundle):
    """Take the master weights out of a bundle, to train on from them.

    :param bundle: ModelBundle of architecture 'esr'.
    :returns: state dict of an ESR or ESR*, float32.
    :raises BadModel: if the bundle's model does not hold a whole ESR by name.
    """
    graph = onnx.load_from_string(bundle.model_bytes).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    with torch.device('meta'):
        wanted = ESR(bundle.manifest['outputs']['logits']['branches'], _is_diversified(tensors)).state_dict()
    weights = {}
    for name, like in wanted.items():
        if name.endswith('num_batches_tracked'):
            weights[name] = torch.zeros(like.shape, dtype=like.dtype)
            continue
        array = tensors.get(name + _HALF, tensors.get(name))
        if array is None or tuple(array.shape) != tuple(like.shape):
            came = 'nothing' if array is None else str(array.shape)
            raise BadModel(f'{bundle.folder}: expected weights {name} {tuple(like.shape)}, got {came}; no master?')
        weights[name] = torch.from_numpy(array.astype(np.float32))
    return weights


def write_esr_bundle(folder, network, geometry, description, temperature=1.0, offsets=None, fold=False, half=True):
    """Export an ESR or ESR* into a bundle.

    :param folder: where the bundle goes.
    :param network: ESR.
    :param geometry: CropGeometry of its input.
    :param description: dict for the manifest: name, version, source, licence, training, metrics, and what affect is
        derived from under `affect_derived_from`.
    :param temperature: what logits are divided by before the softmax, above 0; 1 leaves them as they are.
    :param offsets: (8,) float, what is then added to each class's; None for nothing.
    :param fold: see :func:`to_onnx`.
    :param half: see :func:`to_onnx`.
    :returns: ModelBundle, opened anew.
    :raises BadParameter: if size or temperature cannot be.
    """
    if not 0 < temperature < math.inf:
        raise BadParameter(f'a temperature above 0 expected, got {temperature!r}')
    description = dict(description)
    affect = {'name': 'affect', 'range': [-1, 1], 'derived_from': description.pop('affect_derived_from')}
    logits = {
        'name': 'logits', 'branches': network.branches, 'labels': list(EMOTIONS), 'temperature': float(temperature),
    }
    if offsets is not None:
        logits['offsets'] = [float(offset) for offset in offsets]
    manifest = {
        'architecture': 'esr',
        'model': {'precision': 'fp16 storage, fp32 arithmetic' if half else 'fp32'},
        'input': dict(vars(geometry), name='crops', shape=['N', 3, geometry.size_px, geometry.size_px]),
        'outputs': {'logits': logits, 'affect': affect},
    }
    manifest = dict({key: description.pop(key) for key in ('name', 'version')}, **manifest, **description)
    return write_bundle(folder, manifest, to_onnx(network, geometry.size_px, fold, half))


def _check_size(size_px):
    if size_px < MIN_SIZE_PX:
        raise BadParameter(f'an ESR needs crops of at least {MIN_SIZE_PX} px, got {size_px}')


def _traced(network, example, name, **options):
    """Run torch's exporter that still writes opset 13."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', DeprecationWarning)
        # Crops have one size: what it is may be a constant.
        warnings.filterwarnings('ignore', 'Converting a tensor to a Python integer', torch.jit.TracerWarning)
        torch.onnx.export(
            network,
            (example,),
            buffer,
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


#: What an initializer in half precision is called, behind the name of the weights it holds.
_HALF = '.half'


def _is_large(tensor):
    return tensor.is_floating_point() and tensor.numel() >= _LEAST_HALF_ELEMENTS


def _is_diversified(names):
    return any('.cbam' in name for name in names)


def _of_distinct_values(network):
    """Make a network no two tensors of which are equal: the exporter would merge those, and their names be lost."""
    network = ESR(network.branches, network.diversified).eval()
    tensors = [tensor for tensor in network.state_dict().values() if tensor.is_floating_point()]
    with torch.no_grad():
        for place, tensor in enumerate(tensors, 1):
            tensor.fill_(place / len(tensors))
    return network


def _put_in(graph, weights):
    for tensor in graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(weights[tensor.name].detach().cpu().numpy(), tensor.name))


def _store_in_half(graph):
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
