"""Executable play_bag: plays a recording where `ros2 bag play` is not installed.

It installs signal handlers before importing bag_player_node.py.
"""

import argparse
import sys
from typing import List, Optional, Sequence

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.text import show
from facial_emotion_ros.ros.command_line import count, not_negative, positive, split_arguments
from facial_emotion_ros.ros.stop_signals import end_at_once
from facial_emotion_ros.system.environment_checks import check_startup
from facial_emotion_ros.system.memory import keep_big_buffers

#: Default rate of /clock. Source: `ros2 bag play --help`.
CLOCK_HZ = 40.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line without ROS arguments."""
    parser = argparse.ArgumentParser(
        prog='play_bag',
        description='Plays a recording on the ROS graph: topics, messages and intervals as recorded.',
        epilog='Remap topics with --remap, or as for any node: --ros-args -r /camera/image_raw:=/image',
    )
    add = parser.add_argument
    add('bag', help='folder or file of the recording')
    add('--topics', nargs='+', metavar='TOPIC', default=(), help='play only these (default: all)')
    add('--rate', type=positive, default=1.0, help='playback speed factor (default: 1)')
    add('--loop', action='store_true', help='restart at the end')
    add('--start', type=not_negative, default=0.0, metavar='S', help='skip the first S seconds')
    add(
        '--clock',
        type=positive,
        nargs='?',
        const=CLOCK_HZ,
        default=0.0,
        metavar='HZ',
        help='publish the time of the recording on /clock (HZ: %g)' % CLOCK_HZ,
    )
    add('--remap', nargs='+', metavar='A:=B', default=(), help='publish topic A as B')
    add('--wait-for', type=count, default=0, metavar='N', help='start when a camera of the recording has N subscribers')
    add(
        '--patience',
        type=positive,
        default=30.0,
        metavar='S',
        help='wait this long for them, then end with an error (default: 30)',
    )
    add('--stamp-now', action='store_true', help='shift header stamps from the time of recording to now, as if live')
    add(
        '--ledger',
        metavar='FILE',
        default='',
        help='write a CSV row for each message that has a header: topic, stamps, time of publication',
    )
    options = parser.parse_args(arguments)
    for rule in options.remap:
        if ':=' not in rule:
            parser.error("--remap: expected A:=B, got '%s'" % rule)
    if options.stamp_now and options.clock:
        parser.error('expected --stamp-now or --clock, got both: they use the current and the recorded time')
    return options


def main(args: Optional[List[str]] = None) -> int:
    """Play until the end, or until SIGINT or SIGTERM.

    :param args: command line; None for sys.argv.
    :returns: exit status: 0 at the end or when stopped, 1 if the recording cannot be played, 2 for wrong arguments.
    """
    end_at_once()
    keep_big_buffers()
    ours, for_ros = split_arguments(sys.argv[1:] if args is None else args)
    options = parse(ours)
    rules = [word for rule in options.remap for word in ('--ros-args', '-r', rule)]
    from facial_emotion_ros.ros.process import run_until_done
    from facial_emotion_ros.ros.recordings.bag_player_node import BagPlayer

    try:
        check_startup(for_ros)
        from facial_emotion_ros.recordings.io.bag_file import BagFile

        with BagFile(options.bag) as bag:
            return run_until_done('play_bag', lambda: BagPlayer(bag, options), for_ros + rules, sends_images=True)
    except (FacialEmotionError, OSError) as error:
        show('play_bag: %s' % error, file=sys.stderr, flush=True)
        return 1


if __name__ == '__main__':
    sys.exit(main())
