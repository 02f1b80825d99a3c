"""A process that stands still ends; one that lives, or that loads for long, does not."""

import os
import re
import signal
import subprocess
import sys
import time

import pytest
from places import ROOT
from programs import ended

#: `freeze` keeps Python's lock, as a native library does that waits for ever.
BEGIN = """
import ctypes, select, sys, time
from facial_emotion_ros.system.watchdog import Watchdog, long_silence
freeze = ctypes.PyDLL(None).sleep
guard = Watchdog(%g)
guard.beat()
"""


def run(body, timeout_s=0.5):
    """Run Python code behind a guard.

    :returns: (exit status, what it wrote).
    """
    environment = dict(os.environ, PYTHONPATH=ROOT)
    ran = ended(sys.executable, '-c', BEGIN % timeout_s + body, timeout=60, cwd=ROOT, env=environment)
    return ran.returncode, ran.stdout


DEEP = 'def deep():\n    freeze(30)\ndeep()\n'


@pytest.mark.parametrize(
    'body, timeout_s',
    [
        (DEEP, 0.5),
        # The main loop hangs though Python runs.
        ('def deep():\n    time.sleep(30)\ndeep()\n', 0.5),
        # The system has no timers for a grace period.
        (
            'import facial_emotion_ros.system.watchdog as module\nmodule._library_with = lambda _name: None\n'
            'guard.close()\nmodule.Watchdog(0.5).beat()\n' + DEEP,
            0.5,
        ),
        # Between a silence and the next beat.
        ('with long_silence():\n    time.sleep(0.1)\n' + DEEP, 0.5),
        # When loading is over.
        ('with long_silence():\n    pass\ntime.sleep(0.6)\nguard.beat()\n' + DEEP, 0.5),
        # On its way out.
        (
            'from facial_emotion_ros.system.watchdog import end_within\nend_within(1)\nwith long_silence():\n    pass\n'
            'time.sleep(0.6)\nguard.beat()\nguard.close()\n' + DEEP,
            20.0,
        ),
    ],
)
def test_the_process_ends_with_a_traceback_when_it_is_frozen(body, timeout_s):
    status, text = run(body, timeout_s)
    assert status == -signal.SIGALRM and 'in deep' in text, text


def start(body, timeout_s):
    """Start Python code behind a guard; its output is a pipe, and so is its input."""
    return subprocess.Popen(
        [sys.executable, '-u', '-c', BEGIN % timeout_s + body],
        stdin=subprocess.PIPE,
        bufsize=1,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=ROOT),
    )


def test_the_process_goes_on_when_it_was_stopped_or_starved_and_ends_when_it_freezes_after_that():
    process = start(
        'print("turns")\nwhile not select.select([sys.stdin], [], [], 0.05)[0]:\n    guard.beat()\n'
        'print("frozen")\nfreeze(30)\n',
        3.1,
    )
    try:
        text = process.stdout.readline()
        # As a paused container too, or a machine that gives it a moment now and then: only as long as it takes until
        # Python runs, for which there are the 2 s of the alarm, due after 3.1 + 2 s.
        process.send_signal(signal.SIGSTOP)
        time.sleep(5.5)
        process.send_signal(signal.SIGCONT)
        line = ''
        while ' s and goes on' not in line:  # starved, it dumps its stacks besides
            line = process.stdout.readline()
            assert line, text
            text += line
        assert float(line.partition('was frozen for ')[2].split()[0]) >= 5, text
        rest, _ = process.communicate('freeze\n', timeout=20.0)
        assert process.returncode == -signal.SIGALRM and 'frozen' in rest and 'File' in rest, rest
    finally:
        process.kill()
        process.wait()


def test_a_process_that_was_stopped_on_its_way_out_goes_on():
    process = start(
        'from facial_emotion_ros.system.watchdog import end_within\nend_within(2)\nprint("ends")\ninput()\n', 20.0
    )
    try:
        assert process.stdout.readline() == 'ends\n'
        process.send_signal(signal.SIGSTOP)
        time.sleep(3.5)
        process.stdin.write('\n')
        process.send_signal(signal.SIGCONT)
        assert process.wait(20.0) == 0, process.stdout.read()
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(
    'body, timeout_s',
    [
        # Longer than a main loop may hang.
        ('for _ in range(50):\n    time.sleep(0.1)\n    guard.beat()\nprint("done")', 1.0),
        ('with long_silence():\n    guard.beat()\n    freeze(2)\nprint("done")', 0.5),
        (
            'with long_silence():\n    with long_silence():\n        pass\n    guard.beat()\n    freeze(2)\n'
            'print("done")',
            0.5,
        ),
        ('guard.close()\nguard.beat()\nfreeze(2)\nprint("done")', 0.5),
        ('freeze(2)\nprint("done")', 0.0),
        # One turn takes long while Python runs.
        ('end = time.monotonic() + 2.5\nwhile time.monotonic() < end:\n    pass\nguard.beat()\nprint("done")', 1.0),
        # Closed, it stays so after a silence.
        ('guard.close()\nwith long_silence():\n    pass\ntime.sleep(2)\nprint("done")', 0.5),
        ('with long_silence():\n    guard.close()\nwith long_silence():\n    pass\ntime.sleep(2)\nprint("done")', 0.5),
    ],
)
def test_the_process_goes_on_when_it_beats_or_loads_or_wants_no_guard(body, timeout_s):
    status, text = run(body, timeout_s)
    # A busy machine may really leave it without the processor for that long.
    assert (status, re.sub('The process was frozen .* starved of .*\n', '', text)) == (0, 'done\n')


def test_alarms_of_others_go_on_when_there_is_no_guard():
    body = (
        'import signal\nsignal.setitimer(signal.ITIMER_REAL, 50)\nwith long_silence():\n    pass\n'
        'print(signal.getitimer(signal.ITIMER_REAL)[0] > 1)'
    )
    assert run(body, 0.0) == (0, 'True\n')
