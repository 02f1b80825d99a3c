"""A process that stands still ends; one that lives, or that loads for long, does not."""

import os
import signal
import subprocess
import sys

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: `freeze` keeps Python's lock, as a native library does that waits for ever.
BEGIN = """
import ctypes, time
from facial_emotion_ros.freeze_guard import FreezeGuard, long_silence
freeze = ctypes.PyDLL(None).sleep
guard = FreezeGuard(%g)
guard.beat()
"""


def run(body, timeout_s=1.0):
    """Run Python code behind a guard.

    :returns: (exit status, what it wrote).
    """
    ran = subprocess.run([sys.executable, '-c', BEGIN % timeout_s + body], stdout=subprocess.PIPE, timeout=60,
                         stderr=subprocess.STDOUT, universal_newlines=True, cwd=REPOSITORY,
                         env=dict(os.environ, PYTHONPATH=REPOSITORY))
    return ran.returncode, ran.stdout


def test_the_process_ends_with_a_traceback_when_it_is_frozen():
    status, text = run('def deep():\n    freeze(30)\ndeep()\n')
    assert status == -signal.SIGALRM and 'in deep' in text, text


def test_the_process_ends_when_it_freezes_between_a_silence_and_the_next_beat():
    status, text = run('with long_silence():\n    time.sleep(0.1)\ndef deep():\n    freeze(30)\ndeep()\n')
    assert status == -signal.SIGALRM and 'in deep' in text, text


@pytest.mark.parametrize('end', ['guard.close()', 'with long_silence():\n    guard.close()'])
def test_a_closed_guard_stays_closed_after_a_silence(end):
    status, text = run(end + '\nwith long_silence():\n    pass\ntime.sleep(2)\nprint("done")')
    assert (status, text) == (0, 'done\n')


@pytest.mark.parametrize('body, timeout_s', [
    # Longer than the guard waits, which is long enough for a busy machine.
    ('for _ in range(50):\n    time.sleep(0.1)\n    guard.beat()\nprint("done")', 4.0),
    ('with long_silence():\n    guard.beat()\n    freeze(2)\nprint("done")', 1.0),
    ('with long_silence():\n    with long_silence():\n        pass\n    guard.beat()\n    freeze(2)\n'
     'print("done")', 1.0),
    ('guard.close()\nguard.beat()\nfreeze(2)\nprint("done")', 1.0),
    ('freeze(2)\nprint("done")', 0.0)])
def test_the_process_goes_on_when_it_beats_or_loads_or_wants_no_guard(body, timeout_s):
    assert run(body, timeout_s) == (0, 'done\n')


def test_it_is_guarded_again_when_loading_is_over():
    status, text = run('with long_silence():\n    pass\ntime.sleep(0.6)\nguard.beat()\nfreeze(30)\n')
    assert status == -signal.SIGALRM, text


def test_the_process_ends_in_time_when_it_freezes_on_its_way_out():
    body = 'from facial_emotion_ros.freeze_guard import end_within\nend_within(1)\nwith long_silence():\n    pass\n' \
        'time.sleep(0.6)\nguard.beat()\nguard.close()\nfreeze(30)\n'
    status, text = run(body, 20.0)
    assert status == -signal.SIGALRM and 'File' in text, text


def test_alarms_of_others_go_on_when_there_is_no_guard():
    body = 'import signal\nsignal.setitimer(signal.ITIMER_REAL, 50)\nwith long_silence():\n    pass\n' \
        'print(signal.getitimer(signal.ITIMER_REAL)[0] > 1)'
    assert run(body, 0.0) == (0, 'True\n')
