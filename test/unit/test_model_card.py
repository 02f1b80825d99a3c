"""The model card says what the manifest says."""

import copy
import functools
import json
import os
import re

import cv2
import numpy as np
import pytest
from invented_reading import invented_reading

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.ensemble import OperatingPoint
from facial_emotion_ros.evaluation.model_card import CARD_FILE, card_files, model_card
from facial_emotion_ros.evaluation.prediction_metrics import compute_metrics, side_by_side
from facial_emotion_ros.inference.model_bundle import embedded_bundle

pytest.importorskip('matplotlib', reason='matplotlib is not installed: it is needed for plots only')

FITTED = {
    'fitted_on': 'fitted on invented faces',
    'minimised': 'negative log-likelihood of the labels',
    'n': 321,
    'before': {'accuracy': 0.81, 'macro_recall': 0.61, 'ece': 0.09, 'nll': 0.6},
    'after': {'accuracy': 0.805, 'macro_recall': 0.66, 'ece': 0.02, 'nll': 0.5},
}
#: Two operating points, the second of which favours what is rare.
POINTS = {
    'plain': OperatingPoint('plain', 2.0),
    'fair': OperatingPoint('fair', 1.9, None, 0.5, (1, 1, 2, 2, 4, 5, 3, 5), min_confidence=0.41),
}


@functools.lru_cache(maxsize=None)
def metrics():
    """Return the figures of 300 invented faces."""
    reading = invented_reading(count=300, temperature=2.0)
    return {
        'protocol': 'single crop',
        'valid': compute_metrics(reading, POINTS['plain'], resamples=20),
        'valid_without_copies_of_train': compute_metrics(reading.rows(slice(100)), POINTS['plain'], resamples=0),
    }


def manifest():
    """Return a manifest with everything that a card may tell."""
    return copy.deepcopy(
        {
            'name': 'esr_3_invented',
            'version': '1.2.3',
            'architecture': 'esr',
            'model': {'file': 'model.onnx', 'sha256': 'ab' * 32, 'bytes': 12345678, 'precision': 'fp32', 'opset': 13},
            'input': {'size_px': 64, 'color': 'gray_x3'},
            'outputs': {
                'logits': {
                    'branches': 3,
                    'labels': list(EMOTIONS),
                    'temperature': 2.0,
                    'offsets': [0, 0, 0.25, 0, 1, 1.5, 0.5, 1.25],
                },
                'affect': {'derived_from': 'votes for categories'},
            },
            'source': {'architecture': 'ESR'},
            'licence': {'spdx': 'Apache-2.0', 'note': 'Pictures stay with their owners.'},
            'training': {'dataset': 'invented faces', 'steps': ['many', 'more']},
            'limits': ['Invented throughout.'],
            'calibration': FITTED,
            'metrics': metrics(),
        }
    )


def manifest_of_points():
    """Return a manifest with two operating points."""
    described = manifest()
    reading = invented_reading(count=300, temperature=2.0)
    described['outputs']['logits'].update(
        class_prior=[0.3, 0.3, 0.1, 0.1, 0.05, 0.03, 0.09, 0.03],
        operating_point='fair',
        operating_points={
            name: {
                'prior_exponent': point.prior_exponent,
                'temperature': point.temperature,
                'min_confidence': point.min_confidence,
            }
            for name, point in POINTS.items()
        },
    )
    described['calibration']['after'] = {name: FITTED['after'] for name in POINTS}
    described['metrics'].update(side_by_side(reading, POINTS))
    return described


def table_rows(card, heading):
    """Read the first table below a heading: list of lists of cells."""
    below = card.split(heading, 1)[1].split('\n#', 1)[0]
    lines = [line.strip('| ').split(' | ') for line in below.splitlines() if line.startswith('|')]
    return [[cell.strip() for cell in line] for line in lines[2:]]


def test_every_figure_of_the_card_is_that_of_the_manifest():
    described = manifest()
    card, valid = model_card(described), described['metrics']['valid']
    rows = {row[0]: row[1:] for row in table_rows(card, '\n## Figures')}
    accuracy = next(cells for words, cells in rows.items() if words.startswith('accuracy, mean'))
    rest = described['metrics']['valid_without_copies_of_train']
    assert rest['accuracy'] != valid['accuracy']
    low, high = valid['intervals']['accuracy']
    assert accuracy == [
        f'{100 * valid["accuracy"]:.2f}%',
        f'{100 * low:.2f}% to {100 * high:.2f}%',
        f'{100 * rest["accuracy"]:.2f}%',
    ]
    for row in table_rows(card, '### Each class'):
        assert row[1] == str(valid['count'][row[0]]) and row[2] == f'{100 * valid["recall"][row[0]]:.1f}%'
    assert [row[0] for row in table_rows(card, '### Each class')] == list(EMOTIONS)
    affect = {row[0]: row[1:] for row in table_rows(card, '## Valence and arousal')}
    assert affect['valence'][0] == f'{valid["affect"]["valence"]["rmse"]:.3f}'
    assert '**derived from votes**' in card


def test_the_card_sets_the_operating_points_side_by_side_the_default_first():
    described = manifest_of_points()
    card, found = model_card(described), described['metrics']['operating_points']
    assert '`fair` is the default' in card and '|  | `fair` | `plain` |' in card
    rows = {row[0]: row[1:] for row in table_rows(card, '## Operating points')}
    assert rows['prior_exponent'] == ['0.5', '0'] and rows['temperature'] == ['1.9', '2']
    assert rows['lower confidence becomes `unknown`'] == ['0.41', '0.45']
    assert found['fair']['accuracy'] != found['plain']['accuracy']
    assert rows['accuracy'] == [f'{100 * found[name]["accuracy"]:.1f}%' for name in ('fair', 'plain')]
    assert rows['recall, precision of disgust'] == [
        ', '.join(f'{100 * found[name][key]["disgust"]:.0f}%' for key in ('recall', 'precision'))
        for name in ('fair', 'plain')
    ]
    assert 'Temperature 1.9' in card and 'to 0.020' in card


@pytest.mark.parametrize(
    'place, value, words',
    [
        (('name',), 'other_name', '# other_name 1.2.3'),
        (('version',), '9.9.9', 'esr_3_invented 9.9.9'),
        (('model', 'sha256'), 'cd' * 32, 'cd' * 32),
        (('input', 'size_px'), 96, '96x96 px'),
        (('outputs', 'logits', 'branches'), 7, '| branches | 7 |'),
        (('outputs', 'logits', 'temperature'), 0.63, 'Temperature 0.63'),
        (('outputs', 'logits', 'offsets'), [0, 0, 0, 0, 0, 2.5, 0, 0], 'disgust +2.50'),
        (('outputs', 'affect', 'derived_from'), 'dice', 'Learned from: dice'),
        (('licence', 'spdx'), 'MIT', 'MIT. Pictures'),
        (('training', 'dataset'), 'other faces', 'other faces'),
        (('limits',), ['Reads no cats.'], 'Reads no cats.'),
        (('calibration', 'n'), 4321, '4321 faces'),
        (('calibration', 'after', 'ece'), 0.012, 'to 0.012'),
        (('metrics', 'protocol'), 'by guessing', 'by guessing'),
        (('metrics', 'valid', 'accuracy'), 0.12345, '12.35%'),
        (('metrics', 'valid', 'ece'), 0.0456, '0.046'),
        (('metrics', 'valid', 'agreement_auroc'), 0.7654, '0.765'),
        (('metrics', 'valid', 'recall', 'contempt'), 0.1875, '18.8%'),
        (('metrics', 'valid', 'affect', 'source'), 'annotated', '**annotated**'),
    ],
)
def test_the_card_changes_with_the_manifest(place, value, words):
    described = manifest()
    assert words not in model_card(described)
    *parents, last = place
    part = described
    for key in parents:
        part = part[key]
    part[last] = value
    assert words in model_card(described)


def test_the_card_tells_use_limits_rare_classes_and_law():
    card = model_card(manifest())
    for wanted in (
        '## Intended use',
        'Not for decisions about a person',
        '## Limits',
        'Invented throughout.',
        '2024/1689',
        '## Licence',
        'age, sex or skin colour',
        'contempt (',
    ):
        assert wanted in card, wanted
    assert max(len(line) for line in card.splitlines() if not line.startswith(('|', '-', 'Offsets', 'They'))) < 400


def decoded(content):
    """Decode a PNG file."""
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)


@pytest.fixture(scope='module')
def files():
    """Return a card and its pictures."""
    return card_files(manifest())


def test_pictures_are_sound_and_each_picture_of_the_card_is_a_file_beside_it(files):
    card = files[CARD_FILE].decode()
    pictures = re.findall(r'!\[[^]]*\]\(([^)]+)\)', card)
    assert sorted(pictures) == sorted(set(files) - {CARD_FILE}) and len(pictures) == 2
    for name in pictures:
        picture = decoded(files[name])
        assert min(picture.shape[:2]) > 400 and 60 < picture.mean() < 253


@pytest.mark.parametrize(
    'lacking, words',
    [
        ('metrics', 'has not been evaluated'),
        ('calibration', 'Not fitted'),
        ('training', 'does not describe the training'),
        ('limits', '## Limits'),
    ],
)
def test_a_card_says_so_when_something_is_not_known(lacking, words):
    described = manifest()
    del described[lacking]
    if lacking == 'calibration':
        del described['outputs']['logits']['offsets'], described['outputs']['logits']['temperature']
    assert words in model_card(described)
    if lacking == 'metrics':
        assert list(card_files(described)) == [CARD_FILE]


def test_the_embedded_bundle_s_card_is_what_its_manifest_gives():
    folder = embedded_bundle('esr_9_ferplus')
    if not os.path.exists(os.path.join(folder, CARD_FILE)):
        pytest.skip('the embedded bundle has no %s: it was exported before there were any' % CARD_FILE)
    with open(os.path.join(folder, 'manifest.json'), encoding='utf-8') as file:
        files = card_files(json.load(file))
    for name, content in files.items():
        with open(os.path.join(folder, name), 'rb') as file:
            there = file.read()
        if name == CARD_FILE:
            assert there == content, f'{name}: export the bundle again'
        else:
            # Another release of matplotlib draws letters differently, by some pixels.
            one, other = decoded(there), decoded(content)
            assert one.shape == other.shape, f'{name}: export the bundle again'
            assert np.abs(one.astype(int) - other).mean() < 1, f'{name}: export the bundle again'


def test_the_pictures_change_with_the_figures(files):
    described = manifest()
    valid = described['metrics']['valid']
    valid['confusion'][1] = valid['confusion'][1][::-1]
    valid['reliability']['accuracy'] = [each and each / 2 for each in valid['reliability']['accuracy']]
    after = card_files(described)
    for name in ('confusion.png', 'calibration.png'):
        one, other = decoded(files[name]), decoded(after[name])
        assert one.shape == other.shape and np.abs(one.astype(int) - other).mean() > 1.5, name
