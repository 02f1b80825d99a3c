"""Progress and tables: with rich on a terminal, if it is installed; else as plain lines."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from facial_emotion_ros.core.text import printable, show

if TYPE_CHECKING:
    from rich.console import Console

#: Interval of progress lines if stderr is not a terminal.
_LINE_EVERY_S = 15.0


@contextmanager
def progress(noun: str, quiet: bool = False) -> Iterator[Callable[..., None]]:
    """Show the progress of a loop on stderr: a bar on a terminal, else a line every 15 s.

    >>> with progress('images') as report:
    ...     report(done, wanted)

    :param noun: name of the items.
    :param quiet: print nothing if stderr is not a terminal.
    :returns: context manager of a function (number done, number of all or 0 if unknown).
    """
    console = _console(sys.stderr)
    if console is None:
        yield _Lines(noun, quiet)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn(noun), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True) as bars:
        bar = bars.add_task(noun, total=None)
        yield lambda done, wanted=0: bars.update(bar, completed=done, total=wanted or None)


def show_markdown(text: str) -> None:
    """Print Markdown: rendered on a terminal, else unchanged."""
    console = _console(sys.stdout)
    if console is None:
        show(text)
        return
    from rich.markdown import Markdown

    console.print(Markdown(text))


def show_table(heads: Sequence[str], rows: Iterable[Sequence[object]], formats: Sequence[str]) -> None:
    """Print a table: rendered on a terminal, else as aligned text.

    :param heads: column titles; () for none.
    :param rows: cells.
    :param formats: alignment '<' or '>' and width of each column in the text.
    """
    console = _console(sys.stdout)
    if console is None:
        for row in (heads, *rows) if heads else rows:
            show(''.join(format(cell, kind) for cell, kind in zip(row, formats)))
        return
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=bool(heads))
    for head, kind in zip(heads or [''] * len(formats), formats):
        table.add_column(escape(printable(head)), justify='right' if kind.startswith('>') else 'left')
    for row in rows:
        table.add_row(*(escape(printable(str(cell))) for cell in row))
    console.print(table)


def _console(stream: TextIO) -> 'Console | None':
    """Return rich's console, or None if the stream is not a terminal or rich is not installed."""
    if stream.isatty():
        try:
            from rich.console import Console
        except ImportError:
            return None
        return Console(file=stream)
    return None


class _Lines:
    """Prints a line of progress every _LINE_EVERY_S."""

    def __init__(self, noun, quiet):
        self._noun, self._quiet = noun, quiet
        self._began_s = self._printed_s = time.monotonic()

    def __call__(self, done, wanted=0):
        now_s = time.monotonic()
        if self._quiet or now_s - self._printed_s < _LINE_EVERY_S:
            return
        self._printed_s = now_s
        rate = done / max(now_s - self._began_s, 1e-9)
        text = f'{done} {self._noun}, {rate:.0f} per second'
        if wanted:
            text = f'{done} of {wanted} {self._noun}, {rate:.0f} per second, {(wanted - done) / rate:.0f} s left'
        show(text, file=sys.stderr, flush=True)
