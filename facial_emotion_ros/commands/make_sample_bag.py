"""Make a small recording to try things with: `ros2 run facial_emotion_ros make_sample_bag DIR`."""

import argparse
import re
import sys

from facial_emotion_ros.commands.errors_told import tells_errors
from facial_emotion_ros.errors import BadParameter
from facial_emotion_ros.plain_text import show
from facial_emotion_ros.sample_film import LENGTH_S


def parser():
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='make_sample_bag', description='Write the embedded film (three portraits in the public domain) as a '
        'recording, with what its faces show on /annotation/faces.')
    arguments.add_argument('bag', metavar='DIR', help='folder to make')
    arguments.add_argument('--seconds', type=float, default=LENGTH_S, help='default: %(default)s')
    arguments.add_argument('--rate', type=float, default=10.0, metavar='HZ', help='images a second; default: '
                           '%(default)s')
    arguments.add_argument('--size', default='640x480', metavar='WxH', help='default: %(default)s')
    arguments.add_argument('--people', type=int, choices=(1, 3), default=3, help='3 who come and go, or 1 who stays; '
                           'default: %(default)s')
    arguments.add_argument('--transport', choices=('compressed', 'raw'), default='compressed',
                           help='default: %(default)s (JPEG)')
    arguments.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap', help='default: %(default)s')
    return arguments


@tells_errors('make_sample_bag', 'recordings need rosbags (pip install rosbags)')
def main(argv=None):
    """Run the command.

    :param argv: list of arguments; None for the process's own.
    :returns: exit code: 0 when written, 1 for bad input.
    """
    from facial_emotion_ros.bags.sample_bag import ANNOTATION, write_sample_bag

    asked = parser().parse_args(argv)
    width, _, height = asked.size.partition('x')
    if not (re.fullmatch('[0-9]{2,4}x[0-9]{2,4}', asked.size) and 64 <= min(int(width), int(height))
            and max(int(width), int(height)) <= 8192):
        raise BadParameter(f'--size expected as WIDTHxHEIGHT, each of 64 to 8192 px, got {asked.size}')
    if not (0 < asked.seconds <= 86400 and 0 < asked.rate <= 240):
        raise BadParameter('--seconds of more than 0 up to 86400 and --rate of more than 0 up to 240 expected, got '
                           f'{asked.seconds:g} and {asked.rate:g}')
    count = write_sample_bag(asked.bag, asked.seconds, asked.rate, asked.transport, int(width), int(height),
                             asked.storage, asked.people)
    show(f'{asked.bag}: {count} images. To see what is read in them:\n'
          f'  python -m facial_emotion_ros.commands.evaluate_bag {asked.bag} --truth {ANNOTATION} --output out')
    return 0


if __name__ == '__main__':
    sys.exit(main())
