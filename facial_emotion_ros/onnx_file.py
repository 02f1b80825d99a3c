"""What a serialised ONNX model says about itself, read, and in one respect changed, without the onnx package."""

import struct
from typing import Dict, Iterator, List, NamedTuple, Tuple, Union

from facial_emotion_ros.errors import BadModel

# Field numbers of the protobuf messages ModelProto, OperatorSetIdProto, GraphProto, TensorProto. Source: onnx.proto.
_MODEL_IR_VERSION, _MODEL_GRAPH, _MODEL_OPSET_IMPORT = 1, 7, 8
_OPSET_DOMAIN, _OPSET_VERSION = 1, 2
_GRAPH_INITIALIZER = 5
_TENSOR_DATA_TYPE, _TENSOR_NAME, _TENSOR_RAW_DATA, _TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 2, 8, 9, 13, 14
_UINT8, _INT8 = 2, 3

#: Every way from a model to its tensors: message -> field -> the message that lies there. Source: onnx.proto.
_WAYS_TO_TENSORS: Dict[str, Dict[int, str]] = {
    'model': {_MODEL_GRAPH: 'graph', 20: 'training', 25: 'function'},
    'training': {1: 'graph', 2: 'graph'},
    'function': {7: 'node', 11: 'attribute'},
    'graph': {1: 'node', _GRAPH_INITIALIZER: 'tensor', 15: 'sparse tensor'},
    'node': {5: 'attribute'},
    'attribute': {5: 'tensor', 6: 'graph', 10: 'tensor', 11: 'graph', 22: 'sparse tensor', 23: 'sparse tensor'},
    'sparse tensor': {1: 'tensor', 2: 'tensor'},
}

#: What quantised models call the scale of a tensor, and the whole number that stands for 0 in it, behind its name.
SCALE, MIDDLE = '.scale', '.middle'


class OnnxVersions(NamedTuple):
    """What decides whether a runtime can load a model."""

    ir_version: int
    opset: int


def read_versions(model_bytes: bytes) -> OnnxVersions:
    """Read IR version and operator set, and refuse a model that is not whole in itself.

    :param model_bytes: the serialised model.
    :returns: its IR version and the version of ONNX's own operator set.
    :raises BadModel: not an ONNX model, other operator sets, or weights kept in other files (no hash would cover them).
    """
    if not model_bytes:
        raise BadModel('expected an ONNX model, got an empty file')
    ir_version, opset, graphs = None, None, 0
    try:
        _refuse_external_data(memoryview(model_bytes))
        for number, value in fields_of(memoryview(model_bytes)):
            if number == _MODEL_IR_VERSION:
                ir_version = _whole(value)
            elif number == _MODEL_OPSET_IMPORT:
                domain, version = _read_opset(_message(value))
                if domain not in ('', 'ai.onnx'):
                    raise BadModel(f'expected ONNX operators alone, got a model that imports those of {domain!r}')
                opset = version
            elif number == _MODEL_GRAPH:
                graphs += 1
    except ValueError as error:
        if isinstance(error, BadModel):
            raise
        raise BadModel(f'expected an ONNX model, got bytes that do not read as one: {error}') from None
    if ir_version is None or opset is None or graphs != 1:
        raise BadModel('expected an ONNX model with IR version, operator set and one graph, '
                       f'got IR version {ir_version}, operator set {opset} and {graphs} graphs')
    return OnnxVersions(ir_version, opset)


def with_signed_activations(model_bytes: bytes) -> bytes:
    """Turn activations from 0 to 255 into such from -127 to 127, symmetric around 0, which are all that TensorRT takes.

    Tensors that are never negative lose half of their steps; those around 128 lose nothing.

    :param model_bytes: a model that facial_emotion_ros.learning.quantization made.
    :returns: the same model but for scales and middles; of the same length.
    :raises BadModel: where it has none, or a middle that is neither 0 nor 128.
    """
    changed = bytearray(model_bytes)
    tensors: Dict[str, Dict[int, Tuple[int, Union[int, memoryview]]]] = {}
    for number, value in fields_of(memoryview(changed)):
        if number != _MODEL_GRAPH:
            continue
        for field, tensor in fields_of(_message(value)):
            if field == _GRAPH_INITIALIZER:
                parts = {each: (place, part) for each, place, part in _located_fields(_message(tensor))}
                name = bytes(_message(parts[_TENSOR_NAME][1])).decode('utf-8')
                parts[0] = (0, tensor)
                tensors[name] = parts
    middles = [name for name, parts in tensors.items()
               if name.endswith(MIDDLE) and parts[_TENSOR_DATA_TYPE][1] == _UINT8]
    if not middles:
        raise BadModel('expected a model in int8 that `quantize` made, got one without uint8 activations')
    for name in middles:
        parts, scale = tensors[name], tensors[name[:-len(MIDDLE)] + SCALE]
        middle, factor = _message(parts[_TENSOR_RAW_DATA][1]), _message(scale[_TENSOR_RAW_DATA][1])
        if middle[0] not in (0, 128):
            raise BadModel(f'expected 0 or 128 in {name}, got {middle[0]}')
        if middle[0] == 0:
            struct.pack_into('<f', factor, 0, struct.unpack('<f', factor)[0] * 255 / 127)
        middle[0] = 0
        _message(parts[0][1])[parts[_TENSOR_DATA_TYPE][0]] = _INT8
    return bytes(changed)


def _read_opset(message: memoryview) -> Tuple[str, int]:
    domain, version = '', 0
    for number, value in fields_of(message):
        if number == _OPSET_DOMAIN:
            domain = bytes(_message(value)).decode('utf-8')
        elif number == _OPSET_VERSION:
            version = _whole(value)
    return domain, version


def _refuse_external_data(model: memoryview):
    """Refuse a model of which any tensor lies in another file: a weight, an attribute, or one of a graph in a node."""
    left: List[Tuple[str, memoryview]] = [('model', model)]
    while left:
        kind, message = left.pop()
        ways = _WAYS_TO_TENSORS.get(kind, {})
        for number, value in fields_of(message):
            if number in ways:
                left.append((ways[number], _message(value)))
            elif kind == 'tensor' and (number == _TENSOR_EXTERNAL_DATA or (number == _TENSOR_DATA_LOCATION and value)):
                raise BadModel('expected all weights inside the model file, got some in other files, which no hash '
                               'covers (external data); save it without external data')


def fields_of(message: memoryview) -> Iterator[Tuple[int, Union[int, memoryview]]]:
    """Yield (field number, value) of one protobuf message; a value is an integer or, uncopied, the bytes of it."""
    for number, _, value in _located_fields(message):
        yield number, value


def _located_fields(message: memoryview) -> Iterator[Tuple[int, int, Union[int, memoryview]]]:
    """Yield what :func:`fields_of` does, with the place where each value begins."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        wire_type = key & 7
        if wire_type == 0:
            start = position
            value, position = _varint(message, position)
            yield key >> 3, start, value
            continue
        if wire_type == 2:
            size, position = _varint(message, position)
        elif wire_type in (1, 5):
            size = 8 if wire_type == 1 else 4
        else:
            raise ValueError(f'wire type {wire_type} at byte {position}')
        if position + size > len(message):
            raise ValueError(f'a field of {size} bytes runs past the end')
        yield key >> 3, position, message[position:position + size]
        position += size


def _varint(message: memoryview, position: int) -> Tuple[int, int]:
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


def _whole(value: Union[int, memoryview]) -> int:
    if not isinstance(value, int):
        raise ValueError('bytes where a number belongs')
    return value


def _message(value: Union[int, memoryview]) -> memoryview:
    if isinstance(value, int):
        raise ValueError('a number where bytes belong')
    return value
