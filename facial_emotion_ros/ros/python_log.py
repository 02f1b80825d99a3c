"""What modules without ROS log goes to the node's own log: one place where people look, and /rosout."""

import logging

PACKAGE = 'facial_emotion_ros'


class NodeLog(logging.Handler):
    """Hands every record from INFO on to an rclpy logger, while it is open."""

    def __init__(self, logger):
        """Take the package's records from now on; nothing of them is printed elsewhere.

        :param logger: an rclpy logger.
        """
        super().__init__(logging.INFO)
        self._logger = logger
        self._source = logging.getLogger(PACKAGE)
        self._source.addHandler(self)
        self._source.setLevel(logging.INFO)
        self._source.propagate = False

    def emit(self, record):
        """Say it through ROS; a record that cannot be put into words is no reason to stop."""
        try:
            text = self.format(record)
            # rclpy remembers the severity of each line of code: one line for each.
            if record.levelno >= logging.ERROR:
                self._logger.error(text)
            elif record.levelno >= logging.WARNING:
                self._logger.warning(text)
            else:
                self._logger.info(text)
        except Exception:
            self.handleError(record)

    def close(self):
        """Give the records back to whoever listens otherwise."""
        self._source.removeHandler(self)
        if not self._source.handlers:
            self._source.propagate = True
            self._source.setLevel(logging.NOTSET)
        super().close()
