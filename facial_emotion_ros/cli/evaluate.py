"""Evaluate a bundle on labelled faces: `ros2 run facial_emotion_ros evaluate`."""

import argparse
import dataclasses
import functools
import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from facial_emotion_ros.cli.common.arguments import add_network, parse_settings, whole_number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.cli.common.terminal import progress, show_table
from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.files import expect_own_files, write_atomic
from facial_emotion_ros.core.text import show
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.emotion.operating_points import calibration_of, operating_points
from facial_emotion_ros.evaluation.markdown import ends, number

_FIGURES, _REPORT = 'metrics.json', 'report.html'

#: Lines of the printed table: (figure, description).
_LINES = (
    ('accuracy', 'of the mean of the branches'),
    ('accuracy_vote', 'of the vote of the branches'),
    ('macro_recall', 'mean recall of the classes'),
    ('macro_f1', 'mean F1 of the labelled classes'),
    ('macro_f1_all', 'mean F1, labelled or predicted classes'),
    ('kappa', "Cohen's kappa"),
    ('ece', 'expected calibration error'),
    ('nll', 'negative log-likelihood'),
    ('confidence_auroc', 'AUROC of confidence, right from wrong'),
    ('agreement_auroc', 'AUROC of agreement, right from wrong'),
)


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate', description='Evaluate an ESR bundle on labelled faces; FER+ with its majority protocol.'
    )
    arguments.add_argument(
        '--dataset', required=True, metavar='PATH', help='FER+ npz, or any data set that train reads'
    )
    arguments.add_argument('--format', help='ferplus, affectnet or folder; default: detected')
    arguments.add_argument(
        '--option',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help='option of the format, such as split=valid for AffectNet; see docs/datasets.md',
    )
    add_network(arguments, '; all points of the bundle are compared, too')
    arguments.add_argument(
        '--branches',
        type=whole_number(1),
        metavar='K',
        help='use only the first K branches, like the node under a deadline; default: all',
    )
    arguments.add_argument(
        '--leave-out', metavar='TXT', help='also evaluate without the pictures named in this file, one per line'
    )
    arguments.add_argument('--output', metavar='DIR', help='folder for metrics.json and report.html')
    arguments.add_argument(
        '--with-pictures',
        type=whole_number(0),
        default=0,
        metavar='N',
        help='add the N most confident errors to the report: pictures of people, do not share; default: none',
    )
    arguments.add_argument(
        '--resamples', type=whole_number(0), default=1000, help='bootstrap resamples; default: %(default)s'
    )
    arguments.add_argument('--threads', type=whole_number(1), default=os.cpu_count(), help='default: %(default)s')
    return arguments


@report_errors('evaluate', 'reading data sets needs torch, and reports need jinja2 and plotly')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code: 0 when evaluated, 1 for bad input, 2 for wrong options.
    """
    options = parser().parse_args(argv)
    command = 'evaluate ' + shlex.join(sys.argv[1:] if argv is None else argv)
    figures = evaluate(options, command)
    _print_table(figures)
    if options.output:
        show(f'\nReport: {os.path.join(options.output, _REPORT)}')
    return 0


def evaluate(options: argparse.Namespace, command: str) -> dict[str, Any]:
    """Evaluate the bundle, and write metrics and report if there is an output folder.

    :param options: from :func:`parser`.
    :param command: command line, stored in metrics.json.
    :returns: content of metrics.json.
    :raises FacialEmotionError: if bundle, faces or list cannot be used.
    """
    from facial_emotion_ros.evaluation.prediction_metrics import compute_metrics, side_by_side
    from facial_emotion_ros.evaluation.predictions import read_faces
    from facial_emotion_ros.training.data.datasets import open_faces, read_names
    from facial_emotion_ros.training.data.framing import framing_warning

    if options.output:  # before the evaluation, as a package may be missing
        import facial_emotion_ros.evaluation.report  # noqa: F401

        expect_own_files(options.output, (_FIGURES, _REPORT), _FIGURES, ('dataset', 'versions'))
    engine = EsrEngine(options.bundle, threads=options.threads, operating_point=options.operating_point)
    if (options.branches or 0) > engine.branches:
        raise BadParameter(
            f'--branches: expected 1 to {engine.branches} for {engine.bundle.name}, got {options.branches}'
        )
    leave_out = read_names(options.leave_out) if options.leave_out else ()
    faces = open_faces(options.dataset, options.format, **parse_settings('--option', options.option))
    warning = framing_warning(faces)
    if warning:
        show(f'evaluate: {warning}', file=sys.stderr)
    with progress('faces', quiet=True) as report:
        reading = read_faces(engine, faces, report)
    if options.branches is not None:
        reading = dataclasses.replace(
            reading, logits=reading.logits[:, : options.branches], affect=reading.affect[:, : options.branches]
        )
    found = compute_metrics(reading, engine.point, resamples=options.resamples)
    found.update(side_by_side(reading, operating_points(engine.bundle.manifest)))
    if options.leave_out:
        rest = compute_metrics(reading.without(leave_out), engine.point, resamples=options.resamples)
        found['without_left_out'] = dict(rest, left_out=os.path.basename(options.leave_out))
    found.update(_provenance(options, engine, faces, command))
    if options.output:
        _write(options, found, faces, reading, engine.point)
    return found


def _provenance(options, engine, faces, command):
    from facial_emotion_ros.evaluation.provenance import made_at, versions

    bundle = engine.bundle
    return {
        'bundle': {'name': bundle.name, 'version': bundle.version, 'sha256': bundle.sha256},
        'branches': options.branches or engine.branches,
        'calibration': calibration_of(engine.point),
        'dataset': {
            'name': faces.name,
            'file': os.path.basename(os.path.abspath(options.dataset)),
            'faces': len(faces),
            'labelled': int((faces.labels >= 0).sum()),
            'damaged': len(faces.damaged),
        },
        'command': command,
        'provider': engine.provider,
        'made': made_at(),
        'versions': versions(),
    }


def _write(options, found, faces, reading, point):
    from facial_emotion_ros.evaluation.report import most_confident_errors, report_html

    pictures = most_confident_errors(faces, reading, point, options.with_pictures)
    page = report_html(found, reading, point, pictures)
    text = json.dumps(found, indent=2, allow_nan=False) + '\n'
    write_atomic(os.path.join(options.output, _FIGURES), text.encode('utf-8'))
    write_atomic(os.path.join(options.output, _REPORT), page.encode('utf-8'))


def _print_table(figures):
    from facial_emotion_ros.evaluation.intervals import LEAST_OF_CLASS
    from facial_emotion_ros.evaluation.prediction_metrics import operating_points_rows

    show(f'{figures["bundle"]["name"]} {figures["bundle"]["version"]} on {figures["dataset"]["name"]}\n')
    parts = [figures] + ([figures['without_left_out']] if 'without_left_out' in figures else [])
    heads = ['all', f'without {parts[-1].get("left_out", "")}'][: len(parts)]
    rows: list[Sequence[object]] = [('n', 'faces with a label', *(part['n'] for part in parts))]
    rows += [(key, words, *(_ranged(part, key) for part in parts)) for key, words in _LINES]
    show_table(('', '', *heads), rows, ('<18', '<39', *['<28'] * len(parts)))
    few = [f'{emotion} ({count})' for emotion, count in figures['count'].items() if 0 < count < LEAST_OF_CLASS]
    if few and 'intervals' in figures:
        show(f'\nNo intervals of class means, as there are fewer than {LEAST_OF_CLASS} faces of {", ".join(few)}.\n')
    affect, rows = figures['affect'], []
    for name in ('valence', 'arousal'):
        numbers = (f'{key.upper()} {number(affect[name][key], ".4f")}' for key in ('rmse', 'ccc', 'pcc', 'sagr'))
        rows.append((name, affect['source'], ', '.join(numbers)))
    if affect['n']:
        show_table((), rows, ('<18', '<39', '<'))
    if 'operating_points' in figures:
        points, cells = operating_points_rows(figures['operating_points'])
        show('')
        show_table(('operating points', *points[1:]), cells, ('<30', *['>12'] * (len(points) - 1)))
    show('')
    show_table(
        ('label (row), prediction (column)', *(emotion[:8] for emotion in EMOTIONS), 'recall'),
        [
            (emotion, *counts, number(figures['recall'][emotion], '.4f'))
            for emotion, counts in zip(EMOTIONS, figures['confusion'])
        ],
        ('<34', '>8', *['>9'] * len(EMOTIONS)),
    )


def _ranged(part, key):
    interval = part.get('intervals', {}).get(key)
    return number(part[key], '.4f') + (
        f'  ({ends(interval, functools.partial(number, form=".3f"))})' if interval else ''
    )


if __name__ == '__main__':
    sys.exit(main())
