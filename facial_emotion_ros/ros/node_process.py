"""The process of a node that serves until it is told to end: a spin loop that outlives a callback."""

import signal
import sys
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.freeze_guard import FreezeGuard
from facial_emotion_ros.plain_text import show
from facial_emotion_ros.ros.log_limits import FAULT
from facial_emotion_ros.ros.ros_versions import is_of_ros, sentence_of
from facial_emotion_ros.ros.shared_memory import remove_stale_segments
from facial_emotion_ros.startup_checks import check_startup


def serve(make_node, args, signals):
    """Run one node until a signal comes or its context is shut down.

    :param make_node: function without arguments that returns a node with `close()`, a method that tidies up, and with
        our parameters; some timer of it must come every few seconds.
    :param args: command line, sys.argv if None.
    :param signals: StopSignals that have been installed.
    :returns: exit status: 0 after a signal, 2 when the environment lacks something or ROS refuses arguments, names or
        parameter files, 1 when the node could not be made for another reason.
    """
    node = guard = None
    try:
        check_startup(sys.argv if args is None else args)
        remove_stale_segments()
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        signals.wake = executor.wake
        guard = FreezeGuard(node.get_parameter('diagnostics.freeze_timeout_s').value)
        _spin(executor, node, signals, guard)
        node.close()
        executor.shutdown(timeout_sec=0.5)
        return 0
    except FacialEmotionError as error:
        show('emotion_node: %s' % error, file=sys.stderr, flush=True)
        return 2
    except Exception as error:
        if node is None and is_of_ros(error):
            show('emotion_node: %s' % sentence_of(error), file=sys.stderr, flush=True)
            return 2
        traceback.print_exc()
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        if guard is not None:
            guard.close()
        # Python hands handlers of its own back to the system when it ends, and one more signal would then kill it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _spin(executor, node, signals, guard):
    """Spin; a callback that throws costs its own work, and one traceback for each place that throws."""
    told = set()
    while rclpy.ok() and not signals.received:
        guard.beat()
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception as fault:
            place = traceback.extract_tb(sys.exc_info()[2])[-1]
            if (place.filename, place.lineno) not in told:
                told.add((place.filename, place.lineno))
                node.get_logger().error('A callback failed, the node goes on; please report this: %s\n%s' % (
                    fault, traceback.format_exc()))
            else:
                node.get_logger().error('A callback failed once more for a reason logged before: %s' % fault, **FAULT)
