"""Training progress: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

from tqdm import tqdm

#: Interval of plain lines in seconds.
_LINE_EVERY_S = 10.0


class Progress:
    """Shows steps and messages; as a bar where the stream is a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Write to a stream; None for the current stderr."""
        self._stream = stream or sys.stderr
        self._bar: tqdm | None = None
        self._title = ''
        self._total = self._first = 0
        self._begun = self._last = 0.0

    def begin(self, title: str, first: int, total: int) -> None:
        """Begin a stage of `total` steps, the first ones of which are done."""
        self.end()
        self._title, self._first, self._total = title, first, total
        self._begun = self._last = time.monotonic()
        if self._stream.isatty():
            self._bar = tqdm(
                total=total,
                initial=first,
                desc=title,
                unit='step',
                file=self._stream,
                dynamic_ncols=True,
                smoothing=0.05,
            )
        else:
            self.note(f'{title}: step {first} of {total}')

    def step(self, done: int, losses: str) -> None:
        """Show the number of steps done and a text about the losses, which may be empty."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.set_postfix_str(losses, refresh=False)
            self._bar.update(done - self._bar.n)
        elif done == self._total or now - self._last >= _LINE_EVERY_S:
            self._last = now
            pace = (now - self._begun) / max(1, done - self._first)
            parts = [f'{self._title}: step {done}/{self._total}', losses, f'{pace:.2f} s per step']
            remaining = f'{pace * (self._total - done) / 60:.1f} min left'
            self.note(', '.join(part for part in (*parts, remaining) if part))

    def note(self, line: str) -> None:
        """Print a line."""
        if self._bar is not None:
            self._bar.write(line, file=self._stream)
        else:
            print(line, file=self._stream, flush=True)

    def end(self) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class Silence(Progress):
    """Shows nothing."""

    def step(self, done: int, losses: str) -> None:
        """Show nothing."""

    def note(self, line: str) -> None:
        """Show nothing."""

    def begin(self, title: str, first: int, total: int) -> None:
        """Show nothing."""
