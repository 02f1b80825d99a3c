"""scripts/demo: play something as a camera to the real node, show its output, and end with a summary."""

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

#: Time after the source's end for the last images, the end of the video and the summary.
FINISH_S = 30.0

EPILOG = """
what it does
  Three processes, the same that `ros2 launch facial_emotion_ros demo.launch.py` starts: media_source plays the video,
  the pictures, the video or the camera on a ROS topic; emotion_node finds the faces and publishes emotions and affect;
  console_view reads those topics and prints a line per face and second. They communicate in a ROS domain of their own
  that does not leave this machine.

what it writes
  Into the output folder, and nowhere else: annotated.mp4 (or .avi, or a folder of pictures where no encoder is found),
  annotated.jpg (the picture with the most faces), summary.json (frames, ages, every face's emotion, for --images every
  picture's), log/ (what the three processes logged). The node itself stores no image.

how it ends
  By itself at the end of what it plays, or by Ctrl-C: both write the summary. The exit code is 0 when images were
  answered, 1 when a process failed (its last lines are shown), 2 for a wrong option.

examples
  scripts/demo                                  the embedded sample: three public-domain portraits, 24 s
  scripts/demo --images ~/Pictures/faces        every picture of a folder, two seconds each
  scripts/demo --video talk.mp4 --output out    a video file, at its own speed
  scripts/demo --camera 0 --duration 60         the first webcam, for a minute

The scores describe what a face looks like to a network, not what a person feels. Inferring emotions at work or in
education is prohibited in the European Union, save for medical or safety reasons (Regulation (EU) 2024/1689,
Art. 5(1)(f)).
"""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line; None takes the process's own."""
    name = 'demo' if os.path.basename(sys.argv[0]) == 'demo' else 'scripts/demo'  # by `ros2 run`, or in a checkout
    parser = UrlParser(
        prog=name,
        description='Show facial_emotion_ros at work on a real ROS 2 graph.',
        epilog=EPILOG.replace('scripts/demo', name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        '--images', metavar='PATH', help='play a picture, or those of a folder in the order of their names'
    )
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
    parser.add_argument('--duration', metavar='S', type=positive, default=0.0, help='end after this many seconds')
    parser.add_argument(
        '--rate',
        metavar='HZ',
        type=positive,
        default=0.0,
        help='images per second (default: 10, or what the video or camera has)',
    )
    parser.add_argument(
        '--seconds-each',
        metavar='S',
        type=positive,
        default=2.0,
        help='how long each picture of --images is shown (default: 2)',
    )
    parser.add_argument('--loop', action='store_true', help='start again at the end, until --duration or Ctrl-C')
    parser.add_argument(
        '--params-file', metavar='FILE', type=Path, help="parameter file for emotion_node in place of the package's own"
    )
    return parser.parse_args(arguments)


def check(options: argparse.Namespace) -> None:
    """Check the options, before anything is started.

    :param options: of parse().
    :raises BadParameter: for a value that media_source would refuse, or a file that does not exist.
    """
    from facial_emotion_ros.ros.demo.parameters import MEDIA_SOURCE  # --help needs no packages
    from facial_emotion_ros.ros.parameters import check_value

    given = source_parameters(options)
    for row in MEDIA_SOURCE:
        if row.name in given:
            check_value(row, given[row.name])
    for option, exists in (('images', os.path.exists), ('video', os.path.isfile)):
        path = getattr(options, option)
        if path is not None and not exists(path):
            wanted = 'a picture or a folder of them' if option == 'images' else 'a video file'
            raise BadParameter(f'--{option}: expected {wanted}, got {public_address(path)!r}, which is none')
    if options.params_file is not None:
        expect_file(str(options.params_file), '--params-file')
    for path in (given.get('source.path', ''), os.path.abspath(options.output or '')):
        try:
            path.encode('utf-8')
        except UnicodeEncodeError:
            raise BadParameter(
                f'expected a path in UTF-8, for ROS takes no other, got {public_address(path)!r}; rename it'
            ) from None


def source_parameters(options: argparse.Namespace) -> dict[str, Any]:
    """Turn the options into parameters of media_source."""
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
    """Make the output folder.

    :param wanted: None for a new one below ./demo_output.
    :returns: absolute; it has a folder log.
    :raises BadParameter: if it cannot be made.
    """
    folder = wanted or Path('demo_output', datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S'))
    try:
        (folder / 'log').mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadParameter(
            f'expected a folder that can be written, but {folder} cannot be made '
            f'({error.strerror}); name another with --output'
        ) from None
    return folder.resolve()


def command_line(process: NodeProcess, scratch: Path) -> list[str]:
    """Write the command that a launch would run for a process.

    :param process: to start.
    :param scratch: folder for its parameters.
    """
    # Like a launch, through a file: a parameter on the command line is read as YAML, which a path need not be.
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
    """Write JSON that YAML reads alike: characters beyond 16 bits as themselves, not as two escapes."""
    pair = r'\\ud[89ab]\w\w\\ud[c-f]\w\w'
    return re.sub(pair, lambda found: json.loads(f'"{found.group()}"'), json.dumps(value))


def start(processes: Sequence[NodeProcess], environ: dict[str, str], folder: Path, scratch: Path) -> ProcessGroup:
    """Start the processes, the last first, so that none misses the beginning.

    :param processes: of demo_processes().
    :param environ: of each.
    :param folder: for the output.
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
    """Hold signals back until the block has ended: a child that has just started would be left behind.

    :raises KeyboardInterrupt: at the end, if one came.
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
    """Wait until the stream has ended and the summary is written.

    :param group: of start().
    :raises FacialEmotionError: if a process ended before its time, with its last lines.
    """
    ended = group.wait_for_any(('media_source', 'emotion_node', 'console_view'))
    if ended is not None and ended.name == 'media_source' and ended.exit_code == 0:
        ended = group.wait_for_any(('console_view', 'emotion_node'), FINISH_S)
    if ended is None:
        raise FacialEmotionError(
            f'expected console_view to end within {FINISH_S:.0f} s of the stream, but it '
            'still runs; look at log/console_view.log in the output folder'
        )
    if ended.name == 'console_view' and ended.exit_code == 0:
        return
    exit_text = describe_exit(ended.exit_code or 0)
    text = f'{ended.name} ended before its time ({exit_text}). Its last lines:\n{_last_lines(ended)}'
    if ended.name == 'console_view':
        text += f'\nThe last lines of emotion_node:\n{_last_lines(group["emotion_node"])}'
    raise FacialEmotionError(text)


def _last_lines(child):
    return '\n'.join(f'    {line}' for line in child.last_lines()) or '    (it printed nothing)'


def break_off(group: ProcessGroup) -> int:
    """End after Ctrl-C: the console view first, since it writes the summary.

    :returns: exit status of the demo.
    """
    print('\nEnding ...', flush=True)
    group['console_view'].signal(signal.SIGINT)
    # How it ended does not matter: before it had started there was no summary to write.
    return 1 if group['console_view'].wait(FINISH_S) is None else 0


@report_errors('demo', 'it needs numpy, OpenCV and ONNX Runtime')
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; None takes the process's own command line.

    :returns: exit status.
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
    """Start the processes, wait for their end, and stop what is left.

    :param options: of parse().
    :param folder: for the output.
    :param domain: ROS domain id.
    :param scratch: folder for parameter files.
    :returns: exit status.
    """
    environ = node_environment(domain, folder / 'log' / 'ros')
    processes = demo_processes(
        source_parameters(options), str(folder), params_file=options.params_file and str(options.params_file.resolve())
    )
    where = ' '.join(f'{name}={environ[name]}' for name in ('ROS_DOMAIN_ID', *LOCALHOST_VARIABLES) if name in environ)
    show(
        f'{PACKAGE} demo. Pictures, summary and logs go to {folder} and nowhere else.\n'
        f'To watch from another terminal: export {where}\n'
        'Starting: the models are loaded and checked, then the video starts. Ctrl-C ends it.',
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
