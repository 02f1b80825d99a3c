"""The process of a node that serves until it is told to end: memory, signals, a spin loop that outlives a callback."""

import ctypes
import os
import signal
import sys
import threading
import time
import traceback

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

#: Parameters of mallopt. Source: glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3

#: A process that was told to end has this long to tidy up; launch sends SIGTERM after 5 s, and users expect 3.
_PATIENCE_S = 2.3


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
    """Turns SIGINT and SIGTERM, however often they come, into one flag, and sees to it that the process ends.

    rclpy's own handlers shut the context down under a running callback, which then cannot tidy up; Python's run only
    when the main thread is between two instructions, which it is not while a model loads. So a thread of its own
    hears of signals, from the pipe that the C handler writes to.
    """

    def __init__(self):
        self.received = False
        #: Called from that thread when the first signal comes, to wake who sleeps.
        self.wake = None

    def install(self):
        """Replace the handlers of this process; call it from the main thread."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)
        threading.Thread(target=self._listen, args=(reader,), name='stop_signals', daemon=True).start()

    def _listen(self, reader):
        while os.read(reader, 1) not in (bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
            pass
        self.received = True
        if self.wake is not None:
            self.wake()
        time.sleep(_PATIENCE_S)
        # Loading a model, or a hung inference, cannot be interrupted, and leaves nothing behind that would need care.
        sys.stderr.write('Ended in the middle of work that took longer than %g s.\n' % _PATIENCE_S)
        sys.stderr.flush()
        os._exit(0)


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
