"""What the kernel says of a process: its memory, and its time on processors."""

import subprocess
import sys
import time

import pytest

from facial_emotion_ros.system.memory import processor_s, resident_mb


def test_processor_time_grows_when_a_process_works():
    before_s, began_s = processor_s(), time.process_time()
    while time.process_time() - began_s < 0.1:
        pass
    # The kernel counts in hundredths of a second.
    assert 0.07 < processor_s() - before_s < 1.0 and processor_s() == pytest.approx(time.process_time(), abs=0.05)


def test_another_process_is_measured_when_it_is_named():
    child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)
    try:
        assert 0 <= processor_s(child.pid) < 5 and 0 < resident_mb(child.pid) < 500
    finally:
        child.communicate(b'\n')
    with pytest.raises(OSError):
        processor_s(child.pid)
    assert resident_mb(child.pid) == 0
