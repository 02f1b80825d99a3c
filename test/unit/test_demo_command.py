"""The demo command's own parts; test/ros/test_demo.py runs the whole."""

import os
import signal

import pytest

from facial_emotion_ros.cli.demo import interrupts_held_back


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
