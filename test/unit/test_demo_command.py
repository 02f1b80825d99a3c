"""The demo command's own parts; test/ros/test_demo.py runs the whole."""

import os
import signal

import pytest
import yaml

from facial_emotion_ros.cli.demo import _yaml, interrupts_held_back, main, parse


@pytest.mark.parametrize('program, name', [('/ws/lib/facial_emotion_ros/demo', 'demo'), ('demo.py', 'scripts/demo')])
def test_help_has_the_name_by_which_the_demo_was_started(monkeypatch, capsys, program, name):
    monkeypatch.setattr('sys.argv', [program])
    with pytest.raises(SystemExit):
        parse(['--help'])
    told = capsys.readouterr().out
    assert told.startswith('usage: %s [' % name) and '\n  %s --camera 0' % name in told


def test_an_interrupt_waits_until_a_child_is_in_the_family():
    before = signal.getsignal(signal.SIGTERM)
    done = []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_held_back():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            done.append('child added')
    assert done == ['child added']
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize(
    'arguments',
    [
        '--rate 500',
        '--rate nan',
        '--seconds-each 0.01',
        '--duration 1e7',
        '--camera 100',
        '--images /nonexistent',
        '--video .',
        '--params-file /nonexistent.yaml',
        '--images \udce9',
        '--output \udce9',
    ],
)
def test_a_wrong_option_ends_with_2_before_anything_is_started(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if arguments.endswith('\udce9'):
        (tmp_path / '\udce9').mkdir()
    before = list(tmp_path.iterdir())
    try:
        status = main(arguments.split())
    except SystemExit as ended:
        status = ended.code
    assert status == 2 and 'expected' in capsys.readouterr().err.replace('must be', 'expected')
    assert list(tmp_path.iterdir()) == before


def test_a_path_reaches_the_node_when_it_has_signs_that_yaml_escapes_otherwise():
    paths = ['/é/\U0001f600 \\ud83d\\ude00 "a": \x7f\x85\u2028\t']
    assert yaml.safe_load(_yaml(paths)) == paths
