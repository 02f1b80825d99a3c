"""How far a training is: a bar on a terminal, plain lines elsewhere."""

import sys
import time

#: Seconds between two plain lines.
_LINE_EVERY_S = 10.0


class Progress:
    """Shows steps, and notes what else happens.

    :param stream: where to; a bar is drawn where it is a terminal and tqdm is installed.
    """

    def __init__(self, stream=None):
        """Take the stream; None for stderr as it is now."""
        self._stream = stream or sys.stderr
        self._make_bar = _bar_maker() if self._stream.isatty() else None
        self._bar = None
        self._title = ''
        self._total = self._first = 0
        self._begun = self._last = 0.0

    def begin(self, title, first, total):
        """Begin a stage.

        :param title: what it is called.
        :param first: steps that are done already.
        :param total: steps that it has.
        """
        self.end()
        self._title, self._first, self._total = title, first, total
        self._begun = self._last = time.monotonic()
        if self._make_bar:
            self._bar = self._make_bar(total=total, initial=first, desc=title, unit='step', file=self._stream,
                                       dynamic_ncols=True, smoothing=0.05)
        else:
            self.note(f'{title}: step {first} of {total}')

    def step(self, done, losses):
        """Show a step.

        :param done: steps of the stage that are done.
        :param losses: text about the losses; empty where there is nothing to say yet.
        """
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(losses, refresh=False)
            self._bar.update(done - self._bar.n)
        elif done == self._total or now - self._last >= _LINE_EVERY_S:
            self._last = now
            pace = (now - self._begun) / max(1, done - self._first)
            self.note(', '.join(filter(None, (
                f'{self._title}: step {done}/{self._total}', losses, f'{pace:.2f} s a step',
                f'{pace * (self._total - done) / 60:.1f} min to go'))))

    def note(self, line):
        """Say a line.

        :param line: text.
        """
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def end(self):
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Silence(Progress):
    """Shows nothing: for the processes that are not the first, and for programs that train."""

    def step(self, done, losses):
        """Show nothing."""

    def note(self, line):
        """Say nothing."""

    def begin(self, title, first, total):
        """Show nothing."""


def _bar_maker():
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm
