"""Progress: bars on a terminal, lines elsewhere."""

import fcntl
import io
import os
import select
import struct
import termios

from facial_emotion_ros.training.loop.progress import Progress, Silence


def test_plain_lines_come_when_the_stream_is_no_terminal():
    stream = io.StringIO()
    progress = Progress(stream)
    progress.begin('phase 0', 3, 500)
    for step in range(4, 501):
        progress.step(step, 'loss 1.0')
    progress.note('done')
    progress.end()
    lines = stream.getvalue().splitlines()
    assert lines[0] == 'phase 0: step 3 of 500' and lines[-1] == 'done'
    assert lines[-2].startswith('phase 0: step 500/500, loss 1.0') and len(lines) < 10  # not one for each step
    assert '\r' not in stream.getvalue()


def test_a_bar_is_drawn_when_the_stream_is_a_terminal():
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 100, 0, 0))
    with open(slave, 'w') as terminal:
        progress = Progress(terminal)
        progress.begin('phase 0', 0, 2)
        progress.step(1, 'loss 1.0')
        progress.note('a look')
        progress.step(2, 'loss 0.5')
        progress.end()
        terminal.flush()
        shown = ''
        while '2/2' not in shown and select.select([master], [], [], 10)[0]:
            shown += os.read(master, 65536).decode()
    os.close(master)
    assert '\r' in shown and 'phase 0' in shown and '2/2' in shown and 'a look' in shown


def test_nothing_is_shown_when_silence_is_wanted(capsys):
    progress = Silence()
    progress.begin('phase 0', 0, 2)
    progress.step(1, 'loss')
    progress.note('a look')
    progress.end()
    assert capsys.readouterr() == ('', '')
