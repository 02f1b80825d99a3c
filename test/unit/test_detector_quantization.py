"""CenterFace in int8 finds what it found."""

import cv2
import numpy as np
import onnx
import pytest
from test_commands import write_faces

from facial_emotion_ros.cli import quantize
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.evaluation.bundle_quantization import quantize_bundle
from facial_emotion_ros.evaluation.camera.detector_quantization import quantize_detector
from facial_emotion_ros.evaluation.camera.scenes import draw_background
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.perception.image_files import read_picture

SAMPLES = ('astronaut.jpg', 'president.jpg', 'vice_president.jpg')


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """Return the int8 bundle, and what was printed."""
    folder = tmp_path_factory.mktemp('int8')
    faces, lines = write_faces(folder / 'faces.npz', 12), []
    (folder / 'photographs').mkdir()
    for name in SAMPLES:
        image = read_picture(find_shared('samples', name))
        size = [max(1, round(320 * side / max(image.shape))) for side in image.shape[1::-1]]
        cv2.imwrite(str(folder / 'photographs' / name), cv2.resize(image, size, interpolation=cv2.INTER_AREA))
    words = (
        f'--bundle centerface --faces {faces} --count 3 --pictures {folder}/photographs --valid {faces} '
        f'--output {folder}/centerface_int8'
    )
    return quantize_bundle(quantize.parser().parse_args(words.split()), lines.append), lines


def test_faces_are_found_where_they_were(made):
    before, after = FaceDetector(ModelBundle.open(embedded_bundle('centerface'))), FaceDetector(made[0])
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
    assert manifest['quantization']['of']['name'] == 'centerface' and manifest['quantization']['scenes'] == 3
    assert 'images calibrate the ranges' in made[1][0] and 'false detections' in made[1][1]
    with open(made[0].folder + '/LICENSE') as licence:
        assert 'MIT License' in licence.read()
    kinds = [node.op_type for node in onnx.load_from_string(made[0].model_bytes).graph.node]
    assert kinds.count('QuantizeLinear') > 50


def test_another_architecture_is_refused():
    embedded = ModelBundle.open(embedded_bundle('centerface'))
    with pytest.raises(BadModel, match="esr or centerface, got 'retinaface'"):
        quantize_detector(ModelBundle('some/folder', dict(embedded.manifest, architecture='retinaface'), b''), [])
