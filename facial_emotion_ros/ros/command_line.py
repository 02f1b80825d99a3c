"""Command lines of the executables: own options, ROS arguments, and --help. Does not import ROS."""

import argparse
import importlib
import shlex
import sys
import textwrap
from typing import Callable, List, Optional, Sequence, Tuple

from facial_emotion_ros.core.text import print_while_read, show

#: Upper limit of numbers (seconds, hertz, MiB); in nanoseconds it still fits into 64 bits.
_MOST = 1e9

_INDENT = 6 * ' '

#: Executable without own options -> description, and module and name of its parameter table.
_NODES = {
    'emotion_node': (
        'Estimates the emotions, valence and arousal of the faces in a camera image.',
        'facial_emotion_ros.ros.parameters',
        'TABLE',
    ),
    'media_source': (
        'Publishes the embedded sample, pictures, a video or a webcam as camera images.',
        'facial_emotion_ros.ros.demo.parameters',
        'MEDIA_SOURCE',
    ),
    'console_view': (
        'Prints the faces that emotion_node publishes; optionally saves a video, a picture and summary.json.',
        'facial_emotion_ros.ros.demo.parameters',
        'CONSOLE_VIEW',
    ),
}

#: Options of OpenDR's node, and the corresponding topics here. Source: its facial_emotion_estimation_node, ROS 2.
_OPENDR_TOPICS = (
    ('-i', '--input_rgb_image_topic', 'image'),
    ('-o', '--output_rgb_image_topic', '/opendr/image_emotion_estimation_annotated'),
    ('-e', '--output_emotions_topic', '/opendr/facial_emotion_estimation'),
    ('-m', '--output_emotions_description_topic', '/opendr/facial_emotion_estimation_description'),
)


def opendr_advice(arguments: Optional[Sequence[str]] = None) -> str:
    """Translate a command line of OpenDR's facial emotion node, whose options ROS would ignore.

    :param arguments: command line without the program; None for sys.argv.
    :returns: the equivalent command; '' without such an option.
    """
    words, for_ros = split_arguments(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser('emotion_node', add_help=False, allow_abbrev=False)
    for short, long, topic in _OPENDR_TOPICS:
        parser.add_argument(short, long, dest=topic)
    parser.add_argument('-d', '--device')
    given = {name: value for name, value in vars(parser.parse_known_args(words)[0]).items() if value is not None}
    if not given:
        return ''
    given.setdefault('image', '/image_raw')
    command = ['ros2', 'run', 'facial_emotion_ros', 'emotion_node', '--ros-args', '-p', 'output.opendr:=true']
    if given.pop('device', '').startswith('cuda'):
        command += ['-p', 'inference.providers:=[CUDAExecutionProvider, CPUExecutionProvider]']
    for topic, wanted in given.items():
        if wanted.lower() != 'none' and wanted != topic:
            command += ['-r', '%s:=%s' % (topic, wanted)]
    return ' '.join(shlex.quote(word) for word in command + for_ros[1:])


def printed_help(name: str, arguments: Optional[Sequence[str]] = None) -> bool:
    """Print the help of a node without own options, if the command line asks for it.

    :param name: a key of _NODES.
    :param arguments: command line without the program; None for sys.argv.
    :returns: whether it was printed.
    """
    words = split_arguments(sys.argv[1:] if arguments is None else arguments)[0]
    if '-h' not in words and '--help' not in words:
        return False
    from facial_emotion_ros.ros.parameters import expected

    description, module, table = _NODES[name]
    lines = [
        'usage: %s [--help] [--ros-args [-p NAME:=VALUE] [-r FROM:=TO] [--params-file FILE] ...]' % name,
        '',
        description,
        '',
        'parameters:',
    ]
    for row in getattr(importlib.import_module(module), table):
        lines.append('  %s (default: %s)' % (row.name, row.default if row.default != '' else "''"))
        text = row.description
        if row.choices or row.limits:
            values = expected(row)
            text += ' %s.' % (values[0].upper() + values[1:])
        lines += textwrap.wrap(text, 100, initial_indent=_INDENT, subsequent_indent=_INDENT)
    print_while_read('\n'.join(lines))
    return True


def warn_of_ignored_words(name: str, arguments: Optional[Sequence[str]] = None) -> None:
    """Print a warning to stderr about arguments without effect, such as parameters without --ros-args before them.

    :param name: of an executable without own options.
    :param arguments: command line without the program; None for sys.argv.
    """
    words = split_arguments(sys.argv[1:] if arguments is None else arguments)[0]
    ignored = [word for word in words if ':=' not in word]  # ROS accepts a:=b as a remapping anywhere
    if ignored:
        show('%s: ignored %s; ROS arguments must follow --ros-args' % (name, ' '.join(ignored)), file=sys.stderr)


def split_arguments(arguments: Sequence[str]) -> Tuple[List[str], List[str]]:
    """Split a command line into own and ROS arguments; rclpy would also remove words like a:=b outside --ros-args.

    :param arguments: command line without the program.
    :returns: (words outside --ros-args ... [--], ROS arguments with one leading --ros-args).
    """
    ours: List[str] = []
    for_ros: List[str] = []
    is_ours = True
    for word in arguments:
        if word == '--ros-args':
            is_ours = False
        elif word == '--' and not is_ours:
            is_ours = True
        else:
            (ours if is_ours else for_ros).append(word)
    return ours, ['--ros-args'] + for_ros if for_ros else []


def positive(text: str) -> float:
    """Parse a number above 0, as argparse's `type`."""
    return _number(text, lambda value: 0 < value < _MOST, 'a positive number')


def not_negative(text: str) -> float:
    """Parse a number of 0 or more, as argparse's `type`."""
    return _number(text, lambda value: 0 <= value < _MOST, 'a number of 0 or more')


def count(text: str) -> int:
    """Parse an integer of 0 or more, as argparse's `type`."""
    return int(_number(text, lambda value: 0 <= value < _MOST and value == int(value), 'an integer of 0 or more'))


def _number(text: str, accepts: Callable[[float], bool], expected: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float('nan')
    if not accepts(value):
        raise argparse.ArgumentTypeError('expected %s, below 1e9, got %s' % (expected, text))
    return value
