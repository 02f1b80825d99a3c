"""scripts/demo: play a video, images or a webcam to the node, show its output, and write a summary."""

import argparse
import contextlib
import datetime
import json
import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from facial_emotion_ros.cli.common.errors import UrlParser, report_errors
from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.core.resources import PACKAGE, expect_file, find_executable
from facial_emotion_ros.core.text import public_address, show
from facial_emotion_ros.demo.processes import NodeProcess, demo_processes, node_environment
from facial_emotion_ros.ros.command_line import positive
from facial_emotion_ros.system.dds_environment import LOCALHOST_VARIABLES
from facial_emotion_ros.system.environment_checks import check_open_files
from facial_emotion_ros.system.subprocesses import Child, ProcessGroup, describe_exit, take_free_domain

#: Timeout after the end of the source, for the last images, the annotated video and the summary.
FINISH_S = 30.0

EPILOG = """
processes
  The same three as in `ros2 launch facial_emotion_ros demo.launch.py`: media_source publishes the images; emotion_node
  detects faces and publishes emotions and affect; console_view prints a line per face and second. They communicate in a
  separate ROS domain on this machine only.

output
  Only in the output folder: annotated.mp4 (or .avi, or a folder of pictures if no encoder is found), annotated.jpg (the
  image with the most faces), summary.json (frames, latency, emotions of each face and, with --images, each picture),
  log/ (logs of the processes). The node itself stores no images.

end
  At the end of the source, or by Ctrl-C; both write the summary. Exit code: 0 when images were processed, 1 when a
  process failed (its last lines are shown), 2 for wrong options.

examples
  scripts/demo                                  embedded sample: three public-domain portraits, 24 s
  scripts/demo --images ~/Pictures/faces        all pictures of a folder, two seconds each
  scripts/demo --video talk.mp4 --output out    a video file, at its own speed
  scripts/demo --camera 0 --duration 60         the first webcam, for a minute

The scores describe what a face looks like to a network, not what a person feels. Inferring emotions at work or in
education is prohibited in the European Union, save for medical or safety reasons (Regulation (EU) 2024/1689,
Art. 5(1)(f)).
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line; None for sys.argv."""
    name = 'demo' if os.path.basename(sys.argv[0]) == 'demo' else 'scripts/demo'  # the former with `ros2 run`
    parser = UrlParser(
        prog=name,
        description='Show facial_emotion_ros at work on a real ROS 2 graph.',
        epilog=EPILOG.replace('scripts/demo', name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--images', metavar='PATH', help='play a picture, or the pictures of a folder in name order')
    source.add_argument('--video', metavar='FILE', help='play a video file, at its own speed')
    source.add_argument(
        '--camera',
        metavar='N',
        nargs='?',
        const='0',
        help='play a webcam: its number (default 0), or a device or stream address',
    )
    parser.add_argument(
        '--output',
        metavar='DIR',
        type=Path,
        help='folder for video, picture, summary and logs (default: ./demo_output/<date and time>)',
    )
    parser.add_argument('--duration', metavar='S', type=positive, default=0.0, help='stop after this time')
    parser.add_argument(
        '--rate',
        metavar='HZ',
        type=positive,
        default=0.0,
        help='images per second (default: 10, or the rate of the video or camera)',
    )
    parser.add_argument(
        '--seconds-each',
        metavar='S',
        type=positive,
        default=2.0,
        help='time to show each picture of --images (default: 2)',
    )
    parser.add_argument('--loop', action='store_true', help='repeat the source until --duration or Ctrl-C')
    parser.add_argument(
        '--params-file', metavar='FILE', type=Path, help="parameter file for emotion_node instead of the package's own"
    )
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> None:
    """Check the options before starting processes.

    :param options: from parse().
    :raises BadParameter: for a value that media_source would refuse, or a file that does not exist.
    """
    from facial_emotion_ros.ros.demo.parameters import MEDIA_SOURCE  # here, so that --help needs no packages
    from facial_emotion_ros.ros.parameters import check_value

    given = source_parameters(options)
    for row in MEDIA_SOURCE:
        if row.name in given:
            check_value(row, given[row.name])
    for option, exists in (('images', os.path.exists), ('video', os.path.isfile)):
        path = getattr(options, option)
        if path is not None and not exists(path):
            wanted = 'a picture or a folder of them' if option == 'images' else 'a video file'
            raise BadParameter(f'--{option}: expected {wanted}, got {public_address(path)!r}, which does not exist')
    if options.params_file is not None:
        expect_file(str(options.params_file), '--params-file')
    for path in (given.get('source.path', ''), os.path.abspath(options.output or '')):
        try:
            path.encode('utf-8')
        except UnicodeEncodeError:
            raise BadParameter(
                f'expected a path in UTF-8, which ROS requires, got {public_address(path)!r}; rename it'
            ) from None


def source_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Convert the options to parameters of media_source."""
    parameters = {
        'source.kind': 'sample',
        'rate_hz': options.rate,
        'duration_s': options.duration,
        'loop': options.loop,
        'source.seconds_each': options.seconds_each,
    }
    if options.images is not None:
        parameters.update({'source.kind': 'images', 'source.path': os.path.abspath(options.images)})
    elif options.video is not None:
        parameters.update({'source.kind': 'video', 'source.path': os.path.abspath(options.video)})
    elif options.camera is not None:
        parameters['source.kind'] = 'camera'
        parameters.update(
            {'source.camera': int(options.camera)} if options.camera.isdecimal() else {'source.path': options.camera}
        )
    return parameters


def make_output_folder(wanted: Path | None) -> Path:
    """Create the output folder and its folder log.

    :param wanted: path; None for a new folder in ./demo_output.
    :returns: absolute path.
    :raises BadParameter: if it cannot be created.
    """
    folder = wanted or Path('demo_output', datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S'))
    try:
        (folder / 'log').mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(
            f'expected a folder that can be created, but {folder} cannot ({error.strerror}); choose another --output'
        ) from None
    return folder.resolve()


def command_line(process: NodeProcess, scratch: Path) -> list[str]:
    """Return the command that a launch file would run for a process.

    :param process: process to start.
    :param scratch: folder for its parameter file.
    """
    # Through a file, like in launch: on the command line, values are parsed as YAML, which breaks some paths.
    overrides = scratch / f'{process.name}.yaml'
    overrides.write_text(_yaml({'/**': {'ros__parameters': dict(process.parameters)}}), encoding='utf-8')
    program = find_executable(process.name)
    command = [program] if program else [sys.executable, '-m', process.module]
    command += ['--ros-args']
    for path in (*process.parameter_files, overrides):
        command += ['--params-file', str(path)]
    for before, after in process.remappings:
        command += ['-r', f'{before}:={after}']
    return command


def _yaml(value):
    """Format as JSON that is valid YAML, too: without surrogate pairs."""
    pair = r'\\ud[89ab]\w\w\\ud[c-f]\w\w'
    return re.sub(pair, lambda found: json.loads(f'"{found.group()}"'), json.dumps(value))


def start(processes: Sequence[NodeProcess], environ: dict[str, str], folder: Path, scratch: Path) -> ProcessGroup:
    """Start the processes, the last one first, so that none misses the first images.

    :param processes: from demo_processes().
    :param environ: their environment.
    :param folder: output folder.
    :param scratch: folder for parameter files.
    """
    group = ProcessGroup()
    try:
        for process in reversed(processes):
            with interrupts_held_back():
                group.add(
                    Child(
                        process.name,
                        command_line(process, scratch),
                        environ,
                        str(folder / 'log' / f'{process.name}.log'),
                        shows_lines=process.name == 'console_view',
                    )
                )
    except BaseException:
        group.stop()
        raise
    return group


@contextlib.contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Defer signals to the end of the block, so that a child that has just started is not left behind.

    :raises KeyboardInterrupt: at the end of the block, after a signal.
    """
    came = []
    before = {
        number: signal.signal(number, lambda *_: came.append(True))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def follow(group: ProcessGroup) -> None:
    """Wait until the source has ended and the summary is written.

    :param group: from start().
    :raises FacialEmotionError: if a process ended early, with its last lines.
    """
    ended = group.wait_for_any(('media_source', 'emotion_node', 'console_view'))
    if ended is not None and ended.name == 'media_source' and ended.exit_code == 0:
        ended = group.wait_for_any(('console_view', 'emotion_node'), FINISH_S)
    if ended is None:
        raise FacialEmotionError(
            f'expected console_view to end within {FINISH_S:.0f} s after the source, but it '
            'still runs; see log/console_view.log in the output folder'
        )
    if ended.name == 'console_view' and ended.exit_code == 0:
        return
    exit_text = describe_exit(ended.exit_code or 0)
    text = f'{ended.name} ended unexpectedly ({exit_text}). Its last lines:\n{_last_lines(ended)}'
    if ended.name == 'console_view':
        text += f'\nThe last lines of emotion_node:\n{_last_lines(group["emotion_node"])}'
    raise FacialEmotionError(text)


def _last_lines(child):
    return '\n'.join(f'    {line}' for line in child.last_lines()) or '    (it printed nothing)'


def break_off(group: ProcessGroup) -> int:
    """Stop after Ctrl-C; console_view first, as it writes the summary.

    :returns: exit code of the demo.
    """
    print('\nStopping ...', flush=True)
    group['console_view'].signal(signal.SIGINT)
    # Its exit code does not matter: if it had not started yet, there is no summary to write.
    return 1 if group['console_view'].wait(FINISH_S) is None else 0


@report_errors('demo', 'it needs numpy, OpenCV and ONNX Runtime')
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo.

    :param arguments: command line; None for sys.argv.
    :returns: exit code.
    """
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        check_open_files()
        check(options)
        folder = make_output_folder(options.output)
        domain, claim = take_free_domain()
        with claim, tempfile.TemporaryDirectory(prefix='facial_emotion_ros_') as scratch:
            return run(options, folder, domain, Path(scratch))
    except KeyboardInterrupt:
        return 0


def run(options: argparse.Namespace, folder: Path, domain: int, scratch: Path) -> int:
    """Start the processes, wait for their end, and stop those that still run.

    :param options: from parse().
    :param folder: output folder.
    :param domain: ROS domain id.
    :param scratch: folder for parameter files.
    :returns: exit code.
    """
    environ = node_environment(domain, folder / 'log' / 'ros')
    processes = demo_processes(
        source_parameters(options), str(folder), params_file=options.params_file and str(options.params_file.resolve())
    )
    where = ' '.join(f'{name}={environ[name]}' for name in ('ROS_DOMAIN_ID', *LOCALHOST_VARIABLES) if name in environ)
    show(
        f'{PACKAGE} demo. Pictures, summary and logs are written to {folder} only.\n'
        f'To access the topics from another terminal: export {where}\n'
        'Loading the models; then the video starts. Stop with Ctrl-C.',
        flush=True,
    )
    group = start(processes, environ, folder, scratch)
    try:
        follow(group)
        return 0
    except KeyboardInterrupt:
        return break_off(group)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        group.stop()


def _interrupt(_number, _frame):
    raise KeyboardInterrupt


if __name__ == '__main__':
    sys.exit(main())
