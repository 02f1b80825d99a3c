"""Evaluates recordings in no time: a file ending in .mcap that says what shall happen, such as 'good 12'."""

import json
import os
import signal
import sys
import time

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import (
    SufficientStatistics,
    add,
    figures,
    truth_figures,
)
from facial_emotion_ros.recordings.io.content_hash import hash_of

#: Nothing takes so long.
PATIENCE_S = 60.0


def write_bag(folder, name, says):
    """Write a file for :func:`evaluate`."""
    path = os.path.join(str(folder), name + '.mcap')
    with open(path, 'w') as file:
        file.write(says)
    return path


def wait_for(condition, patience_s=PATIENCE_S):
    """Wait until something holds."""
    until_s = time.monotonic() + patience_s
    while not condition():
        assert time.monotonic() < until_s, 'waited in vain'
        time.sleep(0.01)


def has_signal(pid, kind):
    """Tell whether a process has a handler for Ctrl-C ('SigCgt'), or blocks it ('SigBlk')."""
    with open(f'/proc/{pid}/status') as lines:
        return any(int(line.split()[1], 16) >> signal.SIGINT - 1 & 1 for line in lines if line.startswith(kind))


def is_alive(pid):
    """Tell whether a process is there and no zombie."""
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except (FileNotFoundError, ProcessLookupError):
        return False


def evaluate(path, output, options, progress=None):
    """Do what the file says: good N, lossy N, bad, raise, die, die-once, truth N (the report says which),
    fail-first FILE N (fail and make FILE, unless it is there), gate FILE N (begin, and end when FILE is there).
    """
    with open(path) as file:
        word, *rest = file.read().split()
    with open(os.path.join(output, 'half'), 'w') as file:
        file.write('begun')
    if word == 'bad':
        raise BadBag('expected a recording, got\nnonsense')
    if word == 'raise':
        raise ZeroDivisionError('nobody expected this')
    if word == 'die' or word == 'die-once' and not os.path.exists(path + '.died'):
        with open(path + '.died', 'a') as file:
            file.write('x')
        os.kill(os.getpid(), signal.SIGKILL)
    if word == 'fail-first' and not os.path.exists(rest[0]):
        with open(rest[0], 'w'):
            raise BadBag('expected to go well')
    if word == 'gate':
        with open(f'{path}.begun.{os.getpid()}', 'w'):
            pass
        wait_for(lambda: os.path.exists(rest[0]))
    os.remove(os.path.join(output, 'half'))
    return _write(path, output, int(rest[-1]), options.truth if word == 'truth' else '<p>report</p>', word != 'lossy')


def _write(path, output, frames, report, whole):
    sums = SufficientStatistics()
    for name in ('frames', 'frames_with_faces'):
        sums.count(name, frames)
    summary = {
        'bag': {'sha256': hash_of(path), 'seconds': frames / 10.0, 'faults': []},
        'whole': whole,
        'files': ['report.html', 'summary.json'],
        'bundle': {'name': 'stand-in', 'version': '1', 'sha256': '0' * 64},
        'overall': figures(add([sums]).values),
        'truth': truth_figures(sums.values),
        'stretches': {'/camera': {'seconds': 10, 'sums': {'0': sums.sparse()}}},
        'run': {'seconds': 0.1, 'times_real_time': frames, 'ms': {'read': {'p50': 1.0}}},
    }
    _write_frames(output, frames)
    with open(os.path.join(output, 'report.html'), 'w') as file:
        file.write(report)
    with open(os.path.join(output, 'summary.json'), 'w') as file:
        json.dump(summary, file)
    return summary


def _write_frames(output, frames):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({'frame': list(range(frames))})
    parquet.write_table(table, os.path.join(output, 'frames.parquet'))


if __name__ == '__main__':  # the command itself, but for the evaluation of a recording
    import functools
    import multiprocessing.util

    import stand_in_evaluation  # by its name, which the processes import

    from facial_emotion_ros.cli.evaluate_recording import main
    from facial_emotion_ros.recordings.batch import batch

    batch.evaluate_fleet = functools.partial(batch.evaluate_fleet, evaluate=stand_in_evaluation.evaluate)
    begin = multiprocessing.util.spawnv_passfds

    def begin_and_interrupt(*given):
        """Begin a process; where that is asked for, Ctrl-C comes when a worker waits to be told what it is for."""
        pid = begin(*given)
        if os.environ.get('STAND_IN_IS_INTERRUPTED') and 'spawn_main' in str(given):
            wait_for(lambda: has_signal(pid, 'SigCgt'))
            os.killpg(os.getpgrp(), signal.SIGINT)
            wait_for(lambda: has_signal(pid, 'SigBlk') or not is_alive(pid))
        return pid

    multiprocessing.util.spawnv_passfds = begin_and_interrupt
    sys.exit(main())
