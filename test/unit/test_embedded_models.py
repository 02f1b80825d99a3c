"""What is promised of the models that come with the package."""

import json
import os

import numpy as np
import pytest
from places import read

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.inference.execution_providers import ProviderPlan, is_int8
from facial_emotion_ros.inference.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.perception.face_crops import CropGeometry, crop_squares, cut_planes
from facial_emotion_ros.perception.face_tracker import intersection_over_union
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline


@pytest.fixture(scope='module')
def esr():
    """Return the embedded ESR."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus'), expect='esr')


def test_the_esr_has_nine_branches_and_reads_86_of_100_faces_of_ferplus_valid(esr):
    assert esr.manifest['outputs']['logits']['branches'] == 9
    valid = esr.manifest['metrics']['valid']
    assert valid['n'] == 3191 and valid['accuracy'] >= 0.86
    matrix = np.array(valid['confusion'])
    assert matrix.shape == (len(EMOTIONS), len(EMOTIONS))
    assert np.trace(matrix) / matrix.sum() == pytest.approx(valid['accuracy'])
    assert esr.manifest['metrics']['valid_without_copies_of_train']['n'] < valid['n']


def test_faces_are_cropped_as_the_recipe_says_between_the_box_s_centre_and_the_landmarks(esr):
    said = json.loads(read('recipes', 'esr_9_ferplus.json'))['input']
    assert said == {name: esr.manifest['input'][name] for name in said}
    geometry = CropGeometry.from_manifest(esr.manifest['input'])
    assert set(vars(geometry)) - set(said) == {'color', 'scale', 'via_px'}
    # A face that is turned to the side: its features lie left of the middle of its box.
    box, landmarks = [[100, 100, 200, 220]], np.array([[[110, 145], [150, 145], [118, 165], [115, 190], [145, 190]]])
    left, top, side = crop_squares(box, geometry, landmarks)[0]
    assert 135 < left + side / 2 < 145 and side == pytest.approx(geometry.margin * np.sqrt(100 * 120))


def test_the_manifest_says_where_the_weights_come_from(esr):
    assert esr.manifest['licence']['spdx'] == 'Apache-2.0' and 'FER2013' in esr.manifest['licence']['note']
    assert 'votes' in esr.manifest['outputs']['affect']['derived_from']
    assert esr.manifest['training']['foreign_weights'] == 'none'


@pytest.mark.parametrize(
    'name, megabytes', [('esr_9_ferplus', 45), ('centerface', 10), ('esr_9_ferplus_int8', 22), ('centerface_int8', 3)]
)
def test_a_model_is_no_larger_than_promised(name, megabytes):
    assert len(ModelBundle.open(embedded_bundle(name)).model_bytes) < megabytes * 1e6


def test_the_detector_comes_with_its_licence():
    bundle = ModelBundle.open(embedded_bundle('centerface'), expect='centerface')
    with open(os.path.join(bundle.folder, bundle.manifest['licence']['file'])) as text:
        assert 'MIT License' in text.read()


@pytest.mark.parametrize('name', ['esr_9_ferplus', 'centerface'])
def test_a_model_in_eight_bits_is_made_of_the_very_one_beside_it(name):
    fp32, int8 = (ModelBundle.open(embedded_bundle(each)) for each in (name, name + '_int8'))
    assert is_int8(int8) and not is_int8(fp32)
    assert int8.manifest['quantization']['of'] == {'name': name, 'version': fp32.version, 'sha256': fp32.sha256}, (
        'quantize it anew: docs/performance.md'
    )
    assert int8.manifest['licence'] == fp32.manifest['licence']


def test_eight_bits_cost_the_network_little(esr):
    int8 = ModelBundle.open(embedded_bundle('esr_9_ferplus_int8'), expect='esr')
    lost = int8.manifest['quantization']
    assert lost['faces'] == 3191
    assert lost['accuracy_before'] == pytest.approx(esr.manifest['metrics']['valid']['accuracy'], abs=1e-6)
    assert lost['accuracy'] >= lost['accuracy_before'] - 0.003
    assert lost['categories_changed'] <= 0.015
    assert CropGeometry.from_manifest(int8.manifest['input']) == CropGeometry.from_manifest(esr.manifest['input'])
    assert int8.manifest['outputs'] == esr.manifest['outputs']


def test_eight_bits_cost_the_detector_no_face():
    lost = ModelBundle.open(embedded_bundle('centerface_int8')).manifest['quantization']
    assert lost['scenes'] >= 100 and lost['found'] >= lost['found_before'] and lost['besides'] <= lost['besides_before']
    assert lost['overlap'] > 0.95


@pytest.fixture(scope='module')
def pipelines():
    """Return the embedded models in floating point and in int8."""
    return [EmotionPipeline(providers=ProviderPlan(precision=each)) for each in ('fp32', 'int8')]


@pytest.mark.parametrize('sample', ['astronaut.jpg', 'president.jpg', 'vice_president.jpg'])
def test_the_samples_are_read_alike_in_eight_bits_and_in_floating_point(pipelines, sample):
    image = read_picture(find_shared('samples', sample))
    exact, rounded = pipelines
    (face,), (found,) = exact.estimate(image), rounded.estimate(image)
    assert found.emotion == face.emotion
    assert intersection_over_union(np.array([found.box]), np.array([face.box]))[0, 0] > 0.93
    # The networks are compared on one crop: the detectors' boxes differ by a percent or two, which moves a face between
    # two emotions more than rounding does.
    crop = cut_planes(image, np.array([face.box]), exact.engine.geometry, np.array([face.landmarks]))
    fine, coarse = (each.engine.estimate(crop) for each in (exact, rounded))
    np.testing.assert_allclose(coarse.scores, fine.scores, atol=0.05)
    np.testing.assert_allclose([coarse.valence, coarse.arousal], [fine.valence, fine.arousal], atol=0.05)


def test_the_tables_of_speed_show_the_accuracy_of_the_model_cards(esr):
    int8 = ModelBundle.open(embedded_bundle('esr_9_ferplus_int8'), expect='esr')
    right = {name: bundle.manifest['metrics']['valid']['accuracy'] for name, bundle in (('int8', int8), ('', esr))}
    rows = [line.split(' | ') for line in read('docs', 'performance.md').splitlines() if ' | shipped | ' in line]
    assert rows and all(row[4] == f'{right.get(row[3].split()[-1], right[""]):.2%}' for row in rows)
