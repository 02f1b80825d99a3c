"""A workstation command ends with 2 and one line when an option's value is none, before it reads or writes anything."""

import importlib

import pytest

EVALUATE, EXPORT = 'evaluate --dataset x', 'export --weights esr_9_ferplus --output new'
QUANTIZE = 'quantize --output new --faces x'
COLLECT = 'collect_faces --output new --person ann --consent yes'
RECORDING = 'evaluate_recording x --output new'


@pytest.mark.parametrize(
    'command, wrong',
    [
        ('adapt --faces x --output new', ['--threads 0', '--threads two']),
        (
            'benchmark',
            ['--threads 0', '--threads', '--runs 9', '--size-px -1', '--bound nan', '--bound -1', '--engines what']
            + ['--stream-seconds inf', '--stream-seconds 0', '--parameter what', '--json .', '--html .'],
        ),
        (
            COLLECT,
            ['--stills 0', '--countdown inf', '--countdown nan', '--countdown -5', '--patience nan', '--patience -1']
            + ['--emotions joy', '--rotate 45', '--video nowhere.mp4', '--topic=', '--topic=a//b', '--topic=image/'],
        ),
        (
            EVALUATE,
            [
                '--threads 0',
                '--resamples -1',
                '--with-pictures -1',
                '--branches 0',
                '--branches 10',
                '--option a=[',
                '--format what',
            ],
        ),
        (
            'evaluate_camera --dataset x',
            ['--turned nan', '--turned -1', '--varied -1', '--sweep margin=nan', '--sweep margin=wide'],
        ),
        ('evaluate_over_time cadence', ['--scenes -1', '--threads 0', '--degraded -1']),
        ('evaluate_over_time unknown', ['']),
        (
            RECORDING,
            ['--threads 0', '--max-age nan', '--remember -1', '--every-n 0', '--face-batch -1', '--workers -1']
            + ['--long-side 0', '--max-faces -1', '--min-accuracy nan', '--estimate-every 0', '--event-rate nan']
            + ['--events x.csv --event-window 1,nan', '--parameter smoothing.scores_s=.nan'],
        ),
        ('explain x --output new', ['--every 0', '--every nan', '--seconds -1', '--camera -1', '--video nowhere.mp4']),
        (
            EXPORT,
            ['--prior-exponent nan', '--prior-exponent 2', '--size-px 0', '--threads 0', '--dev x']
            + ['--operating-point a=0.5', '--copies x'],
        ),
        ('hold_out --dataset x --output new', ['--count 0', '--seed -1', '--output .']),
        (
            'make_sample_bag new',
            ['--seconds nan', '--seconds 0', '--rate inf', '--rate -1'],
        ),
        ('prepare_affectnet --images x --annotations x --output new', ['--threads 0']),
        (QUANTIZE, ['--count 0', '--seed -1', '--threads 0']),
        ('render_faces --output new', ['--count 0', '--seed -1', '--processes 0']),
        ('train esr_9_ferplus --output new', ['--threads -1', '--save-every nan', '--workers -1', '--set what']),
    ],
)
def test_a_command_ends_with_2_when_an_option_is_wrong(command, wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name, *arguments = command.split()
    module = importlib.import_module('facial_emotion_ros.cli.' + name)
    for each in wrong:
        try:
            status = module.main(arguments + each.split())
        except SystemExit as ended:
            status = ended.code
        told = capsys.readouterr().err
        if 'scripts/setup --tests' in told:
            pytest.skip(told)
        assert status == 2 and name in told, (each, status, told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    'command', ['demo', 'collect_faces --output new --person ann --consent yes', 'evaluate_recording x --output new']
)
def test_an_error_of_usage_shows_no_secret_of_an_address(command, capsys):
    name, *arguments = command.split()
    wrong = '--nothing=rtsp://me:hu sh@host/user=me_password=hush'
    with pytest.raises(SystemExit) as ended:
        importlib.import_module('facial_emotion_ros.cli.' + name).main([*arguments, wrong])
    told = capsys.readouterr().err
    assert ended.value.code == 2 and '--nothing=rtsp://host/user' in told and 'hu' not in told.split('error: ')[1]
