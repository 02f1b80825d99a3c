"""Post-training int8 quantization in QDQ form, for ONNX Runtime, OpenVINO and TensorRT.

Non-negative tensors have zero point 0, others 128. inference.onnx_proto converts them to the signed symmetric form of
TensorRT at load; biases stay floating point for its sake. onnxruntime.quantization.quantize_static (QDQ, per channel)
gives the same accuracy, speed and size on ESR-9, but zero points that TensorRT rejects and no parts for anytime
inference.

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
CVPR 2018; per-channel weights: Krishnamoorthi, arXiv:1806.08342.
"""

import os
import tempfile
from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

from facial_emotion_ros.core.errors import BadDataset, BadModel
from facial_emotion_ros.inference.model_bundle import MAX_OPSET
from facial_emotion_ros.inference.onnx_proto import MIDDLE, SCALE

#: Operators computed in int8.
_INT8_OPERATORS = ('Conv', 'MaxPool', 'GlobalAveragePool', 'Split', 'Add')

#: Operators whose outputs keep the scale of their input.
_SAME_SCALE = ('MaxPool', 'Split')

#: Largest magnitude of an int8 weight, and of an activation around zero point 128.
_LARGEST = 127


def quantize(model_bytes: bytes, batches: Iterable[np.ndarray], in_float: Iterable[str] = ()) -> bytes:
    """Quantize a model.

    :param model_bytes: floating-point ONNX model of opset 13, batch norm folded, with one input.
    :param batches: calibration inputs; the range of each tensor is its minimum and maximum over them.
    :param in_float: tensors whose producers stay floating point, such as outputs.
    :returns: the quantized model.
    :raises BadDataset: if there is no batch.
    :raises BadModel: if the model has another opset or no convolutions.
    """
    model = onnx.load_from_string(model_bytes)
    opset = max(each.version for each in model.opset_import if each.domain in ('', 'ai.onnx'))
    if opset != MAX_OPSET:
        raise BadModel(
            f'expected a model of opset {MAX_OPSET}, got {opset}: per-channel int8 needs 13, and robots load no '
            'newer one'
        )
    if not any(node.op_type == 'Conv' for node in model.graph.node):
        raise BadModel('expected a model with convolutions, got none: nothing to quantize')
    _Quantizer(model.graph, _ranges(model, batches), set(in_float)).insert()
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def name_parts(model_bytes: bytes) -> tuple[bytes, dict[str, list[str]] | None]:
    """Find the tensors between base, branches and heads of a quantized ESR, and record their types.

    :param model_bytes: an InferenceNetwork from :func:`quantize`.
    :returns: the model; and the manifest's `parts`: `shared` (inputs of the branches), `means` (inputs of the heads),
        or None for a single branch.
    """
    model = onnx.load_from_string(model_bytes)
    splits = [node for node in model.graph.node if node.op_type == 'Split']
    if len(splits) != 1:
        return model_bytes, None
    produced = {name: node for node in model.graph.node for name in node.output}
    joined = next(
        node
        for node in model.graph.node
        if node.op_type == 'Concat'
        and all(name in produced and produced[name].op_type == 'GlobalAveragePool' for name in node.input)
    )
    parts = {'shared': [name + '.bits' for name in splits[0].output], 'means': list(joined.input)}
    if not set(parts['shared']) <= set(produced):  # an ESR*, with attention in between
        parts['shared'] = list(splits[0].output)
    wanted = set(parts['shared']) | set(parts['means'])
    known = [each for each in onnx.shape_inference.infer_shapes(model).graph.value_info if each.name in wanted]
    del model.graph.value_info[:]
    model.graph.value_info.extend(known)
    return model.SerializeToString(), parts


class _Batches(CalibrationDataReader):
    """Calibration data for ONNX Runtime."""

    def __init__(self, name: str, batches: Iterable[np.ndarray]) -> None:
        self._feeds = ({name: np.ascontiguousarray(batch)} for batch in batches)
        self.count = 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        feed = next(self._feeds, None)
        self.count += feed is not None
        return feed


def _ranges(model: onnx.ModelProto, batches: Iterable[np.ndarray]) -> dict[str, tuple[float, float]]:
    """Return (minimum, maximum) of each floating-point tensor."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'model.onnx')
        onnx.save(model, path)
        kinds = sorted({node.op_type for node in model.graph.node})
        calibrator = create_calibrator(
            path,
            op_types_to_calibrate=kinds,
            calibrate_method=CalibrationMethod.MinMax,
            augmented_model_path=os.path.join(folder, 'augmented.onnx'),
        )
        reader = _Batches(model.graph.input[0].name, batches)
        try:
            calibrator.collect_data(reader)
        except ValueError:
            if reader.count:
                raise
            raise BadDataset('expected at least one image for calibration, got none') from None
        found = calibrator.compute_data()
        ends = {name: [float(np.squeeze(each)) for each in found[name].range_value] for name in found.keys()}
        return {name: (least, largest) for name, (least, largest) in ends.items()}


class _Quantizer:
    """Inserts QuantizeLinear and DequantizeLinear pairs into a graph."""

    def __init__(self, graph: onnx.GraphProto, ranges: dict[str, tuple[float, float]], in_float: set[str]) -> None:
        self.graph = graph
        self._ranges = ranges
        self._in_float = in_float
        self._producer = {name: node for node in graph.node for name in node.output}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._scales: dict[str, tuple[float, int]] = {}
        self._pairs: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []
        # Computed before inputs are renamed.
        self._int8_outputs = {name for node in graph.node if self._can_be_int8(node) for name in node.output}

    def insert(self) -> None:
        """Rewrite the graph."""
        for node in list(self.graph.node):
            if self._is_int8(node):
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

    def _is_int8(self, node: onnx.NodeProto) -> bool:
        return node.output[0] in self._int8_outputs

    def _can_be_int8(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in _INT8_OPERATORS or self._in_float.intersection(node.output):
            return False
        if node.op_type == 'Conv' and node.input[1] in self._weights and self._weights[node.input[1]].dims[0] == 1:
            return False  # a single map, such as spatial attention: sensitive to rounding, and no speed to gain
        if node.op_type == 'GlobalAveragePool':
            return len(self._readers[node.input[0]]) > 1  # in attention; the last one feeds the heads
        # An Add of feature maps, not of a bias or of a linear layer's small output.
        return node.op_type != 'Add' or any(self._is_map(name) for name in node.input)

    def _is_map(self, name: str) -> bool:
        """Return whether a tensor is a feature map: from a convolution, possibly through ReLU or Add."""
        node = self._producer.get(name)
        if node is None or node.op_type in ('Conv', 'ConvTranspose', 'MaxPool', 'BatchNormalization'):
            return node is not None
        return node.op_type in ('Relu', 'Add') and any(self._is_map(each) for each in node.input)

    def _is_rounded(self, name: str) -> bool:
        """Return whether a floating-point operator's input must be rounded so that its producer can run in int8."""
        node = self._producer.get(name)
        if node is not None and node.op_type == 'Relu':
            node = self._producer.get(node.input[0])
            return node is not None and self._is_int8(node)
        return node is not None and self._is_int8(node) and any(each.op_type != 'Relu' for each in self._readers[name])

    def _pair(self, name: str) -> str:
        """Insert a quantize-dequantize pair for a tensor, once, and return its output."""
        if name not in self._pairs:
            scale, middle = self._scale(name)
            constants = {name + SCALE: np.float32(scale), name + MIDDLE: np.uint8(middle)}
            self.graph.initializer.extend(
                numpy_helper.from_array(np.asarray(value), each) for each, value in constants.items()
            )
            names = list(constants)
            self._nodes.append(helper.make_node('QuantizeLinear', [name] + names, [name + '.bits']))
            self._nodes.append(helper.make_node('DequantizeLinear', [name + '.bits'] + names, [name + '.rounded']))
            self._pairs[name] = name + '.rounded'
        return self._pairs[name]

    def _scale(self, name: str) -> tuple[float, int]:
        """Return the scale and zero point of a tensor."""
        if name not in self._scales:
            node = self._producer.get(name)
            source = node.input[0] if node is not None and node.op_type in _SAME_SCALE else ''
            source = source[: -len('.rounded')] if source.endswith('.rounded') else source
            if source:
                self._scales[name] = self._scale(source)
            elif self._is_pixels(name):
                self._scales[name] = 1.0, 0
            else:
                least, largest = self._ranges[name]
                self._scales[name] = (
                    (max(largest, 1e-6) / 255, 0) if least >= 0 else (max(largest, -least) / _LARGEST, 128)
                )
        return self._scales[name]

    def _is_pixels(self, name: str) -> bool:
        """Return whether a tensor holds the pixels, which are integers already."""
        node = self._producer.get(name)
        while node is not None and node.op_type == 'Slice':
            node = self._producer.get(node.input[0])
        return node is not None and node.op_type == 'Cast' and node.input[0] not in self._ranges

    def _quantize_weights(self, name: str) -> None:
        tensor = self._weights.pop(name)
        weights = numpy_helper.to_array(tensor).astype(np.float32)
        largest = np.abs(weights).max(axis=tuple(range(1, weights.ndim)))
        scales = np.maximum(largest / _LARGEST, 1e-9).astype(np.float32)
        whole = np.rint(weights / scales.reshape((-1,) + (1,) * (weights.ndim - 1)))
        self.graph.initializer.remove(tensor)
        constants = {
            name + '.bits': np.clip(whole, -_LARGEST, _LARGEST).astype(np.int8),
            name + SCALE: scales,
            name + MIDDLE: np.zeros(len(scales), np.int8),
        }
        self.graph.initializer.extend(numpy_helper.from_array(value, each) for each, value in constants.items())
        self._nodes.append(helper.make_node('DequantizeLinear', list(constants), [name], axis=0))
