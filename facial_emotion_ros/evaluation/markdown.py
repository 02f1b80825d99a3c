"""Tables in Markdown, percentages and numbers, for the model card and the output of commands."""

import math
from collections.abc import Callable, Iterable, Sequence


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Write a table.

    :param heads: of the columns.
    :param rows: of as many cells, each written by `str`.
    :returns: without a newline at its end.
    """
    lines = [f'| {" | ".join(str(cell) for cell in row)} |' for row in (heads, ['---'] * len(heads), *rows)]
    return '\n'.join(lines)


def percent(share: float | None, digits: int = 0) -> str:
    """Write a share as a percentage; a dash where there is none."""
    return '–' if share is None or not math.isfinite(share) else f'{100 * share:.{digits}f}%'


def ends(interval: Sequence[float | None], write: Callable[[float | None], str]) -> str:
    """Write the ends of an interval; a dash where it is not defined."""
    low, high = map(write, interval)
    return '–' if '–' in (low, high) else f'{low} to {high}'


def number(value: float | None, form: str = '.3g') -> str:
    """Write a number; a dash where there is none. What rounds to zero has no minus sign.

    :param form: as of :func:`format`.
    """
    if value is None or not math.isfinite(value):
        return '–'
    text = format(value, form)
    return text if text.strip('-0.,e+%') else format(abs(value), form)
