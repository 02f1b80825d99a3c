"""Create a small sample recording: `ros2 run facial_emotion_ros make_sample_bag DIR`."""

import argparse
import sys
from collections.abc import Sequence

from facial_emotion_ros.cli.common.arguments import number
from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.text import show
from facial_emotion_ros.demo.sample_video import LENGTH_S


def parser() -> argparse.ArgumentParser:
    """Return the command's argument parser."""
    arguments = argparse.ArgumentParser(
        prog='make_sample_bag',
        description='Write the embedded video (three portraits in the public domain) as a '
        'recording, with the ground truth of its faces on /annotation/faces.',
    )
    arguments.add_argument('bag', metavar='DIR', help='new folder')
    arguments.add_argument('--seconds', type=number(0.001, 86400), default=LENGTH_S, help='default: %(default)s')
    arguments.add_argument(
        '--rate', type=number(0.001, 240), default=10.0, metavar='HZ', help='images per second; default: %(default)s'
    )
    arguments.add_argument(
        '--people',
        type=int,
        choices=(1, 3),
        default=3,
        help='3 that come and go, or 1 that stays; default: %(default)s',
    )
    arguments.add_argument(
        '--transport', choices=('compressed', 'raw'), default='compressed', help='default: %(default)s (JPEG)'
    )
    arguments.add_argument('--storage', choices=('mcap', 'sqlite3'), default='mcap', help='default: %(default)s')
    return arguments


@report_errors('make_sample_bag', 'recordings need rosbags')
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    :param argv: arguments; None for the process's own.
    :returns: exit code: 0 when written, 1 for bad input, 2 for wrong options.
    """
    from facial_emotion_ros.recordings.io.sample_bag import ANNOTATION, write_sample_bag

    options = parser().parse_args(argv)
    count = write_sample_bag(
        options.bag, options.seconds, options.rate, options.transport, storage=options.storage, people=options.people
    )
    show(
        f'{options.bag}: {count} images. To evaluate it:\n'
        f'  python -m facial_emotion_ros.cli.evaluate_recording {options.bag} --truth {ANNOTATION} --output out'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
