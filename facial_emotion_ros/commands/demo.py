"""scripts/demo: play something as a camera to the real node, watch its answers, and end with a summary."""
import argparse
import contextlib
import datetime
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

from facial_emotion_ros.demo_graph import LOCALHOST_VARIABLES, demo_processes, transport_environment
from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.installed_files import PACKAGE, find_executable
from facial_emotion_ros.startup_checks import check_open_files
from facial_emotion_ros.supervision import Child, Family, describe_exit, private_environment, take_free_domain

#: After the source's end: what is in work is answered, the console view sees silence, encodes the rest and writes.
FINISH_S = 30.0

EPILOG = """
what it does
  Three processes, the same that `ros2 launch facial_emotion_ros demo.launch.py` starts: media_source plays the film,
  the pictures, the video or the camera on a ROS topic; emotion_node finds the faces and publishes emotions and affect;
  console_view reads those topics and prints a line per face and second. They speak in a ROS domain of their own that
  does not leave this machine.

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

The scores say what a face looks like to a network, not what a person feels. Inferring emotions at work or in education
is prohibited in the European Union, save for medical or safety reasons (Regulation (EU) 2024/1689, Art. 5(1)(f)).
"""


def parse(arguments=None):
    """
    Read the command line.

    :param arguments: list of str; None takes the process's own.
    :returns: argparse.Namespace.
    """
    parser = argparse.ArgumentParser(
        prog='scripts/demo', description='Show what facial_emotion_ros reads from faces, on a real ROS 2 graph.',
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--images', metavar='PATH',
                        help='play a picture, or those of a folder in the order of their names')
    source.add_argument('--video', metavar='FILE', help='play a video file, at its own speed')
    source.add_argument('--camera', metavar='N', nargs='?', const='0',
                        help='play a webcam: its number (default 0), or a device or stream address')
    parser.add_argument('--output', metavar='DIR', type=Path,
                        help='folder for film, picture, summary and logs (default: ./demo_output/<date and time>)')
    parser.add_argument('--duration', metavar='S', type=_positive, default=0.0, help='end after this many seconds')
    parser.add_argument('--rate', metavar='HZ', type=_positive, default=0.0,
                        help='images per second (default: 10, or what the video or camera has)')
    parser.add_argument('--seconds-each', metavar='S', type=_positive, default=2.0,
                        help='how long each picture of --images is shown (default: 2)')
    parser.add_argument('--loop', action='store_true', help='start again at the end, until --duration or Ctrl-C')
    parser.add_argument('--params-file', metavar='FILE', type=Path,
                        help="parameter file for emotion_node in place of the package's own")
    return parser.parse_args(arguments)


def _positive(text):
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f'expected a positive number, got {text}')
    return value


def source_parameters(options):
    """
    Turn the options into parameters of media_source.

    :param options: of parse().
    :returns: dict.
    """
    parameters = {'source.kind': 'sample', 'rate_hz': options.rate, 'duration_s': options.duration,
                  'loop': options.loop, 'source.seconds_each': options.seconds_each}
    if options.images is not None:
        parameters.update({'source.kind': 'images', 'source.path': os.path.abspath(options.images)})
    elif options.video is not None:
        parameters.update({'source.kind': 'video', 'source.path': os.path.abspath(options.video)})
    elif options.camera is not None:
        parameters['source.kind'] = 'camera'
        parameters.update({'source.camera': int(options.camera)} if options.camera.isdigit()
                          else {'source.path': options.camera})
    return parameters


def make_output_folder(wanted):
    """
    Make the folder that everything goes to.

    :param wanted: Path, or None for one of its own below ./demo_output.
    :returns: absolute Path; it has a folder log.
    :raises FacialEmotionError: it cannot be made.
    """
    folder = wanted or Path('demo_output', datetime.datetime.now().strftime('%Y-%m-%d_%H-%M-%S'))
    try:
        (folder / 'log').mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FacialEmotionError(f'expected a folder that can be written, but {folder} cannot be made '
                                 f'({error.strerror}); name another with --output') from None
    return folder.resolve()


def command_line(process, scratch):
    """
    Write the command that a launch would run for a process.

    :param process: NodeProcess.
    :param scratch: Path of a folder for its parameters.
    :returns: list of str.
    """
    # Like a launch, through a file: a parameter on the command line is read as YAML, which a path need not be.
    overrides = scratch / f'{process.name}.yaml'
    overrides.write_text(json.dumps({'/**': {'ros__parameters': dict(process.parameters)}}))
    program = find_executable(process.executable)
    command = [program] if program else [sys.executable, '-m', process.module]
    command += ['--ros-args']
    for path in (*process.parameter_files, overrides):
        command += ['--params-file', str(path)]
    for before, after in process.remappings:
        command += ['-r', f'{before}:={after}']
    return command


def start(processes, environ, folder, scratch):
    """
    Start the processes, the last first, so that nobody misses the beginning.

    :param processes: of demo_processes().
    :param environ: environment of each.
    :param folder: output folder.
    :param scratch: folder for parameter files.
    :returns: Family.
    """
    family = Family()
    try:
        for process in reversed(processes):
            with interrupts_held_back():
                family.add(Child(process.name, command_line(process, scratch), environ,
                                 str(folder / 'log' / f'{process.name}.log'),
                                 shows_lines=process.name == 'console_view'))
    except BaseException:
        family.stop()
        raise
    return family


@contextlib.contextmanager
def interrupts_held_back():
    """
    Keep Ctrl-C and its like waiting meanwhile: a child that has started but is not in the family would be left behind.

    :raises KeyboardInterrupt: at the end, if one came.
    """
    came = []
    before = {number: signal.signal(number, lambda *_: came.append(True))
              for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


def follow(family):
    """
    Watch until the stream has ended and the summary is written.

    :param family: of start().
    :raises FacialEmotionError: a process ended before its time, with its last lines.
    """
    ended = family.wait_for_any(('media_source', 'emotion_node', 'console_view'))
    if ended.name == 'media_source' and ended.exit_code == 0:
        ended = family.wait_for_any(('console_view', 'emotion_node'), FINISH_S)
        if ended is None:
            raise FacialEmotionError(f'expected console_view to end within {FINISH_S:.0f} s of the stream, but it '
                                     'still runs; look at log/console_view.log in the output folder')
    if ended.name == 'console_view' and ended.exit_code == 0:
        return
    told = '\n'.join(f'    {line}' for line in ended.last_lines()) or '    (it said nothing)'
    text = f'{ended.name} ended before its time ({describe_exit(ended.exit_code)}). Its last lines:\n{told}'
    if ended.name == 'console_view':
        told = '\n'.join(f'    {line}' for line in family['emotion_node'].last_lines()) or '    (it said nothing)'
        text += f'\nThe last lines of emotion_node:\n{told}'
    raise FacialEmotionError(text)


def break_off(family):
    """
    End after Ctrl-C: the console view first, since it has the summary to write.

    :param family: of start().
    :returns: exit status of the demo.
    """
    print('\nEnding ...', flush=True)
    family['console_view'].tell(signal.SIGINT)
    # How it ended does not matter: before its start was complete it had nothing to sum up.
    return 1 if family['console_view'].wait(FINISH_S) is None else 0


def main(arguments=None):
    """
    Run the demo.

    :param arguments: command line; None takes the process's own.
    :returns: exit status.
    """
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        check_open_files()
        folder = make_output_folder(options.output)
        domain, claim = take_free_domain()
        with claim, tempfile.TemporaryDirectory(prefix='facial_emotion_ros_') as scratch:
            return run(options, folder, domain, Path(scratch))
    except FacialEmotionError as error:
        print(f'demo: {error}', file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        return 0


def run(options, folder, domain, scratch):
    """
    Start, follow, and leave nothing behind.

    :param options: of parse().
    :param folder: output folder.
    :param domain: ROS domain id.
    :param scratch: folder for parameter files.
    :returns: exit status.
    """
    environ = private_environment({**os.environ, **transport_environment()}, domain)
    environ.update(ROS_LOG_DIR=str(folder / 'log' / 'ros'), RCUTILS_COLORIZED_OUTPUT='0', PYTHONUNBUFFERED='1')
    if not find_executable('emotion_node'):
        checkout = str(Path(__file__).resolve().parents[2])
        environ['PYTHONPATH'] = os.pathsep.join(filter(None, (checkout, environ.get('PYTHONPATH'))))
    processes = demo_processes(source_parameters(options), str(folder),
                               params_file=options.params_file and str(options.params_file.resolve()))
    where = ' '.join(f'{name}={environ[name]}' for name in ('ROS_DOMAIN_ID', *LOCALHOST_VARIABLES) if name in environ)
    print(f'{PACKAGE} demo. Pictures, summary and logs go to {folder} and nowhere else.\n'
          f'To look on from another terminal: export {where}\n'
          'Starting: the models are loaded and checked, then the film begins. Ctrl-C ends it.', flush=True)
    family = start(processes, environ, folder, scratch)
    try:
        follow(family)
        return 0
    except KeyboardInterrupt:
        return break_off(family)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        family.stop()


def _interrupt(_number, _frame):
    raise KeyboardInterrupt


if __name__ == '__main__':
    sys.exit(main())
