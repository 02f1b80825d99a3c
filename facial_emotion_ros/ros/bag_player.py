"""Executable play_bag: plays a recording on the graph as it was recorded, where `ros2 bag play` is not installed.

Importing it takes no time, so that even a signal in the first moment ends it without a traceback.
"""

import argparse
import os
import sys

from facial_emotion_ros.demo_graph import transport_environment
from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.plain_text import show
from facial_emotion_ros.process_memory import keep_big_buffers
from facial_emotion_ros.ros.ros_arguments import count, not_negative, positive, split_arguments
from facial_emotion_ros.ros.stop_signals import end_at_once
from facial_emotion_ros.startup_checks import check_startup

#: How often /clock comes where that is not said. Source: `ros2 bag play --help`.
CLOCK_HZ = 40.0


def parse(arguments):
    """Read the command line without what follows --ros-args.

    :param arguments: list of str.
    :returns: argparse.Namespace.
    """
    parser = argparse.ArgumentParser(
        prog='play_bag', description='Plays a recording on the ROS graph: topics, messages and intervals as recorded.',
        epilog='Names are remapped by --remap, or as for every node: --ros-args -r /camera/image_raw:=/image')
    parser.add_argument('bag', help='folder or file of the recording')
    parser.add_argument('--topics', nargs='+', metavar='TOPIC', default=(), help='play these alone (default: all)')
    parser.add_argument('--rate', type=positive, default=1.0, help='how many times faster (default: 1)')
    parser.add_argument('--loop', action='store_true', help='begin again at the end')
    parser.add_argument('--start', type=not_negative, default=0.0, metavar='S', help='leave out the first S seconds')
    parser.add_argument('--clock', type=positive, nargs='?', const=CLOCK_HZ, default=0.0, metavar='HZ',
                        help="publish the recording's time on /clock (HZ: %g)" % CLOCK_HZ)
    parser.add_argument('--remap', nargs='+', metavar='A:=B', default=(), help='publish topic A as B')
    parser.add_argument('--wait-for', type=count, default=0, metavar='N',
                        help='begin when a camera of the recording has N readers')
    parser.add_argument('--patience', type=positive, default=30.0, metavar='S',
                        help='wait for them so long, then end with an error (default: 30)')
    parser.add_argument('--stamp-now', action='store_true',
                        help='move the stamps of headers from the time of recording to now, as if it were live')
    parser.add_argument('--ledger', metavar='FILE', default='',
                        help='write a line for each message with a header: which, its stamps, when it was published')
    options = parser.parse_args(arguments)
    for rule in options.remap:
        if ':=' not in rule:
            parser.error("--remap: expected A:=B, got '%s'" % rule)
    if options.stamp_now and options.clock:
        parser.error('--stamp-now and --clock: expected one of them, for the time is now or that of the recording')
    return options


def main(args=None):
    """
    Play until the end, or until SIGINT or SIGTERM.

    :param args: command line; None takes the process's own.
    :returns: exit status: 0 at the end or when stopped, 1 when the recording cannot be played, 2 for wrong arguments.
    """
    end_at_once()
    keep_big_buffers()
    # Images are larger than the middleware's own segment of shared memory.
    os.environ.update(transport_environment())
    ours, for_ros = split_arguments(sys.argv[1:] if args is None else list(args))
    options = parse(ours)
    rules = [word for rule in options.remap for word in ('--ros-args', '-r', rule)]
    from facial_emotion_ros.ros.bag_player_node import BagPlayer
    from facial_emotion_ros.ros.ending_process import run_until_done
    try:
        check_startup(for_ros)
        from facial_emotion_ros.bags.bag_file import BagFile
        with BagFile(options.bag) as bag:
            return run_until_done('play_bag', lambda: BagPlayer(bag, options), for_ros + rules)
    except (FacialEmotionError, OSError) as error:
        show('play_bag: %s' % error, file=sys.stderr, flush=True)
        return 1


if __name__ == '__main__':
    sys.exit(main())
