"""Cut a serialised ONNX model into parts that run one after the other, without the onnx package."""

from typing import Dict, List, Sequence, Set, Tuple

from facial_emotion_ros.errors import BadModel
from facial_emotion_ros.onnx_file import fields_of

# Field numbers of the protobuf messages ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto. Source:
# onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_NAME, _GRAPH_INITIALIZER, _GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO = 1, 2, 5, 11, 12, 13
_NODE_INPUT, _NODE_OUTPUT = 1, 2
_TENSOR_NAME, _VALUE_NAME = 8, 1


def extract(model_bytes: bytes, inputs: Sequence[str], outputs: Sequence[str]) -> bytes:
    """Return the part of a model that computes some tensors from others.

    :param model_bytes: the serialised model, without control flow.
    :param inputs: names of the tensors that are given; their types stand among the model's inputs or its value_info.
    :param outputs: the same of those that are wanted.
    :returns: a model with just the nodes and weights that lie between.
    :raises BadModel: if a name or its type is missing, or the outputs need another input.
    """
    model = memoryview(model_bytes)
    graph = next(value for number, value in fields_of(model) if number == _MODEL_GRAPH)
    nodes: List[Tuple[Set[str], Set[str], memoryview]] = []
    weights: Dict[str, memoryview] = {}
    types: Dict[str, memoryview] = {}
    for number, value in fields_of(graph):
        if number == _GRAPH_NODE:
            names = [set(_text(each) for field, each in fields_of(value) if field == wanted)
                     for wanted in (_NODE_INPUT, _NODE_OUTPUT)]
            nodes.append((names[0], names[1], value))
        elif number == _GRAPH_INITIALIZER:
            weights[_named(value, _TENSOR_NAME)] = value
        elif number in (_GRAPH_INPUT, _GRAPH_OUTPUT, _GRAPH_VALUE_INFO):
            types[_named(value, _VALUE_NAME)] = value
    unknown = [name for name in list(inputs) + list(outputs) if name not in types]
    if unknown:
        raise BadModel('expected a model that tells the types of %s, it does not; make the bundle again with `quantize`'
                       % ', '.join(unknown))
    kept, needed = [], set(outputs) - set(inputs)
    for takes, gives, node in reversed(nodes):
        if gives & needed:
            kept.append(node)
            needed = (needed - gives) | (takes - set(inputs) - {''})
    missing = needed - set(weights)
    if missing:
        raise BadModel('expected %s to follow from %s, but that needs %s too' % (
            ', '.join(outputs), ', '.join(inputs), ', '.join(sorted(missing))))
    parts = [(_GRAPH_NODE, bytes(node)) for node in reversed(kept)] + [(_GRAPH_NAME, b'part')]
    parts += [(_GRAPH_INITIALIZER, bytes(weights[name])) for name in sorted(needed)]
    parts += [(_GRAPH_INPUT, bytes(types[name])) for name in inputs]
    parts += [(_GRAPH_OUTPUT, bytes(types[name])) for name in outputs]
    body = b''.join(_field(number, content) for number, content in parts)
    rest = [_as_it_was(number, value) for number, value in fields_of(model) if number != _MODEL_GRAPH]
    return b''.join(rest) + _field(_MODEL_GRAPH, body)


def _named(message, field: int) -> str:
    return next((_text(value) for number, value in fields_of(message) if number == field), '')


def _text(value) -> str:
    return bytes(value).decode('utf-8')


def _as_it_was(number: int, value) -> bytes:
    return _varint(number << 3) + _varint(value) if isinstance(value, int) else _field(number, bytes(value))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
