"""`quantize`, from an fp32 bundle to an int8 bundle."""

import numpy as np
import pytest
from test_commands import write_faces
from test_export import DESCRIPTION, used
from tiny_training import quick_trainings  # noqa: F401

from facial_emotion_ros.cli import quantize
from facial_emotion_ros.core.errors import BadModel
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.bundle_quantization import quantize_bundle
from facial_emotion_ros.inference.execution_providers import ProviderPlan, is_int8
from facial_emotion_ros.inference.openvino_backend import openvino_version
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline
from facial_emotion_ros.training.model.export import weights_of, write_esr_bundle

GEOMETRY = CropGeometry(size_px=64, level_eyes=True)


@pytest.fixture(scope='module')
def faces(tmp_path_factory):
    """Return the path of 16 faces."""
    return write_faces(tmp_path_factory.mktemp('ferplus') / 'faces.npz', 16)


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """Return an ESR-2 of random weights, calibrated by hand."""
    folder = tmp_path_factory.mktemp('bundles') / 'esr_2'
    description = dict(DESCRIPTION, name='esr_2', version='3.1.4')
    return write_esr_bundle(folder, used(2, False, 64), GEOMETRY, description, temperature=0.7)


@pytest.fixture(scope='module')
def made(source, faces, tmp_path_factory):
    """Return the int8 bundle, and what was printed."""
    folder = tmp_path_factory.mktemp('int8')
    (folder / 'out.txt').write_text('0.png\n1.png\n2.png\n3.png\n')
    (folder / 'copies.txt').write_text('3.png\n')
    lines = []
    words = (
        f'--bundle {source.folder} --output {folder}/esr_2_int8 --faces {faces} --leave-out {folder}/out.txt '
        f'--count 10 --valid {faces} --copies {folder}/copies.txt'
    )
    return quantize_bundle(quantize.parser().parse_args(words.split()), lines.append), lines


def test_the_bundle_says_what_it_is_and_where_it_comes_from(made, source):
    manifest = made[0].manifest
    assert is_int8(made[0]) and manifest['name'] == 'esr_2_int8' and manifest['version'] == '3.1.4'
    assert manifest['input']['dtype'] == 'uint8' and manifest['input']['shape'] == ['N', 1, 64, 64]
    assert CropGeometry.from_manifest(manifest['input']) == GEOMETRY
    assert manifest['outputs'] == source.manifest['outputs']
    assert manifest['quantization']['of'] == {'name': 'esr_2', 'version': '3.1.4', 'sha256': source.sha256}
    assert manifest['metrics']['valid']['n'] == 16
    assert manifest['metrics']['valid_without_copies_of_train']['n'] == 15
    assert manifest['metrics']['valid']['accuracy'] == manifest['quantization']['accuracy']
    with open(made[0].folder + '/MODEL_CARD.md') as card:
        text = card.read()
    assert '## int8 quantization' in text and source.sha256 in text and 'int8' in text
    assert '10 faces' in made[1][0] and 'of the categories changed' in made[1][1]


def test_its_answers_are_the_source_s_but_for_rounding(made, source):
    pixels = np.random.default_rng(5).integers(0, 256, (8, 1, 64, 64)).astype(np.uint8)
    before, after = EsrEngine(source).estimate(pixels), EsrEngine(made[0]).estimate(pixels)
    assert 0 < np.abs(after.scores - before.scores).max() < 0.1
    np.testing.assert_allclose(after.valence, before.valence, atol=0.1)
    same = EsrEngine(made[0], ProviderPlan(precision='int8'))  # what a board with TensorRT asks for
    np.testing.assert_array_equal(same.estimate(pixels).scores, after.scores)


@pytest.mark.skipif(not openvino_version(), reason='openvino is not installed: it is optional')
def test_openvino_answers_the_same_in_eight_bits(made):
    pixels = np.random.default_rng(6).integers(0, 256, (5, 1, 64, 64)).astype(np.uint8)
    plan = ProviderPlan(engine='openvino', precision='int8')
    found, expected = EsrEngine(made[0], plan).estimate(pixels), EsrEngine(made[0]).estimate(pixels)
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.05)


def test_a_pipeline_reads_faces_with_it(made):
    from facial_emotion_ros.core.resources import find_shared
    from facial_emotion_ros.perception.image_files import read_picture

    (face,) = EmotionPipeline(esr=made[0]).estimate(read_picture(find_shared('samples', 'astronaut.jpg')))
    assert sum(face.scores.values()) == pytest.approx(1, abs=1e-5)


def test_nothing_is_trained_on_from_it(made):
    with pytest.raises(BadModel, match='is it an fp32 bundle'):
        weights_of(made[0])


@pytest.mark.parametrize(
    'arguments, text, status',
    [
        (['--bundle', 'no_such_bundle', '--faces', 'FACES'], 'no_such_bundle', 1),
        (['--bundle', 'centerface_int8', '--faces', 'FACES'], 'in floating point', 1),
        (['--bundle', 'centerface', '--faces', 'FACES', '--pictures', '.'], 'expected images', 1),
        (['--bundle', 'SOURCE', '--faces', 'absent.npz'], 'absent.npz', 1),
        (['--bundle', 'SOURCE', '--faces', 'FACES', '--copies', 'names.txt'], 'needs --valid', 2),
        (['--bundle', 'SOURCE', '--faces', 'FACES', '--leave-out', 'all.txt'], 'excludes all faces', 2),
        (['--bundle', 'SOURCE', '--faces', 'FACES', '--output', 'SOURCE'], 'another folder', 1),
    ],
)
def test_it_ends_with_one_line_when_its_input_is_bad(
    arguments, text, status, source, faces, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'all.txt').write_text(''.join('%d.png\n' % row for row in range(16)))
    places = {'SOURCE': source.folder, 'FACES': faces}
    assert quantize.main(['--output', 'nowhere'] + [places.get(each, each) for each in arguments]) == status
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and text in lines[0]
    assert [each.name for each in tmp_path.iterdir()] == ['all.txt']
