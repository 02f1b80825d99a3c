"""What modules without ROS say reaches the node's log, and nothing else does."""

import logging

import pytest

from facial_emotion_ros.ros.python_log import PACKAGE, NodeLog


class Logger:
    """Notes what a node's logger is told."""

    def __init__(self):
        self.told = []

    def info(self, text):
        """Note it."""
        self.told.append(('info', text))

    def warning(self, text):
        """Note it."""
        self.told.append(('warning', text))

    def error(self, text):
        """Note it."""
        self.told.append(('error', text))


@pytest.fixture
def node_log():
    """Open a NodeLog, and close it after the test."""
    logger = Logger()
    log = NodeLog(logger)
    yield logger, log
    log.close()


@pytest.mark.parametrize('level, expected', [
    (logging.DEBUG, []), (logging.INFO, ['info']), (logging.WARNING, ['warning']), (logging.ERROR, ['error']),
    (logging.CRITICAL, ['error'])])
def test_severity_is_kept_when_a_module_says_something(node_log, capsys, level, expected):
    logging.getLogger(PACKAGE + '.onnx_session').log(level, 'took %d s', 3)
    assert node_log[0].told == [(severity, 'took 3 s') for severity in expected]
    assert capsys.readouterr() == ('', ''), 'it is told once'


def test_others_are_left_alone_when_they_log(node_log):
    logging.getLogger('somebody_else').warning('hello')
    assert node_log[0].told == []


def test_records_go_their_usual_way_again_when_the_node_has_closed(caplog):
    logger = Logger()
    NodeLog(logger).close()
    with caplog.at_level(logging.WARNING):
        logging.getLogger(PACKAGE).warning('after the end')
    assert logger.told == [] and [record.getMessage() for record in caplog.records] == ['after the end']
