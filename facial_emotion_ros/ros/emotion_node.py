"""Executable emotion_node: installs signal handlers before importing node.py, which takes half a second."""

import sys
from typing import List, Optional

from facial_emotion_ros.ros.stop_signals import StopSignals
from facial_emotion_ros.system.memory import keep_big_buffers


def main(args: Optional[List[str]] = None) -> int:
    """Run the node until SIGINT or SIGTERM.

    :param args: command line; None for sys.argv.
    :returns: exit status.
    """
    signals = StopSignals()
    signals.install()
    keep_big_buffers()
    signals.listen()
    from facial_emotion_ros.core.text import show
    from facial_emotion_ros.ros.command_line import opendr_advice, printed_help, warn_of_ignored_words

    if printed_help('emotion_node', args):
        return 0
    advice = opendr_advice(args)
    if advice:
        show(
            "emotion_node: expected ROS arguments, got options of OpenDR's node; use this instead:\n    " + advice,
            file=sys.stderr,
        )
        return 2
    warn_of_ignored_words('emotion_node', args)
    from facial_emotion_ros.ros import process
    from facial_emotion_ros.ros.node import EmotionNode
    from facial_emotion_ros.ros.parameter_checks import warn_unused_files

    def make_node():
        node = EmotionNode()
        warn_unused_files(node, sys.argv if args is None else args)
        return node

    return process.serve('emotion_node', make_node, args, signals)


if __name__ == '__main__':
    sys.exit(main())
