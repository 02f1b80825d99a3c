"""The process of a node: start, spin and clean end, whatever the signal and whatever a callback raises."""

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

#: Without a callback, the main thread notices a signal within this time.
_SPIN_TIMEOUT_S = 0.1
#: When all is cleaned up, Python's own end takes 0.2 s, and more than 2 s on a machine that is very busy.
_EXIT_S = 9.0


def serve(program: str, make_node: Callable[[], Any], args: Optional[List[str]], signals: StopSignals) -> int:
    """Run a node until a signal comes or its context is shut down. An exception in a callback does not end it.

    :param program: name in front of an error's text.
    :param make_node: returns a node with our parameters, a timer that fires every few seconds, and `close()`, which
        returns the threads that it could not end.
    :param args: command line, sys.argv if None.
    :param signals: installed already.
    :returns: exit status: 0 after a signal, 2 when the environment lacks something or ROS refuses arguments, names or
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
            # Python's end stops a thread that comes back from native code, and C++ then aborts the process. Where the
            # image in work takes too long, `signals` ends the process.
            for thread in abandoned:
                thread.join()
            end_within(_EXIT_S)
        return status
    finally:
        for watchdog in watchdogs:  # destroying the node may freeze, too
            watchdog.close()


def run_until_done(
    program: str, make_node: Callable[[], Any], args: Optional[List[str]] = None, sends_images: bool = False
) -> int:
    """Run a node until it is done, or until SIGINT or SIGTERM.

    A signal only sets a flag: rclpy's own handlers, and Python's, interrupt whatever is under way, and some of that
    then ends in an error of another kind.

    :param program: name in front of an error's text.
    :param make_node: returns a node with `done` (bool) and `finish(interrupted)`, which returns the exit status and is
        called once.
    :param args: command line, sys.argv if None.
    :param sends_images: whether to reserve shared memory for them.
    :returns: exit status: that of `finish`; 2 when the node could not be created or failed for a reason that this
        package or ROS names, which is then printed to stderr.
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
        executor = SingleThreadedExecutor()
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
        # That of rclpy itself, since Kilted, takes handlers off that it never installed, and a signal in between kills
        # the process.
        try_shutdown()
        # Python restores the default handlers when it exits, and one more signal would then kill the process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)


def _spin_until_signal(node, executor, signals, watchdog):
    """Spin; log one traceback for each place in the code that raises."""
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
                node.get_logger().error('A callback failed again at a place logged before: %s' % error, **EVERY_5_S)


def is_ros_error(error: Exception) -> bool:
    """Tell whether rclpy's own modules, or its native ones, define an error's type.

    Their names hang on what binds them: `_rclpy_pybind11`, or `_rclpy_nanobind` in Rolling's next.
    """
    return type(error).__module__.startswith(('rclpy', '_rclpy'))


def _ros_error(error):
    """Return the text of an error of ROS in one line, without the positions in its source code."""
    text = re.sub(r',? at (/|\./|\w)[^ ]*:\d+', '', ' '.join(str(error).split()) or type(error).__name__)
    return text + '; check the arguments, the parameter files and the ROS_ variables of the environment'
