"""Evaluate a bundle on FER+: `ros2 run facial_emotion_ros evaluate`."""

import argparse
import json
import os
import sys

from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.esr_engine import EsrEngine


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate', description='Accuracy of an ESR bundle on a split of FER+ (majority protocol, single crop).'
    )
    arguments.add_argument('--dataset', required=True, metavar='NPZ', help='split of FER+: png, offsets, votes, names')
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--leave-out', metavar='TXT', help='file of picture names, one a line, that do not count')
    arguments.add_argument('--output', metavar='DIR', help='also write metrics.json there')
    arguments.add_argument('--threads', type=int, default=os.cpu_count(), help='default: %(default)s')
    return arguments


def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when evaluated, 1 for bad input.
    """
    from facial_emotion_ros.evaluation.dataset import figures, read_majority
    from facial_emotion_ros.learning.datasets import read_ferplus, read_names

    options = parser().parse_args(argv)
    try:
        engine = EsrEngine(options.bundle, threads=options.threads)
        leave_out = read_names(options.leave_out) if options.leave_out else ()
        split = read_ferplus(options.dataset)
        metrics = figures(split, read_majority(engine, split, _progress), leave_out)
    except FacialEmotionError as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 1
    metrics.update(bundle=engine.bundle.name, version=engine.bundle.version, sha256=engine.bundle.sha256)
    _print_table(metrics)
    if options.output:
        os.makedirs(options.output, exist_ok=True)
        with open(os.path.join(options.output, 'metrics.json'), 'w', encoding='utf-8') as file:
            json.dump(metrics, file, indent=2)
    return 0


def _progress(done):
    if sys.stderr.isatty():
        print(f'\r{done} faces', end='', file=sys.stderr, flush=True)


def _print_table(metrics):
    for name, value in metrics.items():
        if name != 'confusion':
            print(f'{name:32} {value:.4f}' if isinstance(value, float) else f'{name:32} {value}')
    print('\nlabel (row), prediction (column)  ' + ' '.join(f'{emotion[:8]:>8}' for emotion in EMOTIONS) + '   recall')
    for emotion, counts in zip(EMOTIONS, metrics['confusion']):
        recall = counts[EMOTIONS.index(emotion)] / sum(counts) if sum(counts) else float('nan')
        print(f'{emotion:33} ' + ' '.join(f'{count:8d}' for count in counts) + f'   {recall:6.3f}')


if __name__ == '__main__':
    sys.exit(main())
