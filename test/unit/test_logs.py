"""What modules without ROS say reaches the node's log, and nothing else does."""

import logging

import pytest

from facial_emotion_ros.core.resources import PACKAGE
from facial_emotion_ros.ros.logs import BurstLog, NodeLog


class Logger:
    """Records what reaches a node's logger."""

    def __init__(self):
        self.reported = []

    def info(self, text):
        """Note it."""
        self.reported.append(('info', text))

    def warning(self, text):
        """Note it."""
        self.reported.append(('warning', text))

    def error(self, text):
        """Note it."""
        self.reported.append(('error', text))


@pytest.fixture
def node_log():
    """Open a NodeLog, and close it after the test."""
    logger = Logger()
    log = NodeLog(logger)
    yield logger, log
    log.close()


@pytest.mark.parametrize(
    'level, expected',
    [
        (logging.DEBUG, []),
        (logging.INFO, ['info']),
        (logging.WARNING, ['warning']),
        (logging.ERROR, ['error']),
        (logging.CRITICAL, ['error']),
    ],
)
def test_severity_is_kept_when_a_module_says_something(node_log, capsys, level, expected):
    logging.getLogger(PACKAGE + '.onnx_session').log(level, 'took %d s', 3)
    assert node_log[0].reported == [(severity, 'took 3 s') for severity in expected]
    assert capsys.readouterr() == ('', ''), 'logged twice'


def test_others_are_left_alone_when_they_log(node_log):
    logging.getLogger('somebody_else').warning('hello')
    assert node_log[0].reported == []


def test_records_go_their_usual_way_again_when_the_node_has_closed(caplog):
    logger = Logger()
    NodeLog(logger).close()
    with caplog.at_level(logging.WARNING):
        logging.getLogger(PACKAGE).warning('after the end')
    assert logger.reported == [] and [record.getMessage() for record in caplog.records] == ['after the end']


def test_lines_are_cut_short_when_there_are_too_many_within_a_period(monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr('facial_emotion_ros.ros.logs.time.monotonic', lambda: now_s[0])
    logger = Logger()
    log = BurstLog(logger, lines=2, period_s=10.0)
    for number, at_s in enumerate((0.0, 1.0, 2.0, 9.9, 10.5, 10.6, 11.5)):
        now_s[0] = at_s
        log.info(str(number))
    assert [text for _, text in logger.reported] == ['0', '1', '4', '6']
    for severity in ('warning', 'error'):
        other = Logger()
        getattr(BurstLog(other), severity)('x')
        assert other.reported == [(severity, 'x')]
