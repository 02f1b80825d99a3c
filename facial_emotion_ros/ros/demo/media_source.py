"""Executable media_source: installs signal handlers before importing media_source_node.py."""

import sys
from typing import List, Optional

from facial_emotion_ros.ros.stop_signals import end_at_once


def main(args: Optional[List[str]] = None) -> int:
    """Run until the end of the stream, or until SIGINT or SIGTERM.

    :param args: command line; None for sys.argv.
    :returns: exit status: 0 at the end or when stopped, 2 if the source cannot be played.
    """
    end_at_once()
    from facial_emotion_ros.ros.command_line import printed_help, warn_of_ignored_words

    if printed_help('media_source', args):
        return 0
    warn_of_ignored_words('media_source', args)
    from facial_emotion_ros.ros.demo.media_source_node import MediaSource
    from facial_emotion_ros.ros.process import run_until_done
    from facial_emotion_ros.system.long_calls import signals_end_long_calls

    with signals_end_long_calls(lambda: 0):
        return run_until_done('media_source', MediaSource, args, sends_images=True)


if __name__ == '__main__':
    sys.exit(main())
