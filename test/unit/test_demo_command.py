"""The demo command's own parts; test/ros/test_demo.py runs the whole."""

import os
import signal

import pytest

from facial_emotion_ros.cli.demo import interrupts_held_back, parse


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
