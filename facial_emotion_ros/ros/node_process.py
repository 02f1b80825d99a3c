"""The process of a node that serves until it is told to end: memory, signals, a spin loop that outlives a callback."""

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


class StopSignals:
    """Turns SIGINT and SIGTERM, however often they come, into one flag.

    rclpy's own handlers shut the context down under a running callback, which then cannot tidy up. A handler in
    Python runs when the spin loop next wakes, so the node must have a timer that wakes it (emotion_node: 5 Hz).
    """

    def __init__(self):
        self.received = False

    def install(self):
        """Replace the handlers of this process; call it from the main thread."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._receive)

    def _receive(self, _number, _frame):
        self.received = True


def serve(make_node, args=None):
    """Run one node until a signal comes or its context is shut down.

    :param make_node: function without arguments that returns a node with `close()`, a method that tidies up.
    :param args: command line, sys.argv if None.
    :returns: exit status: 0 after a signal, 1 when the node could not be made.
    """
    signals = StopSignals()
    signals.install()
    node = None
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
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
