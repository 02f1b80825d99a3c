"""Evaluate recordings: `ros2 run facial_emotion_ros evaluate_recording RECORDING... --output DIR`."""

import argparse
import importlib
import importlib.util
import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import parse_settings
from facial_emotion_ros.cli.common.errors import UrlParser, report_errors
from facial_emotion_ros.cli.common.terminal import progress
from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.core.files import present, refuse_foreign, write_atomic
from facial_emotion_ros.core.text import public_file, show
from facial_emotion_ros.inference.execution_providers import CPU, ENGINES, PRECISIONS
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.study.epochs import Window
from facial_emotion_ros.recordings.study.face_rows import MEASURES, SHARES

#: Exit codes: a threshold was missed; stopped by Ctrl-C or SIGTERM.
MISSED, INTERRUPTED = 3, 130

#: Thresholds: (argument, figure, whether it is a minimum, range of the figure, description).
_BOUNDS = (
    ('min_accuracy', 'accuracy', True, (0, 1), 'accuracy'),
    ('min_macro_f1', 'macro_f1', True, (0, 1), 'macro F1, over the classes of the ground truth'),
    ('min_ccc_valence', 'ccc_valence', True, (-1, 1), 'concordance (CCC) of valence'),
    ('min_ccc_arousal', 'ccc_arousal', True, (-1, 1), 'concordance (CCC) of arousal'),
    ('min_coverage', 'coverage', True, (0, 1), 'share of images with a face'),
    ('max_unknown', 'unknown_share', False, (0, 1), 'share of faces whose emotion is unknown'),
    ('max_flips', 'flips_per_minute', False, (0, 1e6), 'number of changes of emotion per minute and face'),
)

#: Maximum of --processes.
_MAX_PROCESSES = 256

#: Prefix of the parameters that --parameter accepts.
_SMOOTHING = 'smoothing.'


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = UrlParser(
        prog='evaluate_recording',
        description='Estimate the emotions of the faces in recordings, and report timelines, stability and, with '
        'ground truth, accuracy. Reads rosbags (ROS 2 folders, .mcap, .db3, ROS 1 .bag) without ROS, and videos (.mp4, '
        '.mov, .mkv, .webm, .avi).',
        epilog='Exit code: 0 done; 1 bad input, results that cannot be written, or some of many recordings failed; 2 '
        'wrong usage; 3 a threshold was missed (--min-..., --max-..., --strict); 130 stopped by Ctrl-C or SIGTERM.',
    )
    add, of_options = arguments.add_argument, _adder(arguments)
    add('bags', nargs='*', metavar='RECORDING', help='rosbag or video, or a folder that contains some')
    add('--output', default='', metavar='DIR', help='folder or URL for the report, figures and tables')
    add('--force', action='store_true', help='replace files in DIR that no evaluation wrote')
    of_options('--topic', 'topics', 'TOPICS', 'image topic; repeatable; default: all colour images')
    of_options('--write-bag', 'write_bag', '', "write a recording (mcap) with the node's messages")
    of_options('--video', 'video', '', 'write the annotated video')
    of_options('--blur-faces', 'blur_faces', '', 'blur the detected faces in all written pictures')
    add(
        '--live',
        action='store_true',
        help='also play it in real time through the node over DDS, and measure latency and drops (needs ROS 2)',
    )
    add('--compare', metavar='JSON', help='summary.json of another evaluation to compare with')
    add(
        '--processes',
        type=int,
        default=0,
        metavar='N',
        help='additional processes for detection and estimation in a single recording, for more than two cores; does '
        'not change the results; default: %(default)s',
    )
    _add_truth(arguments.add_argument_group('ground truth and people'))
    _add_models(_adder(arguments.add_argument_group('models')))
    _add_pipeline(arguments.add_argument_group('detection, tracking and smoothing'))
    _add_events(arguments.add_argument_group('events'))
    _add_many(arguments.add_argument_group('many recordings').add_argument)
    _add_bounds(arguments.add_argument_group('thresholds for the exit code').add_argument)
    return arguments


def _adder(arguments):
    """Return a function that adds an option for a field of Options, with the field's default and type."""

    def add(option, field, metavar, words, choices=None):
        default = Options.__dataclass_fields__[field].default
        kind = {'type': type(default), 'default': default, 'choices': choices, 'metavar': metavar or None}
        if default is False:
            kind = {'action': 'store_true'}
        elif default == ():
            kind = {'action': 'append', 'default': [], 'metavar': metavar}
        arguments.add_argument(option, dest=field, help=words, **kind)

    return add


def _add_truth(group):
    group.add_argument(
        '--truth',
        action='append',
        default=[],
        metavar='TOPIC|FILE|DIR',
        help='ground truth: an annotation topic of the recording; a CSV file (start, end, face, emotion, valence, '
        'arousal), a file of ELAN (.eaf, .txt) or BORIS (.csv), FILE#TIER to choose a tier, FILE#OBSERVATION an '
        'observation; or a folder with one such file per recording, named like it. If repeated, each is a rater: '
        'inter-rater agreement is computed, and their majority is the ground truth',
    )
    of_options = _adder(group)
    of_options(
        '--recorded',
        'recorded',
        'TOPIC',
        'recorded detections to compare with; default: the first topic of detections with emotions',
    )
    of_options(
        '--people',
        'people',
        '',
        'merge faces into persons by appearance, ground truth and study: people.csv, and merges.csv to confirm or '
        'undo. The results then contain appearance descriptors and pictures of faces (no pictures with --blur-faces)',
    )


def _add_models(add):
    add(
        '--bundle',
        'bundles',
        'DIR',
        'ESR bundle; repeatable, several are compared; default: the embedded esr_9_ferplus like the node, in int8 on '
        'CPUs that run it faster',
    )
    add('--operating-point', 'operating_point', 'NAME', "default: the bundle's")
    add('--detector', 'detector', 'DIR', "detector bundle; default: the node's, in int8 on CPUs that run it faster")
    add('--engine', 'engine', '', 'default: %(default)s', ENGINES)
    add(
        '--provider',
        'providers',
        'NAME',
        "ONNX Runtime execution provider, as the node's inference.providers: CUDAExecutionProvider, "
        'TensorrtExecutionProvider; repeatable, in order of preference; default: CPUExecutionProvider',
    )
    add('--precision', 'precision', '', "as the node's inference.precision; default: %(default)s", PRECISIONS)
    add(
        '--face-batch',
        'face_batch',
        'N',
        "fixed batch size on a GPU, which TensorRT needs, as the node's inference.face_batch; default: dynamic",
    )
    add('--threads', 'threads', 'N', 'threads per operator; default: %(default)s')


def _add_pipeline(group):
    add = _adder(group)
    add('--max-faces', 'max_faces', 'N', 'use only the N largest faces; default: all')
    add('--long-side', 'long_side_px', 'PX', "long side of the detector's input; default: %(default)s")
    add(
        '--every-n',
        'every_n',
        'N',
        'detect faces in every n-th image and track them in between; default: %(default)s, like the node',
    )
    add(
        '--estimate-every',
        'estimate_every_n',
        'N',
        'estimate faces in every n-th image and repeat the estimates in between; default: %(default)s, like the node',
    )
    rotate = "rotate images clockwise, as the node's input.rotate_deg; -1: automatic"
    add('--rotate-deg', 'rotate_deg', '', rotate, (0, 90, 180, 270, -1))
    add(
        '--max-age',
        'max_age_s',
        'S',
        'a face unseen for longer loses its id; default: %(default)s, like the node',
    )
    add(
        '--remember',
        'remember_s',
        'S',
        'a face recognised within this time gets its id back; default: %(default)s, like the node; 0: never',
    )
    group.add_argument(
        '--parameter',
        action='append',
        default=[],
        metavar='NAME=VALUE',
        help="one of the node's parameters smoothing.*, such as smoothing.scores_s=0.5; repeatable",
    )


def _add_events(group):
    add = group.add_argument
    _adder(group)(
        '--events',
        'events',
        'CSV|TOPIC[:FIELD]',
        'average scores, valence and arousal around events from a CSV file (time, name, recording), or a topic whose '
        'messages are events, named by a field',
    )
    add('--event-window', type=_two_numbers, metavar='START,END', help='seconds from the event; default: -1,3')
    add('--event-rate', type=float, metavar='HZ', help='sampling rate of the averages; default: 10')
    add(
        '--baseline',
        type=_two_numbers,
        default=(),
        metavar='START,END',
        help='subtract the mean over this time, in seconds from the event, such as -1,0; default: none',
    )


def _add_many(add):
    add('--workers', type=int, default=0, metavar='N', help='evaluate in N processes on this machine')
    add('--ray', default='', metavar='ADDRESS', help='evaluate on a Ray cluster: auto, local, ray://host:port')
    add(
        '--verify',
        action='store_true',
        help='detect changes and damage by full content: read recordings again even if size, modification time, first '
        'and last block of their files are unchanged, and, for results at a URL, all of frames/',
    )
    add(
        '--study',
        default='',
        metavar='CSV',
        help='manifest of a study: a file with the columns path, participant, condition, session and any others, '
        'which are added to every table; conditions are compared. Without RECORDING, all its recordings are evaluated',
    )
    add(
        '--participants-only',
        action='store_true',
        help="restrict the tables of --study and --events to the participants' own faces, identified by --people; "
        'excludes an experimenter, for example',
    )
    add(
        '--measure',
        action='append',
        default=[],
        choices=(*MEASURES, *SHARES),
        dest='measures',
        metavar='MEASURE',
        help='compare conditions in this measure only, such as valence, score_happy or share_unknown; repeatable; '
        'default: all scores, valence and arousal; p-values are corrected over all measures',
    )
    add('--study-template', default='', metavar='CSV', help='write a manifest for the recordings, and exit')


def _add_bounds(add):
    for name, _, is_least, _, meaning in _BOUNDS:
        side = 'minimum' if is_least else 'maximum'
        add(_option(name), type=float, metavar='X', help=f'{side} {meaning}')
    add('--strict', action='store_true', help='fail also if images or files were lost')


@report_errors('evaluate_recording', 'recordings need rosbags, jinja2, plotly and scipy')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: command line; None for sys.argv.
    :returns: exit code, see the parser's epilog.
    """
    arguments = parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    command = 'evaluate_recording ' + shlex.join(map(public_file, sys.argv[1:] if argv is None else argv))
    if not arguments.bags and (arguments.study_template or not arguments.study):
        raise BadParameter('expected a RECORDING: a rosbag or video, or a folder that contains some')
    if arguments.study_template:
        return _template(arguments)
    options = _options(arguments)
    importlib.import_module('scipy')  # fail now rather than at the end, after hours
    path = _single(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # background jobs of scripts ignore SIGINT
    try:
        return _one(path, arguments, options, command) if path else _many(arguments, options, command)
    except KeyboardInterrupt:
        show(
            'evaluate_recording: stopped' + ('' if path else '; complete results are kept, the same command resumes'),
            file=sys.stderr,
        )
        return INTERRUPTED


def _two_numbers(text):
    try:
        start, end = (float(part) for part in text.split(','))
    except ValueError:
        message = f'expected two times in seconds, separated by a comma, such as -1,3, got {text!r}'
        raise argparse.ArgumentTypeError(message) from None
    return start, end


def _joined(argv):
    """Join options with values that start with a minus, which argparse takes for options: --baseline -1,0."""
    found: list[str] = []
    for each in argv:
        if found and found[-1] in ('--baseline', '--event-window') and each.startswith('-'):
            each = f'{found.pop()}={each}'
        found.append(each)
    return found


def _template(arguments):
    from facial_emotion_ros.recordings.study.manifest import write_template

    count = write_template(arguments.bags, arguments.study_template)
    show(f'{arguments.study_template}: {count} recordings; check participants and conditions, then use it with --study')
    return 0


def _options(arguments):
    if arguments.workers < 0:
        raise BadParameter(f'--workers: expected at least 1, got {arguments.workers}')
    for name, _, _, (low, high), _ in _BOUNDS:
        bound = getattr(arguments, name)
        if bound is not None and not low <= bound <= high:
            raise BadParameter(f'{_option(name)}: expected {low:g} to {high:g}, got {bound:g}')
    if not arguments.output or os.path.isfile(arguments.output):
        raise BadParameter(
            f'--output: expected a folder for the results, got {arguments.output!r}'
            + (', which is a file' if arguments.output else '')
        )
    if arguments.measures and not arguments.study:
        raise BadParameter('--measure needs --study')
    if arguments.workers and arguments.ray:
        raise BadParameter('expected either --workers or --ray, got both')
    if not 0 <= arguments.processes <= _MAX_PROCESSES:
        raise BadParameter(f'--processes: expected 0 to {_MAX_PROCESSES}, got {arguments.processes}')
    fields = {name: value for name, value in vars(arguments).items() if name in Options.__dataclass_fields__}
    fields.update({name: tuple(getattr(arguments, name)) for name in ('topics', 'bundles', 'providers')})
    fields.update(truth=''.join(arguments.truth[:1]), more_truths=tuple(arguments.truth[1:]))
    fields.pop('event_window')
    given = [name for name in ('event_window', 'event_rate', 'baseline') if getattr(arguments, name) not in (None, ())]
    if given and not arguments.events:
        raise BadParameter(f'{_option(given[0])} needs --events')
    if arguments.events:
        start_s, end_s = arguments.event_window or (-1.0, 3.0)
        rate_hz = 10.0 if arguments.event_rate is None else arguments.event_rate
        Window(start_s, end_s, rate_hz, arguments.baseline).check()
        fields.update(event_window=(start_s, end_s, rate_hz))
    return Options(**fields, **_smoothing(arguments.parameter))


def _smoothing(texts):
    """Parse the node's smoothing parameters into fields of Options."""
    fields = {}
    known = {_SMOOTHING + name: value for name, value in Options().smoothing().items()}
    for name, value in parse_settings('--parameter', texts).items():
        if name not in known:
            raise BadParameter(f'--parameter: expected one of {", ".join(known)}, got {name}')
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        is_bool = isinstance(known[name], bool)
        if not (isinstance(value, bool) if is_bool else is_number):
            raise BadParameter(
                f'--parameter {name}: expected {"true or false" if is_bool else "a number"}, got {value!r}'
            )
        fields[name.replace('.', '_')] = value if is_bool else float(value)
    return fields


def _single(arguments):
    """Return the path of a single recording; '' for several, or for URLs, which need a batch."""
    if arguments.study or arguments.workers or arguments.ray or len(arguments.bags) > 1:
        return ''
    if '://' in arguments.bags[0] or '://' in arguments.output:
        return ''
    path = arguments.bags[0]
    if not os.path.isdir(path):
        return path
    from facial_emotion_ros.recordings.batch.recording_discovery import find_bags

    found = find_bags([path], without=arguments.output)
    return found[0] if len(found) == 1 else ''


def _one(path, arguments, options, command):
    """Evaluate one recording."""
    from facial_emotion_ros.recordings.batch.truths import options_of_each
    from facial_emotion_ros.recordings.evaluation.compare import read_summary
    from facial_emotion_ros.recordings.evaluation.evaluate import evaluate_bag, folders_of
    from facial_emotion_ros.recordings.evaluation.results_folder import COMPARISON, OR_FORCE, former_files
    from facial_emotion_ros.recordings.evaluation.sufficient_statistics import compared_figures, totals_of

    output = arguments.output
    if arguments.participants_only:
        raise BadParameter('--participants-only needs --study')
    if os.path.isdir(path) and os.path.realpath(path) == os.path.realpath(output):
        raise BadParameter(f'--output: expected a folder outside the recording, got the recording itself, {path}')
    other = read_summary(arguments.compare) if arguments.compare else None
    options = options_of_each(options, [path])[0]
    folders = folders_of(options, output)
    if len(options.bundles) > 1 and not arguments.force and not former_files(folders[0]):
        refuse_foreign(output, present(output, {COMPARISON}), OR_FORCE)
    live = _live(options) if arguments.live else None
    with progress('images') as report:
        summaries = evaluate_bag(
            path, output, options, report, command, live, arguments.force, processes=arguments.processes
        )
    _print(summaries, other, arguments)
    for folder in folders:
        show(f'\nReport: {os.path.join(folder, "report.html")}')
    missed = []
    for summary in summaries:
        found = _missed(arguments, compared_figures(totals_of(summary).values))
        missed += [_of_bundle(text, summary, summaries) for text in found]
    missed += _not_whole(arguments, all(summary['whole'] for summary in summaries))
    return _exit_code(missed)


def _print(summaries, other, arguments):
    """Print figures, faults and comparisons."""
    from facial_emotion_ros.recordings.evaluation.summary_text import changes_text, summary_text

    first = summaries[0]
    for summary in summaries:
        show(f'\n{summary_text(summary)}')
        for fault in summary['bag']['faults']:
            show(f'evaluate_recording: {fault}', file=sys.stderr)
    for summary in summaries[1:]:
        show(f'\n{changes_text(first, summary, summary["bundle"]["name"], first["bundle"]["name"])}')
    if len(summaries) > 1:
        _write_comparison(arguments.output, summaries)
    for summary in summaries if other is not None else ():
        show(f'\n{changes_text(other, summary, "now", arguments.compare)}')


def _write_comparison(output, summaries):
    from facial_emotion_ros.recordings.evaluation.compare import compare
    from facial_emotion_ros.recordings.evaluation.results_folder import COMPARISON

    first = summaries[0]
    comparisons = [
        {
            'before': first['bundle'],
            'now': summary['bundle'],
            'changes': [change._asdict() for change in compare(first, summary)],
        }
        for summary in summaries[1:]
    ]
    write_atomic(os.path.join(output, COMPARISON), (json.dumps(comparisons, indent=1) + '\n').encode('utf-8'))


def _many(arguments, options, command):
    """Evaluate many recordings."""
    for name in ('live', 'compare', 'processes'):
        if getattr(arguments, name):
            hint = '; for several at a time, use --workers' if name == 'processes' else ''
            raise BadParameter(f'--{name} needs a single recording and an output folder on this machine{hint}')
    from facial_emotion_ros.recordings.batch.batch import evaluate_fleet, fleet_progress, fleet_text, topics_of_none
    from facial_emotion_ros.recordings.study.manifest import read_study

    study = read_study(arguments.study) if arguments.study else None
    for note in study.look_alikes() if study else ():
        show(f'evaluate_recording: {arguments.study}: {note}', file=sys.stderr)
    fleet = evaluate_fleet(
        arguments.bags,
        arguments.output,
        options,
        workers=arguments.workers or 1,
        ray_address=arguments.ray or None,
        progress=fleet_progress,
        command=command,
        force=arguments.force,
        study=study,
        verify=arguments.verify,
        participants_only=arguments.participants_only,
        stage=progress,
        measures=tuple(dict.fromkeys(arguments.measures)),
    )
    show(f'\n{fleet_text(fleet)}\nReport: {os.path.join(arguments.output, "index.html")}')
    whole = all(result['whole'] for bag in fleet['bags'] for result in bag['results'])
    missed = [
        _of_bundle(text, pooled, fleet['overall'])
        for pooled in fleet['overall']
        for text in _missed(arguments, pooled['compared'])
    ]
    missed += _not_whole(arguments, whole)
    none = topics_of_none(fleet)
    for topic in none:
        show(f'evaluate_recording: {topic} is in none of the recordings and was ignored', file=sys.stderr)
    return 1 if fleet['counts']['failed'] or none else _exit_code(missed)


def _live(options):
    """Return the function that measures the node with these options."""
    from facial_emotion_ros.recordings.evaluation.real_time_replay import measure_live

    if importlib.util.find_spec('rclpy') is None:
        raise BadParameter(
            '--live needs ROS 2, but rclpy is not found: source /opt/ros/<distribution>/setup.bash, or run '
            'scripts/setup and use .venv/bin/python'
        )
    parameters = {
        'inference.threads': options.threads,
        'inference.engine': options.engine,
        'inference.providers': list(options.providers or (CPU,)),
        'inference.precision': options.precision,
        'inference.face_batch': options.face_batch,
        'inference.operating_point': options.operating_point,
        'inference.max_faces': options.max_faces,
        'detector.long_side_px': options.long_side_px,
        'detector.every_n': options.every_n,
        'input.rotate_deg': options.rotate_deg,
        'tracker.max_age_s': options.max_age_s,
        'tracker.remember_s': options.remember_s,
        **{_SMOOTHING + name: value for name, value in options.smoothing().items()},
    }
    if options.bundles:
        parameters['inference.bundle'] = options.bundles[0]
    if options.detector:
        parameters['detector.bundle'] = options.detector
    return lambda path, camera: measure_live(path, camera, parameters)


def _exit_code(missed):
    """Print the missed thresholds, and return the exit code."""
    for text in missed:
        show(f'evaluate_recording: {text}', file=sys.stderr)
    return MISSED if missed else 0


def _missed(arguments, found):
    """Describe the missed thresholds, including those that cannot be checked."""
    texts = []
    for name, figure, is_least, _, _ in _BOUNDS:
        bound, value = getattr(arguments, name), found.get(figure)
        if bound is None:
            continue
        if value is None:
            needs_truth = figure not in ('coverage', 'unknown_share', 'flips_per_minute')
            hint = '; is there ground truth (--truth)?' if needs_truth else ''
            texts.append(f'{_option(name)} {bound:g} cannot be checked: no {figure}{hint}')
        elif value < bound if is_least else value > bound:
            texts.append(f'{_option(name)} {bound:g} is missed: {figure} is {value:.4g}')
    return texts


def _not_whole(arguments, whole):
    return ['--strict: data was lost, see the report'] if arguments.strict and not whole else []


def _of_bundle(text, block, blocks):
    """Prefix a line with the name of the network, if there are several."""
    return f'{(block["bundle"] or {}).get("name")}: {text}' if len(blocks) > 1 else text


def _option(name):
    return '--' + name.replace('_', '-')


if __name__ == '__main__':
    sys.exit(main())
