"""Logging of the nodes: rate limits for lines that messages or requests cause, and Python's logging sent to rclpy."""

import logging
import time
from collections import deque
from typing import Any, Deque, Dict

from rclpy.clock import Clock, ClockType

#: A single clock: rclpy refuses different throttle arguments, clock included, in the same line of code.
_STEADY = Clock(clock_type=ClockType.STEADY_TIME)

#: Keyword arguments for rclpy's logger, for a line that every message may cause.
EVERY_5_S: Dict[str, Any] = {'throttle_duration_sec': 5.0, 'throttle_time_source_type': _STEADY}

#: The same, for a line that is repeated while a misconfiguration lasts.
EVERY_60_S: Dict[str, Any] = {'throttle_duration_sec': 60.0, 'throttle_time_source_type': _STEADY}

_PACKAGE_LOGGER = 'facial_emotion_ros'


class BurstLog:
    """Log at most a number of lines per period: for changes of state, each of which matters unless there are too many.

    Two threads at the same moment may log one line more.
    """

    def __init__(self, logger: Any, lines: int = 50, period_s: float = 60.0):
        """Set the limit.

        :param logger: rclpy logger.
        :param lines: maximum number within the period.
        """
        self._logger, self._period_s = logger, period_s
        self._times_s: Deque[float] = deque(maxlen=lines)

    def info(self, text: str) -> None:
        """Log a line, unless there were too many."""
        if self._allows():
            self._logger.info(text)

    def warning(self, text: str) -> None:
        """Log a line, unless there were too many."""
        if self._allows():
            self._logger.warning(text)

    def error(self, text: str) -> None:
        """Log a line, unless there were too many."""
        if self._allows():
            self._logger.error(text)

    def _allows(self):
        now_s = time.monotonic()
        if len(self._times_s) == self._times_s.maxlen and now_s - self._times_s[0] < self._period_s:
            return False
        self._times_s.append(now_s)
        return True


class NodeLog(logging.Handler):
    """Forward the package's Python log records from INFO on to an rclpy logger, and so to /rosout, until closed."""

    def __init__(self, logger: Any):
        """Start to forward; the records are printed nowhere else.

        :param logger: rclpy logger.
        """
        super().__init__(logging.INFO)
        self._logger = logger
        self._source = logging.getLogger(_PACKAGE_LOGGER)
        self._source.addHandler(self)
        self._source.setLevel(logging.INFO)
        self._source.propagate = False

    def emit(self, record: logging.LogRecord) -> None:
        """Forward a record; errors in formatting do not stop the node."""
        try:
            text = self.format(record)
            # rclpy binds a severity to each calling line of code: one line for each.
            if record.levelno >= logging.ERROR:
                self._logger.error(text)
            elif record.levelno >= logging.WARNING:
                self._logger.warning(text)
            else:
                self._logger.info(text)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Stop forwarding; records are handled as usual again."""
        self._source.removeHandler(self)
        if not self._source.handlers:
            self._source.propagate = True
            self._source.setLevel(logging.NOTSET)
        super().close()
