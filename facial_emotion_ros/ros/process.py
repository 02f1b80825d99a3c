"""Run a node in a process: start, spin, and clean shutdown after signals and exceptions."""

import os
import re
import signal
import sys
import traceback
from typing import Any, Callable, List, Optional

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import try_shutdown

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.text import show
from facial_emotion_ros.ros.logs import EVERY_5_S
from facial_emotion_ros.ros.shared_memory import remove_stale_segments
from facial_emotion_ros.ros.stop_signals import StopSignals
from facial_emotion_ros.system.dds_environment import transport_environment
from facial_emotion_ros.system.environment_checks import check_startup
from facial_emotion_ros.system.watchdog import Watchdog, end_within

#: Without callbacks, the main thread checks for a signal in this interval.
_SPIN_TIMEOUT_S = 0.1
#: Time for Python's exit after cleanup: usually 0.2 s, but more than 2 s on a very busy machine.
_EXIT_S = 9.0


def serve(program: str, make_node: Callable[[], Any], args: Optional[List[str]], signals: StopSignals) -> int:
    """Run a node until a signal arrives or its context is shut down. Exceptions in callbacks do not end it.

    :param program: name before an error's text.
    :param make_node: returns a node with our parameters, a timer that fires every few seconds, and `close()`, which
        returns the threads that it could not end.
    :param args: command line; None for sys.argv.
    :param signals: already installed.
    :returns: exit status: 0 after a signal, 2 if the environment is unsuitable or ROS refuses arguments, names or
        parameter files. Other exceptions of `make_node` are raised.
    """
    watchdogs = []
    abandoned: List[Any] = []

    def spin(node, executor):
        signals.wake = executor.wake
        watchdogs.append(Watchdog(node.get_parameter('diagnostics.freeze_timeout_s').value))
        _spin_until_signal(node, executor, signals, watchdogs[0])
        abandoned.extend(node.close())
        executor.shutdown(timeout_sec=0.5)
        return 0

    try:
        status = _run(program, make_node, args, spin, True)
        if signals.received:
            # At exit, Python stops a thread that returns from native code, and C++ then aborts the process. If the
            # image in work takes too long, `signals` ends the process.
            for thread in abandoned:
                thread.join()
            end_within(_EXIT_S)
        return status
    finally:
        for watchdog in watchdogs:  # not earlier: destroying the node may freeze, too
            watchdog.close()


def run_until_done(
    program: str, make_node: Callable[[], Any], args: Optional[List[str]] = None, sends_images: bool = False
) -> int:
    """Run a node until it is done, or until SIGINT or SIGTERM.

    A signal only sets a flag: the handlers of rclpy and Python would interrupt running code, some of which then fails
    with another error.

    :param program: name before an error's text.
    :param make_node: returns a node with `done` (bool) and `finish(interrupted)`, which returns the exit status and is
        called once.
    :param args: command line; None for sys.argv.
    :param sends_images: whether to set up shared memory for images.
    :returns: exit status of `finish`; 2 after a FacialEmotionError, or a ROS error while the node was created, which is
        printed to stderr.
    """
    received: List[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: received.append(number))

    def spin(node, executor):
        try:
            try:
                while not (node.done or received):
                    executor.spin_once(timeout_sec=_SPIN_TIMEOUT_S)
            except ExternalShutdownException:
                pass
            return node.finish(not node.done)
        finally:
            executor.shutdown()

    return _run(program, make_node, args, spin, sends_images)


def _run(program, make_node, args, spin, sends_images):
    node = None
    try:
        check_startup(sys.argv if args is None else args)
        remove_stale_segments()
        if sends_images:
            os.environ.update(transport_environment())
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        node = make_node()
        executor = _Executor()
        executor.add_node(node)
        return spin(node, executor)
    except Exception as error:
        if isinstance(error, FacialEmotionError):
            text = str(error)
        elif node is None and is_ros_error(error):
            text = _ros_error(error)
        else:
            raise
        show('%s: %s' % (program, text), file=sys.stderr, flush=True)
        return 2
    finally:
        if node is not None:
            node.destroy_node()
        # rclpy.shutdown, since Kilted, removes handlers that it never installed, and a signal meanwhile kills the
        # process.
        try_shutdown()
        # At exit, Python restores the default handlers, and another signal would then kill the process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


class _Executor(SingleThreadedExecutor):
    """rclpy's, where a message that cannot be taken, for lack of memory for example, is skipped.

    In rclpy's own, the callback group runs nothing any more then, timers included: nothing ends the execution that has
    begun. In a release without this method nothing is different.
    """

    def _make_handler(self, entity: Any, node: Any, take: Callable[[Any], Any], *further: Any) -> Any:
        def take_or_skip(entity):
            try:
                return take(entity)
            except Exception as error:
                text = 'Lost a message that could not be taken from the middleware, as in lack of memory: %s'
                node.get_logger().error(text % ' '.join(str(error).split()), **EVERY_5_S)
                return None

        return super()._make_handler(entity, node, take_or_skip, *further)


def _spin_until_signal(node, executor, signals, watchdog):
    """Spin until a signal; log one traceback for each line of code that raises."""
    logged = set()
    while rclpy.ok() and not signals.received:
        watchdog.beat()
        try:
            executor.spin_once()
        except ExternalShutdownException:
            return
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            if (place.filename, place.lineno) not in logged:
                logged.add((place.filename, place.lineno))
                node.get_logger().error(
                    'A callback failed; the node continues. Please report this: %s\n%s'
                    % (error, traceback.format_exc())
                )
            else:
                node.get_logger().error('A callback failed again, see the earlier traceback: %s' % error, **EVERY_5_S)


def is_ros_error(error: Exception) -> bool:
    """Return whether an error's type is of rclpy or of its native module (_rclpy_pybind11, later _rclpy_nanobind)."""
    return type(error).__module__.startswith(('rclpy', '_rclpy'))


def _ros_error(error):
    """Return the text of a ROS error in one line, without positions in its source code."""
    text = re.sub(r',? at (/|\./|\w)[^ ]*:\d+', '', ' '.join(str(error).split()) or type(error).__name__)
    return text + '; check the arguments, the parameter files and the ROS_ variables of the environment'
