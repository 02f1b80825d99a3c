"""The process of a node that serves until it is told to end: memory, and a spin loop that outlives a callback."""

import ctypes
import signal
import sys
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

#: Parameters of mallopt. Source: glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3


def keep_big_buffers():
    """Let malloc keep buffers of image size rather than fetch fresh pages from the kernel for each image.

    Page faults of such buffers are more than half of what a Python node spends on receiving images.

    :returns: whether the C library took the setting; false on one that is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, 32 << 20)) and bool(mallopt(_M_TRIM_THRESHOLD, 128 << 20))


def serve(make_node, args, signals):
    """Run one node until a signal comes or its context is shut down.

    :param make_node: function without arguments that returns a node with `close()`, a method that tidies up.
    :param args: command line, sys.argv if None.
    :param signals: StopSignals that have been installed.
    :returns: exit status: 0 after a signal, 1 when the node could not be made.
    """
    node = None
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        signals.wake = executor.wake
        _spin(executor, node, signals)
        node.close()
        executor.shutdown(timeout_sec=0.5)
        return 0
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        if node is not None:
            node.destroy_node()
        rclpy.try_shutdown()
        # Python hands handlers of its own back to the system when it ends, and one more signal would then kill it.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _spin(executor, node, signals):
    """Spin; a callback that throws costs its own work, and one traceback for each place that throws."""
    told = set()
    while rclpy.ok() and not signals.received:
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
