"""CenterFace in eight bits finds what it found."""

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed: it is needed for reading sets of faces')
onnx = pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')

from test_commands import write_faces  # noqa: E402

from facial_emotion_ros.commands import quantize  # noqa: E402
from facial_emotion_ros.errors import BadModel  # noqa: E402
from facial_emotion_ros.evaluation.detector_quantization import quantize_detector  # noqa: E402
from facial_emotion_ros.evaluation.scenes import draw_background  # noqa: E402
from facial_emotion_ros.face_detector import open_detector  # noqa: E402
from facial_emotion_ros.installed_files import find_shared  # noqa: E402
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle  # noqa: E402
from facial_emotion_ros.pictures import read_picture  # noqa: E402

SAMPLES = ('astronaut.jpg', 'president.jpg', 'vice_president.jpg')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Return the bundle in eight bits, and what was printed."""
    folder = tmp_path_factory.mktemp('int8')
    samples = find_shared('samples', SAMPLES[0])
    faces, lines = write_faces(folder / 'faces.npz', 12), []
    options = quantize.parser().parse_args([
        '--bundle', 'centerface', '--faces', faces, '--count', '6', '--pictures', samples[:-len(SAMPLES[0])], '--valid',
        faces, '--output', str(folder / 'centerface_int8')])
    return quantize.quantize(options, lines.append), lines


def test_faces_are_found_where_they_were(made):
    before, after = open_detector(ModelBundle.open(embedded_bundle('centerface'))), open_detector(made[0])
    for name in SAMPLES:
        image = read_picture(find_shared('samples', name))
        expected, found = before.detect(image), after.detect(image)
        assert len(found) == len(expected) == 1
        side = np.sqrt(np.prod(expected.boxes[0, 2:] - expected.boxes[0, :2]))
        assert np.abs(found.boxes - expected.boxes).max() < 0.08 * side
        assert np.abs(found.landmarks - expected.landmarks).max() < 0.06 * side
    for seed in range(5):
        assert not len(after.detect(draw_background(np.random.default_rng(seed))))


def test_the_bundle_says_what_it_is_and_what_was_compared(made):
    manifest = made[0].manifest
    assert manifest['name'] == 'centerface_int8' and manifest['model']['precision'] == 'int8'
    assert manifest['model']['opset'] == 13 and manifest['licence']['spdx'] == 'MIT'
    assert manifest['quantization']['of']['name'] == 'centerface' and manifest['quantization']['scenes'] == 6
    assert 'images give the ranges' in made[1][0] and 'boxes besides' in made[1][1]
    with open(made[0].folder + '/LICENSE') as licence:
        assert 'MIT License' in licence.read()
    kinds = [node.op_type for node in onnx.load_from_string(made[0].model_bytes).graph.node]
    assert kinds.count('QuantizeLinear') > 50


def test_another_architecture_is_refused():
    embedded = ModelBundle.open(embedded_bundle('centerface'))
    with pytest.raises(BadModel, match="esr or centerface expected, got 'yunet'"):
        quantize_detector(ModelBundle('some/folder', dict(embedded.manifest, architecture='yunet'), b''), [])
