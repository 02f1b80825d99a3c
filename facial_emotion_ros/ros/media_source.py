"""Executable media_source: plays the embedded sample, pictures, a video or a webcam as a camera of the robot.

Importing it takes no time, so that even a signal in the first moment ends it without a traceback.
"""

import sys

from facial_emotion_ros.ros.stop_signals import end_at_once


def main(args=None):
    """
    Run until the end of the stream, or until SIGINT or SIGTERM.

    :param args: command line; None takes the process's own.
    :returns: exit status: 0 at the end or when stopped, 2 when what shall be played cannot be.
    """
    end_at_once()
    from facial_emotion_ros.ros.ending_process import run_until_done
    from facial_emotion_ros.ros.media_source_node import MediaSource
    return run_until_done('media_source', MediaSource, args)


if __name__ == '__main__':
    sys.exit(main())
