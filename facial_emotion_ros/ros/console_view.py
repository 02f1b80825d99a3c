"""Executable console_view: a readable line per face and second; film, picture and summary.json in a named folder.

Importing it takes no time, so that even a signal in the first moment ends it without a traceback.
"""

import sys

from facial_emotion_ros.ros.stop_signals import end_at_once


def main(args=None):
    """
    Run until the end of the stream, or until SIGINT or SIGTERM.

    :param args: command line; None takes the process's own.
    :returns: exit status: 0 when something was answered or a person broke off, 1 when nothing was, 2 on an error.
    """
    end_at_once()
    from facial_emotion_ros.ros.console_view_node import ConsoleView
    from facial_emotion_ros.ros.ending_process import run_until_done
    return run_until_done('console_view', ConsoleView, args)


if __name__ == '__main__':
    sys.exit(main())
