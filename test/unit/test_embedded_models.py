"""What is promised of the models that come with the package."""

import os

import numpy as np
import pytest

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.execution_providers import ProviderPlan, is_int8
from facial_emotion_ros.face_crop import CropGeometry
from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle
from facial_emotion_ros.pictures import read_picture
from facial_emotion_ros.pipeline import EmotionPipeline


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


def test_the_manifest_says_where_the_weights_come_from(esr):
    assert esr.manifest['licence']['spdx'] == 'Apache-2.0' and 'FER2013' in esr.manifest['licence']['note']
    assert 'votes' in esr.manifest['outputs']['affect']['derived_from']
    assert esr.manifest['training']['foreign_weights'] == 'none'


@pytest.mark.parametrize('name, megabytes', [
    ('esr_9_ferplus', 45), ('centerface', 10), ('esr_9_ferplus_int8', 22), ('centerface_int8', 3)])
def test_a_model_is_no_larger_than_promised(name, megabytes):
    assert len(ModelBundle.open(embedded_bundle(name)).model_bytes) < megabytes * 1e6


def test_the_detector_comes_with_its_licence():
    bundle = ModelBundle.open(embedded_bundle('centerface'), expect='centerface')
    with open(os.path.join(bundle.folder, bundle.manifest['licence']['file'])) as text:
        assert 'MIT License' in text.read()


@pytest.mark.parametrize('name', ['esr_9_ferplus', 'centerface'])
def test_a_model_in_eight_bits_is_made_of_the_very_one_beside_it(name):
    master, int8 = (ModelBundle.open(embedded_bundle(each)) for each in (name, name + '_int8'))
    assert is_int8(int8) and not is_int8(master)
    assert int8.manifest['quantization']['of'] == {
        'name': name, 'version': master.version, 'sha256': master.sha256}, 'quantize it anew: docs/performance.md'
    assert int8.manifest['licence'] == master.manifest['licence']


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


@pytest.mark.parametrize('sample', ['astronaut.jpg', 'president.jpg', 'vice_president.jpg'])
def test_the_samples_are_read_alike_in_eight_bits_and_in_floating_point(sample):
    image = read_picture(find_shared('samples', sample))
    exact, = EmotionPipeline(providers=ProviderPlan(precision='fp32')).estimate(image)
    rounded, = EmotionPipeline(providers=ProviderPlan(precision='int8')).estimate(image)
    assert rounded.emotion == exact.emotion
    assert rounded.confidence == pytest.approx(exact.confidence, abs=0.1)
    assert rounded.valence == pytest.approx(exact.valence, abs=0.1)
