"""The workstation's commands on a small data set that the test makes."""

import json

import numpy as np
import pytest

pytest.importorskip('torch', reason='torch is not installed: it is needed for training only')
pytest.importorskip('onnx', reason='onnx is not installed: it is needed for export only')

from test_datasets import write_npz  # noqa: E402

from facial_emotion_ros.commands import evaluate, export, train  # noqa: E402
from facial_emotion_ros.learning.checkpoint import save_weights  # noqa: E402
from facial_emotion_ros.learning.network import ESR  # noqa: E402
from facial_emotion_ros.model_bundle import ModelBundle  # noqa: E402


@pytest.fixture(scope='module')
def dataset(tmp_path_factory):
    """Return the path of twelve pictures with clear votes."""
    generator = np.random.default_rng(0)
    votes = np.zeros((12, 10), np.uint8)
    votes[np.arange(12), np.arange(12) % 8] = 10
    pictures = generator.integers(0, 256, (12, 48, 48)).astype(np.uint8)
    return write_npz(tmp_path_factory.mktemp('ferplus') / 'split.npz', pictures, votes)


def test_a_network_is_trained_exported_and_evaluated(dataset, tmp_path, capsys):
    arguments = ['--dataset', dataset, '--branches', '2', '--steps', '2', '--batch-size', '4']
    assert train.main([*arguments, '--output', str(tmp_path / 'run')]) == 0
    assert 'step 2/2' in capsys.readouterr().out
    weights, folder = str(tmp_path / 'run' / 'weights.safetensors'), str(tmp_path / 'esr_2_small')
    assert export.main(['--weights', weights, '--output', folder, '--valid', dataset]) == 0
    bundle = ModelBundle.open(folder, expect='esr')
    assert bundle.name == 'esr_2_small' and bundle.manifest['metrics']['valid']['n'] == 12
    (tmp_path / 'copies.txt').write_text('0.png\n1.png\n')
    capsys.readouterr()
    assert evaluate.main(['--dataset', dataset, '--bundle', folder, '--output', str(tmp_path / 'figures'),
                          '--leave-out', str(tmp_path / 'copies.txt')]) == 0
    metrics = json.loads((tmp_path / 'figures' / 'metrics.json').read_text())
    assert metrics['n'] == 10 and metrics['sha256'] == bundle.sha256
    assert np.array(metrics['confusion']).shape == (8, 8) and np.sum(metrics['confusion']) == 10
    assert metrics['accuracy'] == np.trace(metrics['confusion']) / 10
    assert 'contempt' in capsys.readouterr().out


def test_weights_of_unknown_origin_get_no_licence_and_given_ones_are_kept(dataset, tmp_path):
    weights = str(tmp_path / 'weights.safetensors')
    save_weights(weights, ESR(1).state_dict())
    assert export.main(['--weights', weights, '--output', str(tmp_path / 'unknown')]) == 0
    assert ModelBundle.open(tmp_path / 'unknown').manifest['licence']['spdx'] == 'NOASSERTION'
    (tmp_path / 'description.json').write_text('{"version": "2.0.0", "licence": {"spdx": "MIT"}}')
    assert export.main(['--weights', weights, '--output', str(tmp_path / 'known'),
                        '--description', str(tmp_path / 'description.json')]) == 0
    bundle = ModelBundle.open(tmp_path / 'known')
    assert bundle.manifest['licence']['spdx'] == 'MIT' and bundle.version == '2.0.0'


@pytest.mark.parametrize('command, arguments', [
    (train, ['--dataset', 'absent.npz', '--output', 'nowhere']),
    (export, ['--weights', 'absent.safetensors', '--output', 'nowhere']),
    (evaluate, ['--dataset', 'absent.npz']),
    (evaluate, ['--dataset', 'absent.npz', '--bundle', 'no_such_bundle']),
])
def test_a_command_ends_with_one_line_when_its_input_is_bad(command, arguments, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and 'expected' in lines[0]
    assert list(tmp_path.iterdir()) == []
