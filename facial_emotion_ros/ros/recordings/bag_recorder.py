"""Executable record_bag: records the camera and the node's outputs where `ros2 bag record` is not installed.

It installs signal handlers before importing bag_recorder_node.py.
"""

import argparse
import sys
from typing import List, Optional, Sequence

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.ros.command_line import not_negative, split_arguments
from facial_emotion_ros.ros.recordings.recording_profile import check_entries, read_profile
from facial_emotion_ros.ros.stop_signals import end_at_once
from facial_emotion_ros.system.environment_checks import check_startup
from facial_emotion_ros.system.memory import keep_big_buffers

#: Disk space to leave free, in MiB.
KEEP_FREE_MB = 256.0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line without ROS arguments."""
    parser = argparse.ArgumentParser(
        prog='record_bag',
        description="Records topics into a bag (mcap) until Ctrl-C, with their publishers' QoS.",
        epilog='Remap topics as for any node: --ros-args -r image:=/front/image_raw (camera_info follows the image). '
        'With -p use_sim_time:=true, messages are recorded with the time of /clock.',
    )
    add = parser.add_argument
    add('--output', required=True, metavar='DIR', help='folder to create')
    add(
        '--topics',
        nargs='+',
        metavar='TOPIC',
        default=(),
        help='record these instead of the profile; * matches one part of a name',
    )
    add(
        '--profile',
        metavar='FILE',
        default='',
        help="list of topics instead of the package's config/recording.yaml",
    )
    add('--seconds', type=not_negative, default=0.0, metavar='S', help='end after this time (default: at Ctrl-C)')
    add(
        '--keep-free',
        type=not_negative,
        default=KEEP_FREE_MB,
        metavar='MIB',
        help='end before the disk has less than this free (default: %g)' % KEEP_FREE_MB,
    )
    return parser.parse_args(arguments)


def main(args: Optional[List[str]] = None) -> int:
    """Record until SIGINT or SIGTERM.

    :param args: command line; None for sys.argv.
    :returns: exit status: 0 when stopped, 1 if recording fails, 2 for wrong arguments.
    """
    end_at_once()
    keep_big_buffers()
    ours, for_ros = split_arguments(sys.argv[1:] if args is None else args)
    options = parse(ours)
    from facial_emotion_ros.ros.process import run_until_done
    from facial_emotion_ros.ros.recordings.bag_recorder_node import BagRecorder
    from facial_emotion_ros.ros.recordings.recording_file import RecordingFile

    try:
        check_startup(for_ros)  # before the folder is created
        entries = (
            check_entries(list(options.topics), '--topics')
            if options.topics
            else read_profile(options.profile or find_shared('config', 'recording.yaml'))
        )
        recording = RecordingFile(options.output, options.keep_free)
        try:
            return run_until_done('record_bag', lambda: BagRecorder(recording, entries, options.seconds), for_ros)
        finally:
            recording.close()
    except FacialEmotionError as error:
        print('record_bag: %s' % error, file=sys.stderr, flush=True)
        return 1


if __name__ == '__main__':
    sys.exit(main())
