"""train, export and evaluate one after the other, on a small data set that the test makes."""

import json
import os
import shlex

import cv2
import numpy as np
import pytest
import torch
from html_page import Page
from test_ferplus import write_npz
from tiny_training import quick_trainings  # noqa: F401

from facial_emotion_ros.cli import evaluate, export, train
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.evaluation.bundle_export import export_bundle
from facial_emotion_ros.evaluation.model_card import model_card
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.training.data.datasets import FerPlus, read_ferplus, write_ferplus
from facial_emotion_ros.training.loop.checkpoint import save_weights
from facial_emotion_ros.training.model.export import weights_of
from facial_emotion_ros.training.model.network import ESR

for package in ('matplotlib', 'plotly'):
    pytest.importorskip(package, reason=f'{package} is not installed: it is needed for evaluation only')


def write_faces(path, columns, seed=0):
    """Write pictures with clear votes.

    :param columns: of the votes; or their number, each class as often as the next.
    """
    columns = np.arange(columns) % 8 if isinstance(columns, int) else columns
    pictures = np.random.default_rng(seed).integers(0, 256, (len(columns), 48, 48)).astype(np.uint8)
    return write_npz(path, pictures, votes=10 * np.eye(10, dtype=np.uint8)[columns])


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Return the path of twelve faces."""
    return write_faces(tmp_path_factory.mktemp('ferplus') / 'split.npz', 12)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    """Return the path of an ESR-2's random weights, as sure of themselves as trained ones never are."""
    torch.manual_seed(0)
    network = ESR(2)
    with torch.no_grad():
        for branch in network.convolutional_branches:
            branch.fc.weight *= 40
    path = str(tmp_path_factory.mktemp('weights') / 'weights.safetensors')
    save_weights(path, network.state_dict())
    return path


#: Faces of each class that are not held out.
LEARNED = (12, 8, 1, 1, 1, 1, 1, 3)


@pytest.fixture(scope='module')
def calibrated(weights, dataset, tmp_path_factory):
    """Return a bundle for 54 px that was calibrated on 100 of 128 faces, measured, and what was printed."""
    folder = tmp_path_factory.mktemp('bundles')
    (folder / 'dev.txt').write_text(''.join(f'{row}.png\n' for row in range(100)))
    (folder / 'copies.txt').write_text('0.png\n1.png\n')
    (folder / 'description.json').write_text('{"version": "2.0.0", "licence": {"spdx": "MIT"}}')
    train_set = write_faces(folder / 'train.npz', np.r_[np.arange(100) % 8, np.repeat(np.arange(8), LEARNED)], 1)
    words = (
        f'--description {folder}/description.json --weights {weights} --output {folder}/esr_2_small --size-px 54 '
        f'--operating-point balanced=0.5 --operating-point as_trained=0 --train {train_set} --dev {folder}/dev.txt '
        f'--prior-exponent 0.5 --valid {dataset} --copies {folder}/copies.txt'
    )
    lines = []
    return export_bundle(export.parser().parse_args(words.split()), lines.append), lines


def test_a_network_is_trained_exported_and_evaluated(dataset, tmp_path, capsys):
    arguments = ['esr_9_ferplus', '--data', dataset, '--output', str(tmp_path / 'run'), '--set', 'faces.held_out=']
    phase = 'phases=[{steps: 2, batch_size: 2, size_px: 56}]'
    assert train.main([*arguments, '--set', 'network.branches=2', '--set', phase]) == 0
    assert 'step 2/2' in capsys.readouterr().err
    trained, folder = str(tmp_path / 'run' / 'weights.safetensors'), str(tmp_path / 'esr_2_small')
    assert export.main(['--weights', trained, '--size-px', '54', '--output', folder]) == 0
    assert 'sha256' in capsys.readouterr().out
    assert evaluate.main(['--dataset', dataset, '--bundle', folder, '--resamples', '10']) == 0
    printed = capsys.readouterr().out
    assert 'agreement_auroc' in printed and 'contempt' in printed and 'derived from votes' in printed


def test_the_robot_gets_temperature_and_size_when_a_bundle_is_calibrated(calibrated):
    bundle, lines = calibrated
    engine = EsrEngine(bundle)
    manifest = bundle.manifest
    assert engine.geometry.size_px == 54 and engine.point.name == 'balanced'
    assert manifest['licence'] == {'spdx': 'MIT'} and bundle.version == '2.0.0'
    assert manifest['calibration']['n'] == 100 and 'dev.txt' in manifest['calibration']['fitted_on']
    before, after = manifest['calibration']['before'], manifest['calibration']['after']
    assert after['as_trained']['nll'] < before['nll'] and list(after) == ['balanced', 'as_trained']
    logits = manifest['outputs']['logits']
    # What balanced softmax left of the class frequencies.
    expected = np.sqrt(LEARNED) / np.sqrt(LEARNED).sum()
    np.testing.assert_allclose(sorted(logits['class_prior']), sorted(expected), atol=1e-6)
    assert logits['class_prior'][0] == max(logits['class_prior']) and logits['operating_point'] == 'balanced'
    assert logits['temperature'] == logits['operating_points']['as_trained']['temperature']
    assert list(manifest['metrics']['operating_points']) == ['balanced', 'as_trained']
    assert any('temperature' in line for line in lines) and any('agreement_auroc' in line for line in lines)


def test_the_card_of_a_bundle_is_what_its_manifest_gives(calibrated):
    bundle, _ = calibrated
    with open(f'{bundle.folder}/MODEL_CARD.md', encoding='utf-8') as file:
        card = file.read()
    assert card == model_card(bundle.manifest) and bundle.sha256 in card
    assert os.path.isfile(f'{bundle.folder}/confusion.png') and os.path.isfile(f'{bundle.folder}/calibration.png')


def test_evaluate_finds_what_export_wrote_with_and_without_copies(calibrated, dataset, tmp_path, capsys):
    bundle, _ = calibrated
    (tmp_path / 'copies.txt').write_text('0.png\n1.png\n')
    arguments = (
        f'--dataset {dataset} --bundle {bundle.folder} --output {tmp_path}/figures --leave-out {tmp_path}/copies.txt'
    ).split()
    assert evaluate.main(arguments) == 0
    found = json.loads((tmp_path / 'figures' / 'metrics.json').read_text())
    assert found['n'] == 12 and found['without_left_out']['n'] == 10
    assert found['bundle']['sha256'] == bundle.sha256 and found['command'] == 'evaluate ' + shlex.join(arguments)
    assert np.array(found['confusion']).shape == (8, 8) and np.sum(found['confusion']) == 12
    assert found['accuracy'] == np.trace(found['confusion']) / 12
    assert {'accuracy_vote', 'macro_recall', 'ece', 'agreement_auroc', 'confidence_auroc'} <= set(found)
    assert list(found['recall']) == list(EMOTIONS) and found['affect']['source'] == 'derived from votes'
    said = bundle.manifest['metrics']
    assert found['confusion'] == said['valid']['confusion'] and found['ece'] == said['valid']['ece']
    rest = said['valid_without_copies_of_train']
    assert found['without_left_out']['confusion'] == rest['confusion']
    page = (tmp_path / 'figures' / 'report.html').read_text()
    assert bundle.name in page and Page(page).references == []
    printed = capsys.readouterr().out
    assert found['operating_points'] == said['operating_points']
    assert 'as_trained' in printed and 'without copies.txt' in printed and 'report.html' in printed


def test_pictures_are_in_the_report_when_they_are_asked_for(calibrated, dataset, tmp_path):
    arguments = ['--dataset', dataset, '--bundle', calibrated[0].folder, '--output', str(tmp_path)]
    assert evaluate.main([*arguments, '--with-pictures', '2', '--resamples', '0']) == 0
    references = Page((tmp_path / 'report.html').read_text()).references
    assert len(references) == 2 and all(each.startswith('data:image/png') for each in references)


def test_a_bundle_keeps_weights_size_and_origin_when_it_is_exported_anew(calibrated, tmp_path):
    bundle, _ = calibrated
    assert export.main(['--weights', bundle.folder, '--output', str(tmp_path / 'again')]) == 0
    again = ModelBundle.open(tmp_path / 'again')
    assert again.name == 'again' and again.manifest['input'] == bundle.manifest['input']
    assert again.manifest['licence'] == {'spdx': 'MIT'} and again.version == '2.0.0'
    assert 'metrics' not in again.manifest and 'calibration' not in again.manifest
    before, after = weights_of(bundle), weights_of(again)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_of_unknown_origin_get_no_licence(weights, tmp_path):
    assert export.main(['--weights', weights, '--size-px', '54', '--output', str(tmp_path / 'unknown')]) == 0
    bundle = ModelBundle.open(tmp_path / 'unknown')
    assert bundle.manifest['licence']['spdx'] == 'NOASSERTION'
    assert 'has not been evaluated' in (tmp_path / 'unknown' / 'MODEL_CARD.md').read_text()


def test_faces_are_cut_as_the_description_says_when_it_has_an_input(weights, tmp_path, capsys):
    (tmp_path / 'description.json').write_text('{"input": {"size_px": 64, "level_eyes": true}}')
    arguments = ['--weights', weights, '--description', str(tmp_path / 'description.json')]
    assert export.main([*arguments, '--output', str(tmp_path / 'level')]) == 0
    given = ModelBundle.open(tmp_path / 'level').manifest['input']
    assert (given['size_px'], given['level_eyes'], given['shape']) == (64, True, ['N', 3, 64, 64])
    for wrong, words in (
        ('{"input": {"level": true}}', "got 'level'"),
        ('{"input": 64}', 'got 64'),
        ('{"input": {"level_eyes": 1}}', 'input.level_eyes'),
    ):
        (tmp_path / 'description.json').write_text(wrong)
        assert export.main([*arguments, '--output', str(tmp_path / 'wrong')]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / 'wrong').exists()


def test_a_set_of_another_format_is_read_with_its_options(calibrated, tmp_path, capsys):
    for emotion in ('happy', 'sad'):
        (tmp_path / 'faces' / emotion).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'faces' / emotion / 'one.png'), np.full((70, 70, 3), 90, np.uint8))
    arguments = ['--dataset', str(tmp_path / 'faces'), '--output', str(tmp_path / 'out'), '--resamples', '0']
    arguments += ['--bundle', calibrated[0].folder]
    assert evaluate.main([*arguments, '--option', 'check=false']) == 0
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['count']['happy'] == 1
    capsys.readouterr()
    for wrong in ('colour=blue', 'check'):
        assert evaluate.main([*arguments, '--option', wrong]) == 2
        assert 'expected' in capsys.readouterr().err


@pytest.mark.parametrize(
    'command, arguments',
    [
        (train, ['esr_9_ferplus', '--data', 'absent.npz', '--output', 'nowhere']),
        (export, ['--weights', 'absent.safetensors', '--output', 'nowhere']),
        (export, ['--weights', 'esr_9_ferplus', '--output', 'nowhere', '--size-px', '40']),
        (export, ['--weights', 'centerface', '--output', 'nowhere']),
        (evaluate, ['--dataset', 'absent.npz']),
        (evaluate, ['--dataset', 'absent.npz', '--bundle', 'no_such_bundle']),
    ],
)
def test_a_command_ends_with_one_line_when_its_input_is_bad(command, arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and ('expected' in lines[0] or 'needs' in lines[0])
    assert list(tmp_path.iterdir()) == []


def test_no_figures_are_made_on_the_faces_that_were_learned(weights, dataset, tmp_path, capsys):
    (tmp_path / 'dev.txt').write_text(''.join(f'{row}.png\n' for row in range(100)))
    faces = write_faces(tmp_path / 'train.npz', 128, 2)
    arguments = f'--weights {weights} --output {tmp_path}/out --train {faces} --dev {tmp_path}/dev.txt --valid'.split()
    assert export.main([*arguments, faces])
    assert '128 of 128 that are in --train too' in capsys.readouterr().err and not (tmp_path / 'out').exists()
    some = read_ferplus(faces).rows(np.r_[0:5])
    others = read_ferplus(dataset)
    pictures, votes = (np.r_[getattr(some, name), getattr(others, name)] for name in ('pictures', 'votes'))
    names = [f'{place}.png' for place in range(17)]
    write_ferplus(str(tmp_path / 'valid.npz'), FerPlus(pictures, votes, names))
    assert export.main([*arguments, str(tmp_path / 'valid.npz')]) == 0
    assert '5 of the 17 faces' in capsys.readouterr().out


def test_fewer_branches_are_asked_when_that_is_wanted(calibrated, dataset, tmp_path, capsys):
    arguments = ['--dataset', dataset, '--bundle', calibrated[0].folder, '--resamples', '0']
    found = []
    for count in ('1', '2'):
        assert evaluate.main([*arguments, '--branches', count, '--output', str(tmp_path / count)]) == 0
        found.append(json.loads((tmp_path / count / 'metrics.json').read_text()))
    one, two = found
    assert (one['branches'], two['branches']) == (1, 2)
    assert two['nll'] == calibrated[0].manifest['metrics']['valid']['nll'] != one['nll']
    assert one['accuracy'] == one['accuracy_vote'], 'one branch alone decides'
    capsys.readouterr()
    assert evaluate.main([*arguments, '--branches', '3']) == 2
    assert '--branches: expected 1 to 2' in capsys.readouterr().err


def test_evaluate_ends_with_one_line_when_the_list_is_for_another_set(calibrated, dataset, tmp_path, capsys):
    for text, words in (('of another set.png\n', 'another set'), (None, 'list of image names')):
        path = tmp_path / 'names.txt'
        path.unlink(missing_ok=True)
        if text:
            path.write_text(text)
        arguments = ['--dataset', dataset, '--bundle', calibrated[0].folder, '--output', str(tmp_path / 'figures')]
        assert evaluate.main([*arguments, '--leave-out', str(path)]) == 1
        assert words in capsys.readouterr().err
        assert not (tmp_path / 'figures').exists()
