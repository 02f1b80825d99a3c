"""The command line of an executable with options of its own: which words are for ROS, and numbers that make sense."""

import argparse

#: Above all that is asked for in seconds, times, hertz or MiB; as nanoseconds it still fits into 64 bits.
_MOST = 1e9


def split_arguments(arguments):
    """Take apart a command line, without rclpy, which counts words like a:=b as its own wherever they stand.

    :param arguments: list of str.
    :returns: (the words outside --ros-args ... [--], the words for ROS with --ros-args before them).
    """
    ours, for_ros, is_ours = [], [], True
    for word in arguments:
        if word == '--ros-args':
            is_ours = False
        elif word == '--' and not is_ours:
            is_ours = True
        else:
            (ours if is_ours else for_ros).append(word)
    return ours, ['--ros-args'] + for_ros if for_ros else []


def positive(text):
    """Read a number above 0, as argparse's `type`.

    :param text: str.
    :returns: float.
    """
    return _number(text, lambda value: 0 < value < _MOST, 'a positive number')


def not_negative(text):
    """Read a number from 0 on, as argparse's `type`.

    :param text: str.
    :returns: float.
    """
    return _number(text, lambda value: 0 <= value < _MOST, 'a number from 0 on')


def count(text):
    """Read a whole number from 0 on, as argparse's `type`.

    :param text: str.
    :returns: int.
    """
    return int(_number(text, lambda value: 0 <= value < _MOST and value == int(value), 'a whole number from 0 on'))


def _number(text, accepts, expected):
    try:
        value = float(text)
    except ValueError:
        value = float('nan')
    if not accepts(value):
        raise argparse.ArgumentTypeError('expected %s, below 1e9, got %s' % (expected, text))
    return value
