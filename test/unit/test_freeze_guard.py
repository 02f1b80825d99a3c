"""A process that stands still ends; one that lives, or that loads for long, does not."""

import os
import signal
import subprocess
import sys
import time

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: `freeze` keeps Python's lock, as a native library does that waits for ever.
BEGIN = """
import ctypes, select, sys, time
from facial_emotion_ros.freeze_guard import FreezeGuard, long_silence
freeze = ctypes.PyDLL(None).sleep
guard = FreezeGuard(%g)
guard.beat()
"""


def run(body, timeout_s=0.5):
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


def start(body, timeout_s):
    """Start Python code behind a guard; its output is a pipe, and so is its input."""
    return subprocess.Popen([sys.executable, '-u', '-c', BEGIN % timeout_s + body], stdin=subprocess.PIPE, bufsize=1,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True, cwd=REPOSITORY,
                            env=dict(os.environ, PYTHONPATH=REPOSITORY))


def test_the_process_goes_on_when_it_was_stopped_or_starved_and_ends_when_it_freezes_after_that():
    process = start('print("turns")\nwhile not select.select([sys.stdin], [], [], 0.05)[0]:\n    guard.beat()\n'
                    'print("frozen")\nfreeze(30)\n', 0.5)
    try:
        text = process.stdout.readline()
        for _ in range(2):
            # As a paused container too, or a machine that gives it a moment now and then: only as long as it takes
            # until Python runs. The alarm would be due after 0.5 + 1 s.
            process.send_signal(signal.SIGSTOP)
            time.sleep(2.0)
            process.send_signal(signal.SIGCONT)
            text += process.stdout.readline()
            assert 'stood still for 2 s and goes on' in text.splitlines()[-1], text
        rest, _ = process.communicate('freeze\n', timeout=20.0)
        assert process.returncode == -signal.SIGALRM and 'frozen' in rest and 'File' in rest, rest
    finally:
        process.kill()
        process.wait()


def test_the_process_goes_on_when_one_turn_takes_long_while_python_runs():
    body = 'end = time.monotonic() + 2.5\nwhile time.monotonic() < end:\n    pass\nguard.beat()\nprint("done")'
    assert run(body, 1.0) == (0, 'done\n')


def test_the_process_ends_when_its_main_loop_hangs_though_python_runs():
    status, text = run('def deep():\n    time.sleep(30)\ndeep()\n', 0.5)
    assert status == -signal.SIGALRM and 'in deep' in text, text


def test_the_process_ends_when_it_is_frozen_and_the_system_has_no_timers_for_a_grace_period():
    body = 'import facial_emotion_ros.freeze_guard as module\nmodule._library_with = lambda _name: None\n' \
        'guard.close()\nmodule.FreezeGuard(0.5).beat()\ndef deep():\n    freeze(30)\ndeep()\n'
    status, text = run(body, 0.5)
    assert status == -signal.SIGALRM and 'in deep' in text, text


def test_the_process_ends_when_it_freezes_between_a_silence_and_the_next_beat():
    status, text = run('with long_silence():\n    time.sleep(0.1)\ndef deep():\n    freeze(30)\ndeep()\n')
    assert status == -signal.SIGALRM and 'in deep' in text, text


@pytest.mark.parametrize('end', ['guard.close()', 'with long_silence():\n    guard.close()'])
def test_a_closed_guard_stays_closed_after_a_silence(end):
    status, text = run(end + '\nwith long_silence():\n    pass\ntime.sleep(2)\nprint("done")')
    assert (status, text) == (0, 'done\n')


@pytest.mark.parametrize('body, timeout_s', [
    # Longer than a main loop may hang.
    ('for _ in range(50):\n    time.sleep(0.1)\n    guard.beat()\nprint("done")', 1.0),
    ('with long_silence():\n    guard.beat()\n    freeze(2)\nprint("done")', 0.5),
    ('with long_silence():\n    with long_silence():\n        pass\n    guard.beat()\n    freeze(2)\n'
     'print("done")', 0.5),
    ('guard.close()\nguard.beat()\nfreeze(2)\nprint("done")', 0.5),
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
