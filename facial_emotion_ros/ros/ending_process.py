"""The life of a process that holds one node and ends by itself: start, spin, clean end whatever the signal."""

import signal
import sys

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.ros.ros_versions import is_of_ros, sentence_of


def run_until_done(program, make_node, args=None, restore_signals=None):
    """
    Spin a node until it says that it is done, or until SIGINT or SIGTERM.

    :param program: name that stands before an error's text.
    :param make_node: callable without arguments; its node has `done` (bool) and `finish(interrupted)` -> status, called
        once in any case, also after a signal has ended ROS.
    :param args: command line; None takes the process's own.
    :param restore_signals: function that is called before ROS takes signals over; None for nothing to restore.
    :returns: exit status: what the node's finish says; 2 when it could not be made or broke off for a reason that this
        package knows, which is then said on stderr.
    """
    executor = node = None
    try:
        if restore_signals is not None:
            restore_signals()
        rclpy.init(args=args)
        executor = SingleThreadedExecutor()
        node = make_node()
        executor.add_node(node)
        interrupted = _spin(executor, node)
        _ignore_signals()
        return node.finish(interrupted)
    except FacialEmotionError as error:
        print('%s: %s' % (program, error), file=sys.stderr, flush=True)
        return 2
    except KeyboardInterrupt:  # before the node was there
        return 0
    except Exception as error:
        if node is None and executor is not None and not rclpy.ok():  # a signal has ended ROS under its making
            return 0
        if not is_of_ros(error):
            raise
        print('%s: %s' % (program, sentence_of(error)), file=sys.stderr, flush=True)
        return 2
    finally:
        _ignore_signals()
        if executor is not None:
            executor.shutdown()
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()


def _spin(executor, node):
    """Spin; tell whether a signal ended it."""
    try:
        while not node.done:
            executor.spin_once()
        return False
    except (KeyboardInterrupt, ExternalShutdownException):
        return True
    except FacialEmotionError:
        raise
    except Exception:
        # A signal may end ROS in the middle of a callback, whose next publication or clock reading then fails.
        if rclpy.ok():
            raise
        return True


def _ignore_signals():
    """A launch and a terminal may both deliver a signal: the second one must not cut the clean-up short."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
