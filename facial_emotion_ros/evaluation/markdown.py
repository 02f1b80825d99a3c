"""Markdown tables, percentages and numbers, for the model card and the output of commands."""

import math
from collections.abc import Callable, Iterable, Sequence


def table(heads: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Write a table.

    :param heads: column heads.
    :param rows: rows of as many cells, formatted by `str`.
    :returns: text without a final newline.
    """
    lines = [f'| {" | ".join(str(cell) for cell in row)} |' for row in (heads, ['---'] * len(heads), *rows)]
    return '\n'.join(lines)


def percent(share: float | None, digits: int = 0) -> str:
    """Format a fraction as a percentage; a dash for None, NaN and infinity."""
    return '–' if share is None or not math.isfinite(share) else f'{100 * share:.{digits}f}%'


def ends(interval: Sequence[float | None], write: Callable[[float | None], str]) -> str:
    """Format the ends of an interval; a dash if undefined."""
    low, high = map(write, interval)
    return '–' if '–' in (low, high) else f'{low} to {high}'


def number(value: float | None, form: str = '.3g') -> str:
    """Format a number; a dash for None, NaN and infinity. Zero after rounding has no minus sign.

    :param form: format specification, see :func:`format`.
    """
    if value is None or not math.isfinite(value):
        return '–'
    text = format(value, form)
    return text if text.strip('-0.,e+%') else format(abs(value), form)
