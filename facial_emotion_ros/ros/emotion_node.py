"""The executable emotion_node. Importing it takes no time, so that even the first signal finds a handler."""

import sys

from facial_emotion_ros.process_memory import keep_big_buffers
from facial_emotion_ros.ros.stop_signals import StopSignals


def main(args=None):
    """Run the node until SIGINT or SIGTERM.

    :param args: command line, sys.argv if None.
    :returns: exit code.
    """
    signals = StopSignals()
    signals.install()
    keep_big_buffers()
    signals.listen()
    # Half a second of imports, in which a signal would end Python with a traceback.
    from facial_emotion_ros.ros import node_process
    from facial_emotion_ros.ros.node import EmotionNode
    from facial_emotion_ros.ros.parameter_sections import warn_unused_files

    def make_node():
        node = EmotionNode()
        warn_unused_files(node, sys.argv if args is None else args)
        return node

    return node_process.serve(make_node, args, signals)


if __name__ == '__main__':
    sys.exit(main())
