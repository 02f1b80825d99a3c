"""No command replaces what it did not write."""

import importlib

import pytest

for package in ('torch', 'onnx', 'jinja2', 'plotly', 'matplotlib'):
    pytest.importorskip(package, reason=f'{package} is not installed: it is needed for training or evaluation only')


@pytest.mark.parametrize(
    'command, arguments, name',
    [
        ('adapt', ['--faces', '{out}'], 'photograph.jpg'),
        ('export', ['--weights', 'esr_9_ferplus'], 'photograph.jpg'),
        ('export', ['--weights', 'esr_9_ferplus'], 'manifest.json.d/page.html'),
        ('quantize', ['--faces', '{out}'], 'photograph.jpg'),
        ('evaluate', ['--dataset', '{out}'], 'report.html'),
        ('evaluate', ['--dataset', '{out}'], 'metrics.json'),
        ('evaluate_camera', ['--dataset', '{out}'], 'robustness.png'),
    ],
)
def test_a_file_of_others_stays_when_it_would_be_replaced(command, arguments, name, tmp_path, capsys):
    file = tmp_path / 'out' / name
    file.parent.mkdir(parents=True)
    file.write_text('{}')
    main = importlib.import_module(f'facial_emotion_ros.cli.{command}').main
    out = str(tmp_path / 'out')
    assert main([argument.format(out=out) for argument in arguments] + ['--output', out])
    said = capsys.readouterr().err
    assert 'which would be lost' in said and name.split('/')[0] in said
    assert file.read_text() == '{}' and [path.name for path in tmp_path.iterdir()] == ['out']
