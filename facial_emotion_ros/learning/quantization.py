"""From a model in floating point to one that computes in eight bits: the same graph with pairs of QuantizeLinear and
DequantizeLinear, which ONNX Runtime, OpenVINO and TensorRT take alike.

What never falls below 0 is stored from 0 to 255, all else symmetrically around 128. TensorRT wants signed numbers
around 0, which facial_emotion_ros.onnx_file makes of these when it loads; biases stay floating point for its sake, and
ONNX Runtime makes them whole numbers by itself. Source: Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018; weights by output channel: Krishnamoorthi, arXiv:1806.08342.
"""

import os
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

from facial_emotion_ros.errors import BadDataset, BadModel
from facial_emotion_ros.model_bundle import MAX_OPSET
from facial_emotion_ros.onnx_file import MIDDLE, SCALE

#: Operators that are computed in eight bits; what lies between two of them never becomes floating point.
_IN_EIGHT_BITS = ('Conv', 'MaxPool', 'GlobalAveragePool', 'Split', 'Add')

#: Operators that hand on the numbers of their input, which therefore have its scale.
_HAND_ON = ('MaxPool', 'Split')

#: Largest magnitude of a weight in eight bits, and of a number around 128.
_LARGEST = 127


def quantize(model_bytes, batches, in_float=()):
    """Quantise a model after training.

    :param model_bytes: ONNX model in floating point of opset 13, batch norm folded, with one input.
    :param batches: iterable of arrays for the input: what it commonly sees. The largest and least number of each tensor
        among them become the ends of its range.
    :param in_float: names of tensors; the operators that give them stay floating point, such as those of the outputs.
    :returns: bytes of the quantised model, opset and input as before.
    :raises BadDataset: if there is no batch.
    :raises BadModel: if the model is of another opset or has nothing to quantise.
    """
    model = onnx.load_from_string(model_bytes)
    opset = max(each.version for each in model.opset_import if each.domain in ('', 'ai.onnx'))
    if opset != MAX_OPSET:
        raise BadModel(f'a model of opset {MAX_OPSET} expected, got {opset}: eight bits by channel came with 13, and '
                       'robots read no newer one')
    if not any(node.op_type == 'Conv' for node in model.graph.node):
        raise BadModel('a model with convolutions expected: there is nothing here to compute in eight bits')
    _Quantizer(model.graph, _ranges(model, batches), set(in_float)).insert()
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def name_parts(model_bytes):
    """Find where a quantised ESR can be cut, for :mod:`facial_emotion_ros.anytime`, and write the types there into it.

    :param model_bytes: what :func:`quantize` made of an InferenceNetwork.
    :returns: the model, and for the manifest a dict: `shared`, the tensors that the base hands to each branch, and
        `means`, what each branch hands to the heads; None for a network of one branch, which nothing can be taken from.
    """
    model = onnx.load_from_string(model_bytes)
    splits = [node for node in model.graph.node if node.op_type == 'Split']
    if len(splits) != 1:
        return model_bytes, None
    produced = {name: node for node in model.graph.node for name in node.output}
    joined = next(node for node in model.graph.node if node.op_type == 'Concat' and all(
        name in produced and produced[name].op_type == 'GlobalAveragePool' for name in node.input))
    parts = {'shared': [name + '.bits' for name in splits[0].output], 'means': list(joined.input)}
    if not set(parts['shared']) <= set(produced):  # an ESR*, whose attention comes between
        parts['shared'] = list(splits[0].output)
    wanted = set(parts['shared']) | set(parts['means'])
    known = [each for each in onnx.shape_inference.infer_shapes(model).graph.value_info if each.name in wanted]
    del model.graph.value_info[:]
    model.graph.value_info.extend(known)
    return model.SerializeToString(), parts


class _Batches(CalibrationDataReader):
    """What ONNX Runtime's calibration reads from."""

    def __init__(self, name, batches):
        self._feeds = ({name: np.ascontiguousarray(batch)} for batch in batches)
        self.count = 0

    def get_next(self):
        feed = next(self._feeds, None)
        self.count += feed is not None
        return feed


def _ranges(model, batches):
    """Return the least and the largest number of each floating-point tensor: name -> (least, largest)."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'model.onnx')
        onnx.save(model, path)
        kinds = sorted({node.op_type for node in model.graph.node})
        calibrator = create_calibrator(path, op_types_to_calibrate=kinds, calibrate_method=CalibrationMethod.MinMax,
                                       augmented_model_path=os.path.join(folder, 'augmented.onnx'))
        reader = _Batches(model.graph.input[0].name, batches)
        try:
            calibrator.collect_data(reader)
        except ValueError:
            if reader.count:
                raise
            raise BadDataset('at least one picture to find the ranges with expected, got none') from None
        found = calibrator.compute_data()
        return {name: tuple(float(np.squeeze(each)) for each in found[name].range_value) for name in found.keys()}


class _Quantizer:
    """Puts the pairs into a graph."""

    def __init__(self, graph, ranges, in_float):
        self.graph = graph
        self._ranges = ranges
        self._in_float = in_float
        self._producer = {name: node for node in graph.node for name in node.output}
        self._readers = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._scales = {}
        self._pairs = {}
        self._nodes = []
        # Decided before any input gets another name.
        self._outputs_in_eight_bits = {name for node in graph.node if self._can_be_in_eight_bits(node)
                                       for name in node.output}

    def insert(self):
        """Rewrite the graph."""
        for node in list(self.graph.node):
            if self._is_in_eight_bits(node):
                for place in range(2 if node.op_type == 'Add' else 1):
                    node.input[place] = self._pair(node.input[place])
                if node.op_type == 'Conv' and node.input[1] in self._weights:
                    self._quantize_weights(node.input[1])
            else:
                for place, name in enumerate(node.input):
                    if self._is_rounded(name):
                        node.input[place] = self._pair(name)
            self._nodes.append(node)
        del self.graph.node[:]
        self.graph.node.extend(self._nodes)

    def _is_in_eight_bits(self, node):
        return node.output[0] in self._outputs_in_eight_bits

    def _can_be_in_eight_bits(self, node):
        if node.op_type not in _IN_EIGHT_BITS or self._in_float.intersection(node.output):
            return False
        if node.op_type == 'Conv' and node.input[1] in self._weights and self._weights[node.input[1]].dims[0] == 1:
            return False  # a single map, such as attention to places: nothing to gain, and all that follows hangs on it
        if node.op_type == 'GlobalAveragePool':
            return len(self._readers[node.input[0]]) > 1  # attention's; what nobody else reads becomes the answer
        # An Add of feature maps, not one of a bias, nor of what a linear layer gives, which is small.
        return node.op_type != 'Add' or any(self._is_map(name) for name in node.input)

    def _is_map(self, name):
        """Tell whether a tensor comes from a convolution, maybe through ReLU or another Add."""
        node = self._producer.get(name)
        if node is None or node.op_type in ('Conv', 'ConvTranspose', 'MaxPool', 'BatchNormalization'):
            return node is not None
        return node.op_type in ('Relu', 'Add') and any(self._is_map(each) for each in node.input)

    def _is_rounded(self, name):
        """Tell whether a tensor that an operator in floating point reads must be rounded, so that the operator which
        gives it can compute in eight bits: it is what ReLU makes of one.
        """
        node = self._producer.get(name)
        if node is not None and node.op_type == 'Relu':
            node = self._producer.get(node.input[0])
            return node is not None and self._is_in_eight_bits(node)
        return (node is not None and self._is_in_eight_bits(node)
                and any(each.op_type != 'Relu' for each in self._readers[name]))

    def _pair(self, name):
        """Return the name of a tensor once it has gone through eight bits."""
        if name not in self._pairs:
            scale, middle = self._scale(name)
            constants = {name + SCALE: np.float32(scale), name + MIDDLE: np.uint8(middle)}
            self.graph.initializer.extend(numpy_helper.from_array(np.asarray(value), each)
                                          for each, value in constants.items())
            names = list(constants)
            self._nodes.append(helper.make_node('QuantizeLinear', [name] + names, [name + '.bits']))
            self._nodes.append(helper.make_node('DequantizeLinear', [name + '.bits'] + names, [name + '.rounded']))
            self._pairs[name] = name + '.rounded'
        return self._pairs[name]

    def _scale(self, name):
        """Return the scale of a tensor, and the whole number that stands for 0."""
        if name not in self._scales:
            node = self._producer.get(name)
            source = node.input[0] if node is not None and node.op_type in _HAND_ON else ''
            source = source[:-len('.rounded')] if source.endswith('.rounded') else source
            if source:
                self._scales[name] = self._scale(source)
            elif self._is_picture(name):
                self._scales[name] = 1.0, 0
            else:
                least, largest = self._ranges[name]
                self._scales[name] = ((max(largest, 1e-6) / 255, 0) if least >= 0 else
                                      (max(largest, -least) / _LARGEST, 128))
        return self._scales[name]

    def _is_picture(self, name):
        """Tell whether a tensor holds the pixels, which are whole numbers already."""
        node = self._producer.get(name)
        while node is not None and node.op_type == 'Slice':
            node = self._producer.get(node.input[0])
        return node is not None and node.op_type == 'Cast' and node.input[0] not in self._ranges

    def _quantize_weights(self, name):
        tensor = self._weights.pop(name)
        weights = numpy_helper.to_array(tensor).astype(np.float32)
        largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)))
        scales = np.maximum(largest / _LARGEST, 1e-9).astype(np.float32)
        whole = np.rint(weights / scales.reshape((-1,) + (1,) * (weights.ndim - 1)))
        self.graph.initializer.remove(tensor)
        constants = {name + '.bits': np.clip(whole, -_LARGEST, _LARGEST).astype(np.int8), name + SCALE: scales,
                     name + MIDDLE: np.zeros(len(scales), np.int8)}
        self.graph.initializer.extend(numpy_helper.from_array(value, each) for each, value in constants.items())
        self._nodes.append(helper.make_node('DequantizeLinear', list(constants), [name], axis=0))
