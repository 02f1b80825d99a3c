"""`train`: a recipe, overrides, what it says, and how it ends."""

import os
import signal
import subprocess
import sys

import pytest
import torch
from test_ferplus import write_npz
from tiny_training import quick_trainings, two_kinds_of_faces  # noqa: F401

from facial_emotion_ros.cli import export, train
from facial_emotion_ros.evaluation.bundle_export import export_bundle
from facial_emotion_ros.training.loop.checkpoint import load_state, load_weights, save_weights
from facial_emotion_ros.training.loop.curves import read_rows
from facial_emotion_ros.training.loop.warm_start import read_start
from facial_emotion_ros.training.model.network import ESR, branches_of

RECIPE = """
name: small
network: {branches: 1}
faces: {format: ferplus}
phases: [{size_px: 56, steps: 2, batch_size: 4, averaging: 0}]
"""


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Return a folder with a data set, a recipe and weights to start from."""
    folder = tmp_path_factory.mktemp('train')
    faces = two_kinds_of_faces(24)
    write_npz(folder / 'faces.npz', faces.pictures, votes=faces.votes)
    (folder / 'small.yaml').write_text(RECIPE)
    (folder / 'held_out.txt').write_text('0.png\n1.png\n2.png\n3.png\n')
    torch.manual_seed(0)
    save_weights(str(folder / 'start.safetensors'), ESR(1).state_dict())
    return folder


@pytest.fixture(autouse=True)
def signals():
    """Put back what handles signals."""
    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    yield
    for name, handler in before.items():
        signal.signal(name, handler)


def run(folder, output, *arguments):
    """Call the command on the folder's files."""
    return train.main(
        [str(folder / 'small.yaml'), '--data', str(folder / 'faces.npz'), '--output', str(output), *arguments]
    )


def test_it_trains_from_weights_with_overrides_when_all_fits(folder, tmp_path, capsys):
    arguments = ['--start', str(folder / 'start.safetensors'), '--held-out', str(folder / 'held_out.txt')]
    arguments += ['--set', 'network.branches=2', '--set', 'phases.*.steps=3']
    assert run(folder, tmp_path, *arguments, '--threads', '1') == 0
    said = capsys.readouterr()
    assert said.out == ''
    for text in ('20 faces', 'held out: ', '4 faces', 'cpu', 'step 3/3', 'accuracy', 'trained in 3 steps'):
        assert text in said.err, text
    assert branches_of(load_weights(str(tmp_path / 'weights.safetensors'))) == 2
    assert read_rows(str(tmp_path / 'curves.csv'))[-1]['held_out_accuracy']
    assert run(folder, tmp_path, *arguments) == 0
    assert 'all 3 steps are done' in capsys.readouterr().err


def test_a_teacher_is_heard_when_one_is_named(folder, tmp_path, capsys):
    assert (
        run(
            folder,
            tmp_path,
            '--teacher',
            str(folder / 'start.safetensors'),
            '--set',
            'phases.0.teacher=0.5',
            '--precision',
            'float32',
        )
        == 0
    )
    said = capsys.readouterr().err
    assert 'teacher 1 of 1: 24 faces' in said and 'float32, as requested' in said


def test_it_trains_the_same_when_workers_read_ahead(folder, tmp_path):
    assert run(folder, tmp_path / 'none', '--workers', '0', '--threads', '1') == 0
    assert run(folder, tmp_path / 'two', '--workers', '2', '--threads', '1') == 0
    contents = [(tmp_path / name / 'weights.safetensors').read_bytes() for name in ('none', 'two')]
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    'arguments, text, status',
    [
        (['no_such_recipe', '--data', 'faces.npz'], 'one of esr_15_ferplus, esr_9_ferplus,', 2),
        (['absent.yaml', '--data', 'faces.npz'], 'expected a recipe in YAML', 2),
        (['small.yaml'], 'give --data', 2),
        (['small.yaml', '--data', 'absent.npz'], 'expected', 1),
        (
            ['small.yaml', '--data', 'faces.npz', '--set', 'phases.0.size=3'],
            r'unknown field; expected size_px?',
            2,
        ),
        (['small.yaml', '--data', 'faces.npz', '--set', 'phases.0.batch_size=64'], 'at least 64 faces', 1),
        (['small.yaml', '--data', 'faces.npz', '--start', 'absent.safetensors'], 'there is no such file', 1),
        (['small.yaml', '--data', 'faces.npz', '--device', 'toaster'], 'auto, cpu, cuda', 2),
        (['small.yaml', '--data', 'faces.npz', '--held-out', 'absent.txt'], 'cannot be read', 1),
    ],
)
def test_it_ends_with_one_sentence_when_something_is_wrong(
    folder, tmp_path, arguments, text, status, capsys, monkeypatch
):
    monkeypatch.chdir(folder)
    assert train.main([*arguments, '--output', str(tmp_path / 'run')]) == status
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith('train: ') and text in last
    assert not (tmp_path / 'run' / 'state.pt').exists()


def test_a_recipe_of_the_user_stays_when_it_lies_in_the_output(folder, tmp_path, capsys):
    (tmp_path / 'recipe.yaml').write_text('mine')
    assert run(folder, tmp_path)
    assert 'got recipe.yaml, which would be lost' in capsys.readouterr().err
    assert (tmp_path / 'recipe.yaml').read_text() == 'mine' and len(list(tmp_path.iterdir())) == 1


def test_a_recipe_is_adapted_to_the_format_of_the_faces_when_it_was_written_for_another(folder, capsys):
    (folder / 'set' / 'happy').mkdir(parents=True)

    def faces(*arguments):
        options = train.parser().parse_args(['paper', '--data', str(folder / 'set'), '--output', 'x', *arguments])
        return train._read_recipe(options).faces

    found = faces()
    assert (found.format, found.options, found.held_out, found.held_out_options) == ('folder', {}, '', {})
    assert 'give --held-out' in capsys.readouterr().err
    assert faces('--held-out', 'names.txt').held_out == 'names.txt' and '--held-out' not in capsys.readouterr().err
    assert faces('--set', 'faces.format=affectnet').options == {'split': 'train'}
    assert faces('--set', 'faces.format=folder', '--set', 'faces.options={check: false}').options == {'check': False}
    assert faces('--set', 'faces.options.labels=mine.csv').options == {'labels': 'mine.csv'}
    assert faces('--set', 'faces.held_out_options.labels=mine.csv').held_out_options == {'labels': 'mine.csv'}
    assert faces('--set', 'faces={options: {labels: mine.csv}}').options == {'labels': 'mine.csv'}


def test_a_folder_of_a_training_serves_as_its_weights(folder, tmp_path):
    (tmp_path / 'weights.safetensors').write_bytes((folder / 'start.safetensors').read_bytes())
    weights, geometry = read_start(str(tmp_path))
    assert branches_of(weights) == 1 and geometry is None
    (tmp_path / 'recipe.yaml').write_text(RECIPE.replace('ferplus}', 'ferplus, color: bgr}'))
    for path in (tmp_path, tmp_path / 'weights.safetensors'):
        geometry = read_start(str(path))[1]
        assert (geometry.size_px, geometry.color, geometry.margin) == (56, 'bgr', 1.0)
    options = export.parser().parse_args(['--weights', str(tmp_path), '--output', str(tmp_path / 'bundle')])
    assert export_bundle(options, print).manifest['input']['size_px'] == 56


def test_torchrun_passes_every_option_on_when_it_starts_the_command(capsys):
    run = pytest.importorskip('torch.distributed.run', reason='this torch has no torchrun')
    for action in train.parser()._actions:
        passed = []
        for option in action.option_strings:
            try:
                options = run.get_args_parser().parse_args(['-m', 'train', 'recipe', option, 'value'])
            except SystemExit:
                continue
            passed += [option] * (options.training_script_args == ['recipe', option, 'value'])
        assert passed or not action.option_strings or action.dest == 'help', action.option_strings
    assert capsys.readouterr().out == ''


def test_it_saves_and_ends_when_it_is_interrupted(folder, tmp_path):
    command = [
        sys.executable,
        '-m',
        'facial_emotion_ros.cli.train',
        str(folder / 'small.yaml'),
        '--data',
        str(folder / 'faces.npz'),
        '--output',
        str(tmp_path),
        '--set',
        'phases.0.steps=100000',
        '--threads',
        '1',
    ]
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    training = subprocess.Popen(command, stderr=subprocess.PIPE, universal_newlines=True, cwd=root)
    said = []
    for line in training.stderr:
        said.append(line)
        if 'step 0 of 100000' in line:
            training.send_signal(signal.SIGINT)
    assert training.wait() == 130 and 'stopped and saved after step' in ''.join(said), said
    assert load_state(str(tmp_path / 'state.pt'))['total'] >= 0
    training.stderr.close()
