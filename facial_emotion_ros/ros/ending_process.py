"""The life of a process that holds one node and ends by itself: start, spin, clean end whatever the signal."""

import signal
import sys

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.plain_text import show
from facial_emotion_ros.ros.ros_versions import is_of_ros, sentence_of
from facial_emotion_ros.ros.shared_memory import remove_stale_segments
from facial_emotion_ros.startup_checks import check_startup

#: The main thread hears of a signal at the latest after this time without a callback.
_LOOK_UP_S = 0.1


def run_until_done(program, make_node, args=None):
    """
    Spin a node until it says that it is done, or until SIGINT or SIGTERM.

    A signal raises a flag and nothing else: rclpy's own handlers, and Python's, break off whatever is under way, and
    some of that ends in an error of another kind.

    :param program: name that stands before an error's text.
    :param make_node: callable without arguments; its node has `done` (bool) and `finish(interrupted)` -> status, called
        once in any case.
    :param args: command line; None takes the process's own.
    :returns: exit status: what the node's finish says; 2 when it could not be made or broke off for a reason that this
        package or ROS knows, which is then said on stderr.
    """
    executor = node = None
    signals = []
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _frame: signals.append(number))
        check_startup(sys.argv if args is None else args)
        remove_stale_segments()
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        executor = SingleThreadedExecutor()
        node = make_node()
        executor.add_node(node)
        return node.finish(_spin(executor, node, signals))
    except FacialEmotionError as error:
        show('%s: %s' % (program, error), file=sys.stderr, flush=True)
        return 2
    except Exception as error:
        if node is not None or not is_of_ros(error):
            raise
        show('%s: %s' % (program, sentence_of(error)), file=sys.stderr, flush=True)
        return 2
    finally:
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # Python hands handlers of its own back to the system when it ends, and one more signal would then kill it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _spin(executor, node, signals):
    """Spin; tell whether a signal, or the end of ROS, came before the node was done."""
    try:
        while not (node.done or signals):
            executor.spin_once(timeout_sec=_LOOK_UP_S)
        return not node.done
    except ExternalShutdownException:
        return True
