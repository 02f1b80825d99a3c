"""What a command prints, and its exit code, when it fails."""

import pytest

from facial_emotion_ros.cli.common.errors import report_errors
from facial_emotion_ros.core.errors import BadModel, BadParameter


@pytest.mark.parametrize(
    'error, code, text',
    [
        (BadParameter('expected 1, got 2'), 2, 'expected 1, got 2'),
        (BadModel("can't start new thread"), 1, "command: can't start new thread\n"),
        (FileNotFoundError(2, 'No such file or directory', 'x.png'), 1, "'x.png'; check the path"),
        (OSError(30, 'Read-only file system', '/x'), 1, "'/x'; change the permissions"),
        (OSError(28, 'No space left on device', '/x'), 1, "'/x'; free some space"),
        (MemoryError(), 1, 'ulimit -u'),
        (BlockingIOError(11, 'Resource temporarily unavailable'), 1, 'ulimit -u'),
        (RuntimeError("can't start new thread"), 1, 'ulimit -u'),
    ],
)
def test_an_error_is_one_line_that_says_what_to_do(error, code, text, capsys):
    @report_errors('command', 'it needs nothing')
    def main(argv=None):
        raise error

    assert main() == code
    printed = capsys.readouterr().err
    assert text in printed and printed.startswith('command: ') and printed.count('\n') == 1


def test_a_fault_of_the_program_has_its_traceback():
    @report_errors('command', 'it needs nothing')
    def main(argv=None):
        raise RuntimeError('a bug')

    with pytest.raises(RuntimeError, match='a bug'):
        main()
