"""Executable console_view: installs signal handlers before importing console_view_node.py."""

import sys
from typing import List, Optional

from facial_emotion_ros.ros.stop_signals import end_at_once


def main(args: Optional[List[str]] = None) -> int:
    """Run until the end of the stream, or until SIGINT or SIGTERM.

    :param args: command line; None for sys.argv.
    :returns: exit status: 0 after detections or a signal, 1 without detections, 2 on an error.
    """
    end_at_once()
    from facial_emotion_ros.ros.command_line import printed_help, warn_of_ignored_words

    if printed_help('console_view', args):
        return 0
    warn_of_ignored_words('console_view', args)
    from facial_emotion_ros.ros.demo.console_view_node import ConsoleView
    from facial_emotion_ros.ros.process import run_until_done

    return run_until_done('console_view', ConsoleView, args)


if __name__ == '__main__':
    sys.exit(main())
