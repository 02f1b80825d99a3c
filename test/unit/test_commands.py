"""train, export and evaluate one after the other, on a small data set that the test makes."""

import json
import shlex

import cv2
import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')
pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')

from test_ferplus import write_npz  # noqa: E402

from facial_emotion_ros.commands import evaluate, export, train  # noqa: E402
from facial_emotion_ros.emotions import EMOTIONS  # noqa: E402
from facial_emotion_ros.esr_engine import EsrEngine  # noqa: E402
from facial_emotion_ros.evaluation.model_card import card_files  # noqa: E402
from facial_emotion_ros.learning.checkpoint import save_weights  # noqa: E402
from facial_emotion_ros.learning.export import weights_of  # noqa: E402
from facial_emotion_ros.learning.network import ESR  # noqa: E402
from facial_emotion_ros.model_bundle import ModelBundle  # noqa: E402


def write_faces(path, count):
    """Write pictures with clear votes, each class as often as the next."""
    votes = np.zeros((count, 10), np.uint8)
    votes[np.arange(count), np.arange(count) % 8] = 10
    return write_npz(path, np.random.default_rng(0).integers(0, 256, (count, 48, 48)).astype(np.uint8), votes=votes)


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


@pytest.fixture(scope='module')
def calibrated(weights, dataset, tmp_path_factory):
    """Return a bundle for 64 px that was calibrated on 104 of 120 faces, measured, and what was printed."""
    folder = tmp_path_factory.mktemp('bundles')
    (folder / 'dev.txt').write_text(''.join(f'{row}.png\n' for row in range(104)))
    (folder / 'copies.txt').write_text('0.png\n1.png\n')
    (folder / 'description.json').write_text('{"version": "2.0.0", "licence": {"spdx": "MIT"}}')
    options = export.parser().parse_args([
        '--description', str(folder / 'description.json'), '--weights', weights,
        '--output', str(folder / 'esr_2_small'), '--size-px', '64', '--rare-cost', '0.01',
        '--train', write_faces(folder / 'train.npz', 120), '--dev', str(folder / 'dev.txt'),
        '--valid', dataset, '--copies', str(folder / 'copies.txt')])
    lines = []
    return export.export(options, lines.append), lines


def test_a_network_is_trained_exported_and_evaluated(dataset, tmp_path, capsys):
    arguments = ['esr_9_ferplus', '--data', dataset, '--output', str(tmp_path / 'run'), '--set', 'faces.held_out=']
    phase = 'phases=[{steps: 2, batch_size: 4, size_px: 64}]'
    assert train.main([*arguments, '--set', 'network.branches=2', '--set', phase]) == 0
    assert 'step 2/2' in capsys.readouterr().err
    trained, folder = str(tmp_path / 'run' / 'weights.safetensors'), str(tmp_path / 'esr_2_small')
    assert export.main(['--weights', trained, '--size-px', '64', '--output', folder]) == 0
    assert 'sha256' in capsys.readouterr().out
    assert evaluate.main(['--dataset', dataset, '--bundle', folder]) == 0
    printed = capsys.readouterr().out
    assert 'agreement_auroc' in printed and 'contempt' in printed and 'derived from votes' in printed


def test_the_robot_gets_temperature_and_size_when_a_bundle_is_calibrated(calibrated):
    bundle, lines = calibrated
    engine = EsrEngine(bundle)
    manifest = bundle.manifest
    assert engine.geometry.size_px == 64 and engine.temperature == manifest['outputs']['logits']['temperature'] > 1.2
    assert manifest['calibration']['n'] == 104 and 'dev.txt' in manifest['calibration']['fitted_on']
    before, after = manifest['calibration']['before'], manifest['calibration']['after']
    assert after['nll'] < before['nll'] and after['accuracy'] >= before['accuracy'] - 0.01 - 1e-9
    assert any('temperature' in line for line in lines) and any('agreement_auroc' in line for line in lines)


def test_the_card_of_a_bundle_is_what_its_manifest_gives(calibrated):
    bundle, _ = calibrated
    for name, content in card_files(bundle.manifest).items():
        with open(f'{bundle.folder}/{name}', 'rb') as file:
            assert file.read() == content
    with open(f'{bundle.folder}/MODEL_CARD.md', encoding='utf-8') as file:
        assert bundle.sha256 in file.read()


def test_evaluate_finds_what_export_wrote_with_and_without_copies(calibrated, dataset, tmp_path, capsys):
    bundle, _ = calibrated
    (tmp_path / 'copies.txt').write_text('0.png\n1.png\n')
    arguments = ['--dataset', dataset, '--bundle', bundle.folder, '--output', str(tmp_path / 'figures'),
                 '--leave-out', str(tmp_path / 'copies.txt')]
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
    assert bundle.name in page and 'data:image' not in page
    printed = capsys.readouterr().out
    assert 'without copies.txt' in printed and 'report.html' in printed


def test_pictures_are_in_the_report_when_they_are_asked_for(calibrated, dataset, tmp_path):
    arguments = ['--dataset', dataset, '--bundle', calibrated[0].folder, '--output', str(tmp_path)]
    assert evaluate.main([*arguments, '--with-pictures', '2', '--resamples', '0']) == 0
    assert (tmp_path / 'report.html').read_text().count('data:image/png') == 2


def test_a_bundle_keeps_weights_size_and_origin_when_it_is_exported_anew(calibrated, tmp_path):
    bundle, _ = calibrated
    assert export.main(['--weights', bundle.folder, '--output', str(tmp_path / 'again')]) == 0
    again = ModelBundle.open(tmp_path / 'again')
    assert again.name == 'again' and again.manifest['input'] == bundle.manifest['input']
    assert again.manifest['licence'] == {'spdx': 'MIT'} and again.version == '2.0.0'
    assert 'metrics' not in again.manifest and 'calibration' not in again.manifest
    before, after = weights_of(bundle), weights_of(again)
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_weights_of_unknown_origin_get_no_licence_and_given_ones_are_kept(weights, tmp_path):
    assert export.main(['--weights', weights, '--output', str(tmp_path / 'unknown')]) == 0
    assert ModelBundle.open(tmp_path / 'unknown').manifest['licence']['spdx'] == 'NOASSERTION'
    (tmp_path / 'description.json').write_text('{"version": "2.0.0", "licence": {"spdx": "MIT"}}')
    assert export.main(['--weights', weights, '--output', str(tmp_path / 'known'),
                        '--description', str(tmp_path / 'description.json')]) == 0
    bundle = ModelBundle.open(tmp_path / 'known')
    assert bundle.manifest['licence']['spdx'] == 'MIT' and bundle.version == '2.0.0'
    assert 'Nobody has measured' in (tmp_path / 'known' / 'MODEL_CARD.md').read_text()


def test_faces_are_cut_as_the_description_says_when_it_has_an_input(weights, tmp_path, capsys):
    (tmp_path / 'description.json').write_text('{"input": {"size_px": 64, "level_eyes": true}}')
    arguments = ['--weights', weights, '--description', str(tmp_path / 'description.json')]
    assert export.main([*arguments, '--output', str(tmp_path / 'level')]) == 0
    given = ModelBundle.open(tmp_path / 'level').manifest['input']
    assert (given['size_px'], given['level_eyes'], given['shape']) == (64, True, ['N', 3, 64, 64])
    for wrong, words in (('{"input": {"level": true}}', "got 'level'"), ('{"input": 64}', 'got 64'),
                         ('{"input": {"level_eyes": 1}}', 'input.level_eyes')):
        (tmp_path / 'description.json').write_text(wrong)
        assert export.main([*arguments, '--output', str(tmp_path / 'wrong')]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / 'wrong').exists()


def test_a_set_of_another_format_is_read_with_its_options(calibrated, tmp_path, capsys):
    for emotion in ('happy', 'sad'):
        (tmp_path / 'faces' / emotion).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / 'faces' / emotion / 'one.png'), np.full((70, 70, 3), 90, np.uint8))
    arguments = ['--dataset', str(tmp_path / 'faces'), '--output', str(tmp_path / 'out')]
    arguments += ['--bundle', calibrated[0].folder]
    assert evaluate.main([*arguments, '--option', 'check=false']) == 0
    assert json.loads((tmp_path / 'out' / 'metrics.json').read_text())['count']['happy'] == 1
    capsys.readouterr()
    for wrong in ('colour=blue', 'check'):
        assert evaluate.main([*arguments, '--option', wrong]) == 1
        assert 'expected' in capsys.readouterr().err


@pytest.mark.parametrize('command, arguments', [
    (train, ['esr_9_ferplus', '--data', 'absent.npz', '--output', 'nowhere']),
    (export, ['--weights', 'absent.safetensors', '--output', 'nowhere']),
    (export, ['--weights', 'esr_9_ferplus', '--output', 'nowhere', '--dev', 'names.txt']),
    (export, ['--weights', 'esr_9_ferplus', '--output', 'nowhere', '--rare-cost', '0.01']),
    (export, ['--weights', 'esr_9_ferplus', '--output', 'nowhere', '--copies', 'names.txt']),
    (export, ['--weights', 'esr_9_ferplus', '--output', 'nowhere', '--size-px', '40']),
    (export, ['--weights', 'centerface', '--output', 'nowhere']),
    (evaluate, ['--dataset', 'absent.npz']),
    (evaluate, ['--dataset', 'absent.npz', '--bundle', 'no_such_bundle']),
    (evaluate, ['--dataset', 'absent.npz', '--threads', '0']),
])
def test_a_command_ends_with_one_line_when_its_input_is_bad(command, arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and ('expected' in lines[0] or 'needs' in lines[0])
    assert list(tmp_path.iterdir()) == []


def test_fewer_branches_are_asked_when_that_is_wanted(calibrated, dataset, tmp_path, capsys):
    arguments = ['--dataset', dataset, '--bundle', calibrated[0].folder, '--resamples', '0']
    found = {}
    for name, more in (('one', ['--branches', '1']), ('two', ['--branches', '2']), ('all', [])):
        assert evaluate.main([*arguments, *more, '--output', str(tmp_path / name)]) == 0
        found[name] = json.loads((tmp_path / name / 'metrics.json').read_text())
    assert [found[name]['branches'] for name in ('one', 'two', 'all')] == [1, 2, 2]
    assert found['two']['nll'] == found['all']['nll'] != found['one']['nll']
    assert found['one']['accuracy'] == found['one']['accuracy_vote'], 'one branch alone decides'
    capsys.readouterr()
    for wrong in ('0', '3'):
        assert evaluate.main([*arguments, '--branches', wrong]) == 1
        assert '--branches of 1 to 2 expected' in capsys.readouterr().err


def test_evaluate_ends_with_one_line_when_the_list_is_for_another_set(calibrated, dataset, tmp_path, capsys):
    for text, words in (('of another set.png\n', 'another set'), (None, 'list of picture names')):
        path = tmp_path / 'names.txt'
        path.unlink(missing_ok=True)
        if text:
            path.write_text(text)
        arguments = ['--dataset', dataset, '--bundle', calibrated[0].folder, '--output', str(tmp_path / 'figures')]
        assert evaluate.main([*arguments, '--leave-out', str(path)]) == 1
        assert words in capsys.readouterr().err
        assert not (tmp_path / 'figures').exists()
