"""Evaluates recordings in no time: a file ending in .mcap that says what shall happen, such as 'good 12'."""
import json
import os
import signal
import sys
import time

from facial_emotion_ros.bag_evaluation.totals import Totals, add, figures, truth_figures
from facial_emotion_ros.bags.content_hash import hash_of
from facial_emotion_ros.errors import BadBag

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


def evaluate(path, output, options, progress=None):
    """Do what the file says: good N, bad, raise, die, die-once, gate FILE N (begin, and end when FILE is there)."""
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
    if word == 'gate':
        with open(f'{path}.begun.{os.getpid()}', 'w'):
            pass
        wait_for(lambda: os.path.exists(rest[0]))
    os.remove(os.path.join(output, 'half'))
    return _write(path, output, int(rest[-1]))


def _write(path, output, frames):
    sums = Totals()
    for name in ('frames', 'frames_with_faces'):
        sums.count(name, frames)
    summary = {'bag': {'sha256': hash_of(path), 'seconds': frames / 10.0, 'faults': []}, 'whole': True,
               'bundle': {'name': 'stand-in', 'version': '1', 'sha256': '0' * 64},
               'overall': figures(add([sums]).values), 'truth': truth_figures(sums.values),
               'stretches': {'/camera': {'seconds': 10, 'sums': {'0': sums.sparse()}}},
               'run': {'seconds': 0.1, 'times_real_time': frames, 'ms': {'read': {'p50': 1.0}}}}
    _write_frames(output, frames)
    with open(os.path.join(output, 'report.html'), 'w') as file:
        file.write('<p>report</p>')
    with open(os.path.join(output, 'summary.json'), 'w') as file:
        json.dump(summary, file)
    return summary


def _write_frames(output, frames):
    import pyarrow
    from pyarrow import parquet

    table = pyarrow.table({'frame': list(range(frames))})
    parquet.write_table(table, os.path.join(output, 'frames.parquet'))


if __name__ == '__main__':
    import stand_in_evaluation  # by its name, which the processes import

    from facial_emotion_ros.bag_evaluation.fleet import evaluate_fleet, fleet_progress
    from facial_emotion_ros.bag_evaluation.options import Options

    evaluate_fleet([sys.argv[1]], sys.argv[2], Options(), workers=2, evaluate=stand_in_evaluation.evaluate,
                   progress=fleet_progress)
