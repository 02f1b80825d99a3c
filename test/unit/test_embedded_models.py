"""What is promised of the models that come with the package."""

import os

import numpy as np
import pytest

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.model_bundle import ModelBundle, embedded_bundle


@pytest.fixture(scope='module')
def esr():
    """Return the embedded ESR."""
    return ModelBundle.open(embedded_bundle('esr_9_ferplus'), expect='esr')


def test_the_esr_has_nine_branches_and_reads_four_of_five_faces_of_ferplus_valid(esr):
    assert esr.manifest['outputs']['logits']['branches'] == 9
    valid = esr.manifest['metrics']['valid']
    assert valid['n'] == 3191 and valid['accuracy'] >= 0.80
    matrix = np.array(valid['confusion'])
    assert matrix.shape == (len(EMOTIONS), len(EMOTIONS))
    assert np.trace(matrix) / matrix.sum() == pytest.approx(valid['accuracy'])
    assert esr.manifest['metrics']['valid_without_copies_of_train']['n'] < valid['n']


def test_the_manifest_says_where_the_weights_come_from(esr):
    assert esr.manifest['licence']['spdx'] == 'Apache-2.0' and 'FER2013' in esr.manifest['licence']['note']
    assert 'votes' in esr.manifest['outputs']['affect']['derived_from']
    assert esr.manifest['training']['foreign_weights'] == 'none'


@pytest.mark.parametrize('name, megabytes', [('esr_9_ferplus', 45), ('centerface', 10)])
def test_a_model_is_no_larger_than_promised(name, megabytes):
    assert len(ModelBundle.open(embedded_bundle(name)).model_bytes) < megabytes * 1e6


def test_the_detector_comes_with_its_licence():
    bundle = ModelBundle.open(embedded_bundle('centerface'), expect='centerface')
    with open(os.path.join(bundle.folder, bundle.manifest['licence']['file'])) as text:
        assert 'MIT License' in text.read()
