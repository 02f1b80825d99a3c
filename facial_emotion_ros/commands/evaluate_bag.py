"""Evaluate recordings: `ros2 run facial_emotion_ros evaluate_bag BAG... --output DIR`."""

import argparse
import importlib.util
import json
import os
import shlex
import sys
import time

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.plain_text import show

#: Exit codes: a bound was missed; stopped by Ctrl-C, as shells count it.
MISSED, INTERRUPTED = 3, 130

#: Bounds: (argument, figure, whether it is the least, the range of the figure, what it says).
_BOUNDS = (
    ('min_accuracy', 'accuracy', True, (0, 1), 'share of the answers that are right'),
    ('min_macro_f1', 'macro_f1', True, (0, 1), 'mean F1 of the classes of the truth'),
    ('min_ccc_valence', 'ccc_valence', True, (-1, 1), 'concordance of the valence'),
    ('min_ccc_arousal', 'ccc_arousal', True, (-1, 1), 'concordance of the arousal'),
    ('min_coverage', 'coverage', True, (0, 1), 'share of the images with a face'),
    ('max_unknown', 'unknown_share', False, (0, 1), 'share of the faces that get no word'),
    ('max_flips', 'flips_per_minute', False, (0, 1e6), 'changes of the word in a minute of a face'),
)


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='evaluate_bag', description='What emotions the faces in recordings (rosbags) show, how steadily they are '
        'read, and how well, where the truth is known. Folders of ROS 2, .mcap, .db3, and .bag of ROS 1; no ROS is '
        'needed.', epilog='Exit code: 0 done; 1 bad input, results that cannot be written, or some of many recordings '
        'failed; 2 wrong usage; 3 a bound was missed (--min-..., --max-..., --strict); 130 stopped by Ctrl-C.')
    arguments.add_argument('bags', nargs='+', metavar='BAG', help='recording, or a folder of recordings')
    arguments.add_argument('--output', required=True, metavar='DIR', help='where report.html, summary.json and the '
                           'tables go')
    arguments.add_argument('--force', action='store_true', help='replace files in DIR that no evaluation wrote')
    arguments.add_argument('--topic', action='append', default=[], help='image topic; may be repeated; default: every '
                           'topic of colour images')
    arguments.add_argument('--truth', default='', metavar='TOPIC|CSV|DIR', help='annotation topic of the recording; a '
                           'CSV file: start, end, face, emotion, valence, arousal; or a folder with such a file for '
                           'each of many recordings, called as it is')
    arguments.add_argument('--recorded', default='', metavar='TOPIC', help='recorded detections to compare with; '
                           'default: the first that tells emotions')
    arguments.add_argument('--bundle', action='append', default=[], metavar='DIR', help='ESR bundle; two or more are '
                           'judged side by side; default: the embedded esr_9_ferplus as the node runs it, in eight '
                           'bits where the processor is faster so')
    arguments.add_argument('--detector', default='', metavar='DIR', help="bundle; default: the node's, in eight bits "
                           'where the processor is faster so')
    arguments.add_argument('--engine', choices=('onnxruntime', 'openvino'), default='onnxruntime',
                           help='default: %(default)s')
    arguments.add_argument('--write-bag', action='store_true', help="write our messages, on the node's topics, as a "
                           'recording (mcap)')
    arguments.add_argument('--video', action='store_true', help='write the annotated film')
    arguments.add_argument('--blur-faces', action='store_true', help='blur the faces that are found in every picture '
                           'that is written')
    arguments.add_argument('--live', action='store_true', help='also play it in real time through the node, over DDS, '
                           'and measure ages and drops (needs ROS 2)')
    arguments.add_argument('--compare', metavar='JSON', help='summary.json of another evaluation: say what got better '
                           'or worse')
    arguments.add_argument('--max-faces', type=int, default=0, help='only so many largest faces; default: all')
    arguments.add_argument('--long-side', type=int, default=480, metavar='PX', help="of the detector's input; default: "
                           '%(default)s')
    arguments.add_argument('--every-n', type=int, default=2, help='detect faces in every n-th image and follow them in '
                           'between; default: %(default)s, as the node does')
    arguments.add_argument('--max-age', type=float, default=1.0, metavar='S', help='a face that was not seen for '
                           'longer gets a new id; default: %(default)s, as the node does')
    arguments.add_argument('--threads', type=int, default=1, help='of one operator; default: %(default)s')
    many = arguments.add_argument_group('many recordings')
    many.add_argument('--workers', type=int, default=0, metavar='N', help='processes on this machine')
    many.add_argument('--ray', default='', metavar='ADDRESS', help='spread them over a Ray cluster: auto, local, '
                      'ray://host:port')
    judged = arguments.add_argument_group('bounds, for the exit code')
    for name, _, is_least, _, says in _BOUNDS:
        judged.add_argument('--' + name.replace('_', '-'), type=float, metavar='X',
                            help=f'{"at least" if is_least else "at most"} so much: {says}')
    judged.add_argument('--strict', action='store_true', help='images or files that were lost miss a bound too')
    return arguments


@tells_errors('evaluate_bag', 'recordings need rosbags (pip install rosbags), tables pyarrow')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code, see the parser's epilog.
    """
    asked = parser().parse_args(argv)
    command = 'evaluate_bag ' + shlex.join(sys.argv[1:] if argv is None else argv)
    options = _options(asked)
    path = _single(asked)
    try:
        return _one(path, asked, options, command) if path else _many(asked, options, command)
    except KeyboardInterrupt:
        show('evaluate_bag: stopped' + ('' if path else '; what is done is kept, and the same command goes on'),
              file=sys.stderr)
        return INTERRUPTED


def _one(path, asked, options, command):
    """Evaluate one recording."""
    from facial_emotion_ros.bag_evaluation.evaluate import evaluate_bag, folders_of
    from facial_emotion_ros.bag_evaluation.fleet_truth import options_of_each
    from facial_emotion_ros.bag_evaluation.results_folder import COMPARISON, former_files, refuse_foreign

    if os.path.isdir(path) and os.path.realpath(path) == os.path.realpath(asked.output):
        raise BadParameter(f'--output: a folder beside the recording expected, got the recording itself, {path}')
    other, options = _other(asked), options_of_each(options, [path])[0]
    if len(options.bundles) > 1 and not asked.force and not former_files(folders_of(options, asked.output)[0]):
        refuse_foreign(asked.output, {COMPARISON})
    found = evaluate_bag(path, asked.output, options, _Progress(), command, _live(options) if asked.live else None,
                         asked.force)
    summaries = found if isinstance(found, list) else [found]
    _tell(summaries, other, asked)
    for folder in folders_of(options, asked.output):
        show(f'\n{os.path.join(folder, "report.html")} shows it.')
    return _judged([said for summary in summaries for said in _missed(asked, _compared(summary), summary['whole'])])


def _tell(summaries, other, asked):
    """Print what was found, and how it compares."""
    from facial_emotion_ros.bag_evaluation.summary_text import changes_text, summary_text

    first = summaries[0]
    for summary in summaries:
        show(f'\n{summary_text(summary)}')
        for fault in summary['bag']['faults']:
            show(f'evaluate_bag: {fault}', file=sys.stderr)
    for summary in summaries[1:]:
        show(f'\n{changes_text(first, summary, summary["bundle"]["name"], first["bundle"]["name"])}')
    if len(summaries) > 1:
        _write_comparison(asked.output, summaries)
    for summary in summaries if other is not None else ():
        show(f'\n{changes_text(other, summary, "now", asked.compare)}')


def _options(asked):
    from facial_emotion_ros.bag_evaluation.options import Options

    if asked.workers < 0:
        raise BadParameter(f'--workers of at least 1 expected, got {asked.workers}')
    for name, _, _, (low, high), _ in _BOUNDS:
        bound = getattr(asked, name)
        if bound is not None and not low <= bound <= high:
            raise BadParameter(f'--{name.replace("_", "-")} of {low:g} to {high:g} expected, got {bound:g}')
    if not asked.output or os.path.isfile(asked.output):
        raise BadParameter(f'--output: a folder for the results expected, got {asked.output!r}'
                           + (', which is a file' if asked.output else ''))
    if asked.workers and asked.ray:
        raise BadParameter('either --workers or --ray expected, got both')
    return Options(
        topics=tuple(asked.topic), bundles=tuple(asked.bundle), engine=asked.engine, detector=asked.detector,
        truth=asked.truth, recorded=asked.recorded, write_bag=asked.write_bag, video=asked.video,
        blur_faces=asked.blur_faces, max_faces=asked.max_faces, long_side_px=asked.long_side, every_n=asked.every_n,
        max_age_s=asked.max_age, threads=asked.threads)


def _single(asked):
    """Give the one recording that was named; '' where there are several, or places that only a fleet reads."""
    if asked.workers or asked.ray or len(asked.bags) > 1 or '://' in asked.bags[0]:
        return ''
    path = asked.bags[0]
    if not os.path.isdir(path):
        return path
    from facial_emotion_ros.bag_evaluation.bag_places import find_bags

    found = find_bags([path], without=asked.output)
    return found[0] if len(found) == 1 else ''


def _other(asked):
    """Read what is compared with before the work begins."""
    if not asked.compare:
        return None
    from facial_emotion_ros.bag_evaluation.compare import read_summary

    return read_summary(asked.compare)


def _many(asked, options, command):
    """Evaluate many recordings."""
    for name in ('live', 'compare'):
        if getattr(asked, name):
            raise BadParameter(f'--{name} is for a single recording')
    from facial_emotion_ros.bag_evaluation.fleet import evaluate_fleet, fleet_progress, fleet_text

    fleet = evaluate_fleet(asked.bags, asked.output, options, workers=asked.workers or 1, ray_address=asked.ray or None,
                           progress=fleet_progress, command=command, force=asked.force)
    show(f'\n{fleet_text(fleet)}\n{os.path.join(asked.output, "index.html")} shows them all.')
    whole = not any(bag['status'] == 'failed' or bag.get('whole') is False for bag in fleet['bags'])
    missed = [said for pooled in fleet['overall'] for said in _missed(asked, pooled['compared'], whole)]
    return 1 if fleet['counts']['failed'] else _judged(missed)


def _live(options):
    """Make what measures the node, running what the options name."""
    from facial_emotion_ros.bag_evaluation.live import measure_live

    if importlib.util.find_spec('rclpy') is None:
        raise BadParameter('--live plays through the node, which needs ROS 2, and rclpy is not there: source '
                           '/opt/ros/<distribution>/setup.bash, or run scripts/setup and then .venv/bin/python')
    parameters = {'inference.threads': options.threads, 'inference.engine': options.engine,
                  'inference.max_faces': options.max_faces, 'detector.long_side_px': options.long_side_px,
                  'detector.every_n': options.every_n, 'tracker.max_age_s': options.max_age_s}
    for name, value in (('inference.bundle', options.bundles[:1]), ('detector.bundle', (options.detector,))):
        if any(value):
            parameters[name] = value[0]
    return lambda path, camera: measure_live(path, camera, parameters)


def _judged(missed):
    """Say which bounds are missed, and give the exit code."""
    for said in missed:
        show(f'evaluate_bag: {said}', file=sys.stderr)
    return MISSED if missed else 0


def _compared(summary):
    from facial_emotion_ros.bag_evaluation.totals import compared_figures, totals_of

    return compared_figures(totals_of(summary).values)


def _missed(asked, found, whole):
    """List the bounds that are missed; one that cannot be checked is."""
    said = []
    for name, figure, is_least, _, _ in _BOUNDS:
        bound, value = getattr(asked, name), found.get(figure)
        if bound is None:
            continue
        option = '--' + name.replace('_', '-')
        if value is None:
            needs_truth = figure not in ('coverage', 'unknown_share', 'flips_per_minute')
            hint = '; is the truth known (--truth)?' if needs_truth else ''
            said.append(f'{option} {bound:g} cannot be checked: nothing there tells {figure}{hint}')
        elif value < bound if is_least else value > bound:
            said.append(f'{option} {bound:g} is missed: {figure} is {value:.4g}')
    if asked.strict and not whole:
        said.append('--strict: not all could be read and written, see above')
    return said


class _Progress:
    """A line that says how far it is, and how long it will go on."""

    def __init__(self):
        self._began_s = self._told_s = time.monotonic()

    def __call__(self, done, wanted):
        now_s = time.monotonic()
        is_last = done == wanted
        patient = 0.2 if sys.stderr.isatty() else 15.0
        if now_s - self._told_s < patient and not (is_last and sys.stderr.isatty()):
            return
        self._told_s = now_s
        rate = done / max(now_s - self._began_s, 1e-9)
        text = f'{done} images, {rate:.0f} a second'
        if wanted:
            left_s = (wanted - done) / rate
            bar = '#' * int(24 * done / max(wanted, done))
            text = f'[{bar:<24}] {done} of {wanted} images, {rate:.0f} a second, {left_s:.0f} s to go'
        if sys.stderr.isatty():
            show(f'\r{text:<78}', end='\n' if is_last else '', file=sys.stderr, flush=True)
        else:
            show(text, file=sys.stderr, flush=True)


def _write_comparison(output, summaries):
    from facial_emotion_ros.atomic_file import write_whole
    from facial_emotion_ros.bag_evaluation.compare import compare
    from facial_emotion_ros.bag_evaluation.results_folder import COMPARISON

    told = [{'before': summaries[0]['bundle'], 'now': summary['bundle'],
             'changes': [change._asdict() for change in compare(summaries[0], summary)]} for summary in summaries[1:]]
    write_whole(os.path.join(output, COMPARISON), (json.dumps(told, indent=1) + '\n').encode('utf-8'))


if __name__ == '__main__':
    sys.exit(main())
