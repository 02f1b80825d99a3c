"""Evaluate a bundle on labelled faces: `ros2 run facial_emotion_ros evaluate`."""

import argparse
import dataclasses
import json
import os
import platform
import shlex
import sys
import time

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.esr_engine import EsrEngine
from facial_emotion_ros.plain_text import show

#: What the printed table says of each figure: (key, words).
_LINES = (
    ('accuracy', 'right, by the mean of the branches'),
    ('accuracy_vote', 'right, by the vote of the branches'),
    ('macro_recall', 'mean recall of the classes'),
    ('macro_f1', 'mean F1 of the classes that have labels'),
    ('macro_f1_all', 'mean F1 of the classes that have labels or answers'),
    ('kappa', "Cohen's kappa"),
    ('ece', 'calibration error of the confidence'),
    ('nll', 'negative log-likelihood'),
    ('confidence_auroc', 'how well the confidence tells errors'),
    ('agreement_auroc', 'how well the agreement tells errors'),
)


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate', description='Figures of an ESR bundle on labelled faces; FER+ by its majority protocol.'
    )
    arguments.add_argument('--dataset', required=True, metavar='PATH', help='FER+ npz, or any set that train reads')
    arguments.add_argument('--format', help='ferplus, affectnet or folder; default: recognised by what lies there')
    arguments.add_argument('--option', action='append', default=[], metavar='NAME=VALUE', help='of the format, such as '
                           'split=valid for AffectNet; docs/datasets.md lists them')
    arguments.add_argument('--bundle', default='esr_9_ferplus', metavar='DIR', help='default: the embedded %(default)s')
    arguments.add_argument('--branches', type=int, metavar='K', help='ask the first K branches alone, as a deadline '
                           'may do; default: all')
    arguments.add_argument('--leave-out', metavar='TXT', help='give the figures without these pictures too, one a line')
    arguments.add_argument('--output', metavar='DIR', help='write metrics.json and report.html there')
    arguments.add_argument('--with-pictures', type=int, default=0, metavar='N', help='put the N surest errors into the '
                           'report: pictures of people, which may not be passed on; default: none')
    arguments.add_argument('--resamples', type=int, default=1000, help='of the bootstrap; default: %(default)s')
    arguments.add_argument('--threads', type=int, default=os.cpu_count(), help='default: %(default)s')
    return arguments


@tells_errors('evaluate', 'reading sets of faces needs torch')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when evaluated, 1 for bad input.
    """
    options = parser().parse_args(argv)
    command = 'evaluate ' + shlex.join(sys.argv[1:] if argv is None else argv)
    figures = evaluate(options, command)
    _print_table(figures)
    if options.output:
        show(f'\n{os.path.join(options.output, "report.html")} shows it.')
    return 0


def evaluate(options, command):
    """Read the faces, compute the figures, and write them where an output is named.

    :param options: what :func:`parser` gives.
    :param command: what was typed, for the record.
    :returns: dict, as metrics.json holds it.
    :raises FacialEmotionError: if bundle, faces or list cannot be used.
    """
    from facial_emotion_ros.evaluation.dataset import read_faces
    from facial_emotion_ros.evaluation.figures import figures
    from facial_emotion_ros.learning.datasets import open_faces, read_names

    if options.threads < 1 or options.resamples < 0 or options.with_pictures < 0:
        raise BadParameter('--threads of at least 1, --resamples and --with-pictures of at least 0 expected')
    engine = EsrEngine(options.bundle, threads=options.threads)
    if options.branches is not None and not 1 <= options.branches <= engine.branches:
        raise BadParameter(f'--branches of 1 to {engine.branches} expected, which {engine.bundle.name} has, got '
                           f'{options.branches}')
    leave_out = read_names(options.leave_out) if options.leave_out else ()
    faces = open_faces(options.dataset, options.format, **_settings(options.option))
    reading = read_faces(engine, faces, _progress)
    if options.branches is not None:
        reading = dataclasses.replace(reading, logits=reading.logits[:, :options.branches],
                                      affect=reading.affect[:, :options.branches])
    calibration = engine.temperature, engine.offsets
    found = figures(reading, *calibration, resamples=options.resamples)
    if options.leave_out:
        rest = figures(reading.without(leave_out), *calibration, resamples=options.resamples)
        found['without_left_out'] = dict(rest, left_out=os.path.basename(options.leave_out))
    found.update(_provenance(options, engine, faces, command))
    if options.output:
        _write(options, found, faces, reading)
    return found


def _settings(words):
    """Read NAME=VALUE; values are YAML, as in recipes."""
    import yaml

    settings = {}
    for each in words:
        name, sign, value = each.partition('=')
        if not sign or not name.isidentifier():
            raise BadParameter(f'--option NAME=VALUE expected, got {each!r}')
        settings[name] = yaml.safe_load(value)
    return settings


def _provenance(options, engine, faces, command):
    import cv2
    import numpy
    import onnxruntime

    bundle = engine.bundle
    return {
        'bundle': {'name': bundle.name, 'version': bundle.version, 'sha256': bundle.sha256},
        'branches': options.branches or engine.branches,
        'calibration': {'temperature': engine.temperature, 'offsets': engine.offsets},
        'dataset': {
            'name': faces.name, 'file': os.path.basename(os.path.abspath(options.dataset)), 'faces': len(faces),
            'labelled': int((faces.labels >= 0).sum()), 'damaged': len(faces.damaged),
        },
        'command': command,
        'provider': engine.provider,
        'made': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        'versions': {
            'python': platform.python_version(), 'numpy': numpy.__version__, 'onnxruntime': onnxruntime.__version__,
            'opencv': cv2.__version__,
        },
    }


def _write(options, found, faces, reading):
    from facial_emotion_ros.atomic_file import write_whole
    from facial_emotion_ros.evaluation.report import most_confident_errors, report_html

    calibration = found['calibration']['temperature'], found['calibration']['offsets']
    pictures = most_confident_errors(faces, reading, *calibration, options.with_pictures)
    page = report_html(found, reading, *calibration, pictures)
    text = json.dumps(found, indent=2, allow_nan=False) + '\n'
    write_whole(os.path.join(options.output, 'metrics.json'), text.encode('utf-8'))
    write_whole(os.path.join(options.output, 'report.html'), page.encode('utf-8'))


def _progress(done, wanted):
    if sys.stderr.isatty():
        end = '\n' if done == wanted else ''
        show(f'\r{done} of {wanted} faces', end=end, file=sys.stderr, flush=True)


def _print_table(figures):
    show(f'{figures["bundle"]["name"]} {figures["bundle"]["version"]} on {figures["dataset"]["name"]}\n')
    parts = [figures] + ([figures['without_left_out']] if 'without_left_out' in figures else [])
    heads = ['all', f'without {parts[-1].get("left_out", "")}']
    show(f'{"":57}' + ''.join(f'{head:<28}' for head in heads[:len(parts)]))
    show(f'{"n":18}{"faces with a label":39}' + ''.join(f'{part["n"]:<28}' for part in parts))
    for key, words in _LINES:
        show(f'{key:18}{words:39}' + ''.join(f'{_ranged(part, key):<28}' for part in parts))
    affect = figures['affect']
    for name in ('valence', 'arousal'):
        said = ', '.join(f'{key.upper()} {_number(affect[name][key])}' for key in ('rmse', 'ccc', 'pcc', 'sagr'))
        show(f'{name:18}{affect["source"]:39}{said}')
    show('\nlabel (row), prediction (column)  ' + ' '.join(f'{emotion[:8]:>8}' for emotion in EMOTIONS) + '   recall')
    for emotion, counts in zip(EMOTIONS, figures['confusion']):
        cells = ' '.join(f'{count:8d}' for count in counts)
        show(f'{emotion:33} {cells}   {_number(figures["recall"][emotion]):>6}')


def _ranged(part, key):
    low, high = part.get('intervals', {}).get(key, (None, None))
    return _number(part[key]) + ('' if low is None else f'  ({low:.3f} to {high:.3f})')


def _number(value):
    return '-' if value is None else f'{value:.4f}'


if __name__ == '__main__':
    sys.exit(main())
