"""The model card says what the manifest says."""

import copy
import json
import os
import re
import xml.etree.ElementTree as ElementTree

import pytest

pytest.importorskip('torch', reason='torch is not installed: it is needed for training and evaluation only')

from invented_reading import invented_reading  # noqa: E402

from facial_emotion_ros.emotions import EMOTIONS  # noqa: E402
from facial_emotion_ros.evaluation.figures import figures  # noqa: E402
from facial_emotion_ros.evaluation.model_card import CARD_FILE, card_files, model_card  # noqa: E402
from facial_emotion_ros.model_bundle import embedded_bundle  # noqa: E402

FITTED = {'fitted_on': 'fitted on invented faces', 'minimised': 'negative log-likelihood of the labels', 'n': 321,
          'strength': 0.3, 'before': {'accuracy': 0.81, 'macro_recall': 0.61, 'ece': 0.09, 'nll': 0.6},
          'after': {'accuracy': 0.805, 'macro_recall': 0.66, 'ece': 0.02, 'nll': 0.5}}


def manifest(**changes):
    """Return a manifest with everything that a card may tell."""
    reading = invented_reading(count=300, temperature=2.0)
    return dict({
        'name': 'esr_3_invented', 'version': '1.2.3', 'architecture': 'esr',
        'model': {'file': 'model.onnx', 'sha256': 'ab' * 32, 'bytes': 12345678, 'precision': 'fp32', 'opset': 13},
        'input': {'size_px': 64, 'color': 'gray_x3'},
        'outputs': {'logits': {'branches': 3, 'labels': list(EMOTIONS), 'temperature': 2.0,
                               'offsets': [0, 0, 0.25, 0, 1, 1.5, 0.5, 1.25]},
                    'affect': {'derived_from': 'votes for categories'}},
        'source': {'architecture': 'ESR'},
        'licence': {'spdx': 'Apache-2.0', 'note': 'Pictures stay with their owners.'},
        'training': {'dataset': 'invented faces', 'steps': ['many', 'more']}, 'limits': ['Invented throughout.'],
        'calibration': copy.deepcopy(FITTED),
        'metrics': {'protocol': 'single crop', 'valid': figures(reading, 2.0, resamples=20),
                    'valid_without_copies_of_train': figures(reading.rows(slice(100)), 2.0, resamples=0)},
    }, **changes)


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
    assert accuracy == [f'{100 * valid["accuracy"]:.2f}%', f'{100 * low:.2f}% to {100 * high:.2f}%',
                        f'{100 * rest["accuracy"]:.2f}%']
    for row in table_rows(card, '### Each class'):
        assert row[1] == str(valid['count'][row[0]]) and row[2] == f'{100 * valid["recall"][row[0]]:.1f}%'
    assert [row[0] for row in table_rows(card, '### Each class')] == list(EMOTIONS)
    affect = {row[0]: row[1:] for row in table_rows(card, '## Valence and arousal')}
    assert affect['valence'][0] == f'{valid["affect"]["valence"]["rmse"]:.3f}'
    assert '**derived from votes**' in card


@pytest.mark.parametrize('place, value, words', [
    (('name',), 'other_name', '# other_name 1.2.3'), (('version',), '9.9.9', 'esr_3_invented 9.9.9'),
    (('model', 'sha256'), 'cd' * 32, 'cd' * 32), (('input', 'size_px'), 96, '96x96 px'),
    (('outputs', 'logits', 'branches'), 7, '| branches | 7 |'),
    (('outputs', 'logits', 'temperature'), 0.63, 'Temperature 0.63'),
    (('outputs', 'logits', 'offsets'), [0, 0, 0, 0, 0, 2.5, 0, 0], 'disgust +2.50'),
    (('outputs', 'affect', 'derived_from'), 'dice', 'Learned from: dice'),
    (('licence', 'spdx'), 'MIT', 'MIT. Pictures'), (('training', 'dataset'), 'other faces', 'other faces'),
    (('limits',), ['Reads no cats.'], 'Reads no cats.'), (('calibration', 'n'), 4321, '4321 faces'),
    (('calibration', 'after', 'ece'), 0.012, 'to 0.012'), (('metrics', 'protocol'), 'by guessing', 'by guessing'),
    (('metrics', 'valid', 'accuracy'), 0.12345, '12.35%'), (('metrics', 'valid', 'ece'), 0.0456, '0.046'),
    (('metrics', 'valid', 'agreement_auroc'), 0.7654, '0.765'),
    (('metrics', 'valid', 'recall', 'contempt'), 0.1875, '18.8%'),
    (('metrics', 'valid', 'affect', 'source'), 'annotated', '**annotated**'),
])
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
    for wanted in ('## Intended use', 'Not for decisions about a person', '## Limits', 'Invented throughout.',
                   '2024/1689', '## Licence', 'age, sex or skin colour', 'contempt ('):
        assert wanted in card, wanted
    assert max(len(line) for line in card.splitlines() if not line.startswith(('|', '-', 'Offsets', 'They'))) < 400


def test_plots_are_sound_and_each_picture_of_the_card_is_a_file_beside_it():
    files = card_files(manifest())
    card = files[CARD_FILE].decode()
    pictures = re.findall(r'!\[[^]]*\]\(([^)]+)\)', card)
    assert sorted(pictures) == sorted(set(files) - {CARD_FILE}) and len(pictures) == 2
    for name in pictures:
        assert ElementTree.fromstring(files[name].decode()).tag.endswith('svg')


@pytest.mark.parametrize('lacking', ['metrics', 'calibration', 'training', 'limits'])
def test_a_card_says_so_when_something_is_not_known(lacking):
    described = manifest()
    del described[lacking]
    if lacking == 'calibration':
        del described['outputs']['logits']['offsets'], described['outputs']['logits']['temperature']
    files = card_files(described)
    words = {'metrics': 'Nobody has measured', 'calibration': 'Not fitted', 'training': 'Nobody has said how',
             'limits': '## Limits'}
    assert words[lacking] in files[CARD_FILE].decode()
    assert (len(files) == 1) == (lacking == 'metrics')


def test_the_embedded_bundle_s_card_is_what_its_manifest_gives():
    folder = embedded_bundle('esr_9_ferplus')
    if not os.path.exists(os.path.join(folder, CARD_FILE)):
        pytest.skip('the embedded bundle has no %s: it was exported before there were any' % CARD_FILE)
    with open(os.path.join(folder, 'manifest.json'), encoding='utf-8') as file:
        files = card_files(json.load(file))
    for name, content in files.items():
        with open(os.path.join(folder, name), 'rb') as file:
            assert file.read() == content, f'{name}: export the bundle again'
