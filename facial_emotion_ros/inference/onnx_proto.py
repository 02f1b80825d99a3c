"""Parse, split and modify serialised ONNX models without the onnx package."""

import struct
from typing import Dict, Iterator, List, NamedTuple, Sequence, Set, Tuple, Union

from facial_emotion_ros.core.errors import BadModel

# Field numbers of protobuf messages. Source: onnx.proto.
_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSET_IMPORT = 1, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 2, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_DATA_TYPE, _TENSOR_NAME, _TENSOR_RAW_DATA, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 2, 8, 9, 13, 14
_VALUE_NAME, _VALUE_TYPE, _TYPE_TENSOR, _TENSOR_TYPE_ELEMENT = 1, 2, 1, 1
_UINT8, _INT8 = 2, 3

#: Every path from a model to its tensors: message -> field -> the message in it. Source: onnx.proto.
_PATHS_TO_TENSORS: Dict[str, Dict[int, str]] = {
    'model': {_MODEL_GRAPH: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {_GRAPH_NODE: 'node', _GRAPH_INITIALIZER: 'tensor', 15: 'sparse tensor'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse tensor', 23: 'sparse tensor'},
    'sparse tensor': {1: 'tensor', 2: 'tensor'},
}

#: Suffixes of the names of a quantized tensor's scale and zero point.
SCALE, MIDDLE = '.scale', '.middle'

_Value = Union[int, memoryview]


class OnnxVersions(NamedTuple):
    """The versions that decide whether a runtime can load a model."""

    ir_version: int
    opset: int


def read_versions(model_bytes: bytes) -> OnnxVersions:
    """Read a model's IR version and opset, and refuse an incomplete model.

    :param model_bytes: the serialised model.
    :raises BadModel: if it is not an ONNX model, uses other operator sets, or has external data, which no hash covers.
    """
    if not model_bytes:
        raise BadModel('expected an ONNX model, got an empty file')
    ir_version, opset, graphs = None, None, 0
    try:
        _refuse_external_data(memoryview(model_bytes))
        for number, value in _fields(memoryview(model_bytes)):
            if number == _MODEL_IR_VERSION:
                ir_version = _integer(value)
            elif number == _MODEL_OPSET_IMPORT:
                opset = _read_opset(_message(value))
            elif number == _MODEL_GRAPH:
                graphs += 1
    except ValueError as error:
        if isinstance(error, BadModel):
            raise
        raise BadModel(f'expected an ONNX model, got bytes that cannot be parsed: {error}') from None
    if ir_version is None or opset is None or graphs != 1:
        raise BadModel(
            'expected an ONNX model with IR version, operator set and one graph, '
            f'got IR version {ir_version}, operator set {opset} and {graphs} graphs'
        )
    return OnnxVersions(ir_version, opset)


def with_signed_activations(model_bytes: bytes) -> bytes:
    """Change uint8 activations to symmetric int8 with zero point 0, the only kind that TensorRT supports.

    Tensors with zero point 0 lose half of their quantization steps, those with 128 none.

    :param model_bytes: a model made by facial_emotion_ros.training.model.quantization.
    :returns: the same model with other scales and zero points; of the same length.
    :raises BadModel: if it has no uint8 activations, or a zero point other than 0 and 128.
    """
    changed = bytearray(model_bytes)
    tensors: Dict[str, Tuple[memoryview, Dict[int, Tuple[int, _Value]]]] = {}
    for number, value in _fields(memoryview(changed)):
        if number != _MODEL_GRAPH:
            continue
        for field, item in _fields(_message(value)):
            if field == _GRAPH_VALUE_INFO:
                _declare_int8(_message(item))
            elif field == _GRAPH_INITIALIZER:
                tensor = _message(item)
                parts = {each: (place, part) for each, place, part in _located_fields(tensor)}
                tensors[_text(parts[_TENSOR_NAME][1])] = tensor, parts
    middles = [
        name for name, (_, parts) in tensors.items() if name.endswith(MIDDLE) and parts[_TENSOR_DATA_TYPE][1] == _UINT8
    ]
    if not middles:
        raise BadModel('expected an int8 model made by `quantize`, got one without uint8 activations')
    for name in middles:
        tensor, parts = tensors[name]
        middle = _message(parts[_TENSOR_RAW_DATA][1])
        factor = _message(tensors[name[: -len(MIDDLE)] + SCALE][1][_TENSOR_RAW_DATA][1])
        if middle[0] not in (0, 128):
            raise BadModel(f'expected 0 or 128 in {name}, got {middle[0]}')
        if middle[0] == 0:
            struct.pack_into('<f', factor, 0, struct.unpack('<f', factor)[0] * 255 / 127)
        middle[0] = 0
        tensor[parts[_TENSOR_DATA_TYPE][0]] = _INT8
    return bytes(changed)


def _declare_int8(declaration: memoryview) -> None:
    """Change the declared type of a uint8 tensor to int8."""
    for number, kind in _fields(declaration):
        for field, tensor in _fields(_message(kind)) if number == _VALUE_TYPE else ():
            for each, place, element in _located_fields(_message(tensor)) if field == _TYPE_TENSOR else ():
                if each == _TENSOR_TYPE_ELEMENT and element == _UINT8:
                    _message(tensor)[place] = _INT8


def extract(model_bytes: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Extract the subgraph that computes some tensors from others.

    :param model_bytes: the serialised model, without control flow.
    :param inputs: names of the subgraph's inputs; the model declares their types (inputs, outputs or value_info).
    :param outputs: names of its outputs, likewise.
    :returns: a serialised model with the nodes and weights in between.
    :raises BadModel: if a name or its type is missing, or the outputs need another input.
    """
    model = memoryview(model_bytes)
    graph = next(_message(value) for number, value in _fields(model) if number == _MODEL_GRAPH)
    nodes: List[Tuple[Set[str], Set[str], memoryview]] = []
    weights: Dict[str, memoryview] = {}
    types: Dict[str, memoryview] = {}
    for number, value in _fields(graph):
        if number == _GRAPH_NODE:
            node = _message(value)
            nodes.append((_texts(node, _NODE_INPUT), _texts(node, _NODE_OUTPUT), node))
        elif number == _GRAPH_INITIALIZER:
            weights.update((name, _message(value)) for name in _texts(_message(value), _TENSOR_NAME))
        elif number in (_GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO):
            types.update((name, _message(value)) for name in _texts(_message(value), _VALUE_NAME))
    unknown = [name for name in list(inputs) + list(outputs) if name not in types]
    if unknown:
        raise BadModel(
            'expected a model that declares the types of %s, got one without; make the bundle again with `quantize`'
            % ', '.join(unknown)
        )
    kept, needed = [], set(outputs) - set(inputs)
    for takes, gives, node in reversed(nodes):
        if gives & needed:
            kept.append(node)
            needed = (needed - gives) | (takes - set(inputs) - {''})
    missing = needed - set(weights)
    if missing:
        raise BadModel(
            'expected to compute %s from %s, but that needs %s too'
            % (', '.join(outputs), ', '.join(inputs), ', '.join(sorted(missing)))
        )
    parts = [(_GRAPH_NODE, bytes(node)) for node in reversed(kept)] + [(_GRAPH_NAME, b'part')]
    parts += [(_GRAPH_INITIALIZER, bytes(weights[name])) for name in sorted(needed)]
    parts += [(_GRAPH_INPUT, bytes(types[name])) for name in inputs]
    parts += [(_GRAPH_OUTPUT, bytes(types[name])) for name in outputs]
    rest = b''.join(_serialised(number, value) for number, value in _fields(model) if number != _MODEL_GRAPH)
    return rest + _serialised(_MODEL_GRAPH, b''.join(_serialised(number, content) for number, content in parts))


def _read_opset(message: memoryview) -> int:
    domain, version = '', 0
    for number, value in _fields(message):
        if number == _OPSET_DOMAIN:
            domain = _text(value)
        elif number == _OPSET_VERSION:
            version = _integer(value)
    if domain not in ('', 'ai.onnx'):
        raise BadModel(f'expected only ONNX operators, got a model that imports those of {domain!r}')
    return version


def _refuse_external_data(model: memoryview) -> None:
    """Refuse a model with external data in any weight or attribute, subgraphs included."""
    left: List[Tuple[str, memoryview]] = [('model', model)]
    while left:
        kind, message = left.pop()
        paths = _PATHS_TO_TENSORS.get(kind, {})
        for number, value in _fields(message):
            if number in paths:
                left.append((paths[number], _message(value)))
            elif kind == 'tensor' and (number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value)):
                raise BadModel(
                    'expected all weights inside the model file, got some in other files, which no hash '
                    'covers (external data); save it without external data'
                )


def _fields(message: memoryview) -> Iterator[Tuple[int, _Value]]:
    """Yield (field number, value) of a protobuf message; a value is an integer or a view of its bytes."""
    for number, _, value in _located_fields(message):
        yield number, value


def _located_fields(message: memoryview) -> Iterator[Tuple[int, int, _Value]]:
    """Yield (field number, position of the value, value) of a protobuf message."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        wire_type = key & 7
        if wire_type == 0:
            start = position
            value, position = _read_varint(message, position)
            yield key >> 3, start, value
            continue
        if wire_type == 2:
            size, position = _read_varint(message, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f'wire type {wire_type} at byte {position}')
        if position + size > len(message):
            raise ValueError(f'a field of {size} bytes runs past the end')
        yield key >> 3, position, message[position : position + size]
        position += size


def _read_varint(message: memoryview, position: int) -> Tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError('it ends inside a number')
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError(f'a number of more than ten bytes before byte {position}')


def _serialised(number: int, value: Union[_Value, bytes]) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + bytes(value)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _texts(message: memoryview, field: int) -> Set[str]:
    return {_text(value) for number, value in _fields(message) if number == field}


def _text(value: _Value) -> str:
    return bytes(_message(value)).decode('utf-8')


def _integer(value: _Value) -> int:
    if not isinstance(value, int):
        raise ValueError('bytes instead of a number')
    return value


def _message(value: _Value) -> memoryview:
    if isinstance(value, int):
        raise ValueError('a number instead of bytes')
    return value
