"""Progress and tables on a terminal, and what scripts get in their place."""

import os
import pty
import re
import subprocess
import sys

import pytest

pytest.importorskip('rich', reason='rich is not installed: scripts/setup --tests does that')

PROGRAM = """
from facial_emotion_ros.cli.common import terminal
terminal._LINE_EVERY_S = %s
with terminal.progress('images', quiet=%s) as report:
    for done in range(1, 5):
        report(done, 4)
terminal.show_markdown('| engine | faces/s |\\n|---|---|\\n| onnxruntime fp32 | 61.2 |')
terminal.show_table(('figure', 'all'), [('n [faces]\x1b', 12), ('accuracy', '0.8656')], ('<12', '>8'))
"""


def program(line_every_s=0.0, quiet=False):
    return [sys.executable, '-c', PROGRAM % (line_every_s, quiet)]


def on_terminal(command):
    """Run a command on a terminal of its own; give all that it shows."""
    ours, its = pty.openpty()
    with subprocess.Popen(command, stdin=its, stdout=its, stderr=its, env={**os.environ, 'TERM': 'xterm'}) as process:
        os.close(its)
        shown = b''
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # nobody has the terminal open any more
                break
            if not part:
                break
            shown += part
        os.close(ours)
    assert process.returncode == 0, shown
    return shown.decode()


def test_a_bar_and_a_drawn_table_are_shown_on_a_terminal():
    shown = on_terminal(program())
    assert '4/4' in shown and 'images' in shown and '\x1b[' in shown
    assert 'onnxruntime fp32' in shown and '|' not in shown and '━' in shown
    assert 'n [faces]\\x1b' in shown and re.search(r'accuracy\S* +0\.8656', shown)


def test_lines_and_markdown_come_when_there_is_no_terminal():
    found = subprocess.run(program(), capture_output=True, text=True, check=True)
    lines = found.stderr.splitlines()
    assert lines[-1].startswith('4 of 4 images, ') and lines[-1].endswith(' per second, 0 s left') and len(lines) == 4
    assert found.stdout == (
        '| engine | faces/s |\n|---|---|\n| onnxruntime fp32 | 61.2 |\n'
        'figure           all\nn [faces]\\x1b        12\naccuracy      0.8656\n'
    )
    assert subprocess.run(program(quiet=True), capture_output=True, text=True, check=True).stderr == ''
    assert subprocess.run(program(15.0), capture_output=True, text=True, check=True).stderr == ''
