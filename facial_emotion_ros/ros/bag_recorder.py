"""Executable record_bag: records the camera and the node's answers, where `ros2 bag record` is not installed.

Importing it takes no time, so that even a signal in the first moment ends it without a traceback.
"""

import argparse
import sys

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.process_memory import keep_big_buffers
from facial_emotion_ros.ros.recording_profile import check_entries, read_profile
from facial_emotion_ros.ros.ros_arguments import not_negative, split_arguments
from facial_emotion_ros.ros.stop_signals import end_at_once
from facial_emotion_ros.startup_checks import check_startup

#: Room of the disk that is left to others.
KEEP_FREE_MB = 256.0


def parse(arguments):
    """Read the command line without what follows --ros-args.

    :param arguments: list of str.
    :returns: argparse.Namespace.
    """
    parser = argparse.ArgumentParser(
        prog='record_bag',
        description='Records topics into a bag (mcap) until Ctrl-C, each as its publisher offers it.',
        epilog='Names are remapped as for every node: --ros-args -r image:=/front/image_raw (camera_info follows the '
               'image). With -p use_sim_time:=true the time of recording is that of /clock.')
    parser.add_argument('--output', required=True, metavar='DIR', help='folder to make')
    parser.add_argument('--topics', nargs='+', metavar='TOPIC', default=(),
                        help='record these in place of the profile; * stands for one part of a name')
    parser.add_argument('--profile', metavar='FILE', default='',
                        help="list of topics in place of the package's own config/recording.yaml")
    parser.add_argument('--seconds', type=not_negative, default=0.0, metavar='S',
                        help='end after so long (default: Ctrl-C)')
    parser.add_argument('--keep-free', type=not_negative, default=KEEP_FREE_MB, metavar='MIB',
                        help='end before the disk has less room than this (default: %g)' % KEEP_FREE_MB)
    return parser.parse_args(arguments)


def main(args=None):
    """
    Record until SIGINT or SIGTERM.

    :param args: command line; None takes the process's own.
    :returns: exit status: 0 when stopped, 1 when the recording cannot be made or goes wrong, 2 for wrong arguments.
    """
    end_at_once()
    keep_big_buffers()
    ours, for_ros = split_arguments(sys.argv[1:] if args is None else list(args))
    options = parse(ours)
    from facial_emotion_ros.ros.bag_recorder_node import BagRecorder
    from facial_emotion_ros.ros.ending_process import run_until_done
    from facial_emotion_ros.ros.recording_file import RecordingFile
    try:
        check_startup(for_ros)  # before a folder is made that would be left behind
        entries = check_entries(list(options.topics), '--topics') if options.topics else read_profile(
            options.profile or find_shared('config', 'recording.yaml'))
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
