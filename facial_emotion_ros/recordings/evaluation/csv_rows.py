"""Rows of CSV files that people write, in a spreadsheet or by hand: misaligned ones are refused."""

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from facial_emotion_ros.core.errors import BadDataset

#: What spreadsheets put between cells; the one that the first line has most of counts.
_SEPARATORS = ',;\t'

#: A first line by which spreadsheets know what separates cells; a spreadsheet may have written it as cells.
_SEPARATOR_LINE = re.compile(r'"?sep=[,;\t]"?[,;\s]*\Z', re.IGNORECASE)

_DECIMAL_COMMA = re.compile(r'\A([+-]?[0-9]*),([0-9]+)\Z')


class CsvRows(NamedTuple):
    """A file with a header line: names of its columns, in lower case, and rows, (line number, {column: cell}), without
    empty lines.
    """

    names: list[str]
    rows: list[tuple[int, dict[str, str]]]


def read_csv(text: str, where: str, known: Sequence[str], numbers: Sequence[str] = (), above: int = 0) -> CsvRows:
    """Read a CSV file.

    :param text: of the file. Cells are separated by commas, semicolons or tabs; with the latter two, the numbers may
        have decimal commas, which become points.
    :param where: its name, for errors.
    :param known: columns with a meaning, in lower case, which must not be there twice.
    :param numbers: those of them that hold numbers.
    :param above: lines above the header line.
    :raises BadDataset: if it is no CSV file, a column is there twice, or a row has more or fewer cells than the header.
    """
    above = above or separator_lines(text)
    body = ''.join(text.splitlines(keepends=True)[above:])
    separator = separator_of(body)
    lines = csv.reader(io.StringIO(body, newline=''), delimiter=separator)
    names: list[str] = []
    rows = []
    try:
        for cells in lines:
            cells = [cell.strip() for cell in cells]
            if not names:
                names = [cell.lower() for cell in cells]
                _refuse_doubles(names, known, where)
            elif any(cells):
                line = above + lines.line_num
                _refuse_misaligned(cells, names, f'{where}, line {line}', separator)
                row = dict(zip(names, cells))
                if separator != ',':
                    row.update({name: with_point(row[name]) for name in numbers if name in row})
                rows.append((line, row))
    except csv.Error as error:
        raise BadDataset(
            f'{where}, line {above + lines.line_num}: expected a line of CSV, it cannot be read ({error})'
        ) from None
    return CsvRows(names, rows)


def separator_lines(text: str) -> int:
    """Count the lines above the header line, one or none, that only name the separator, such as `sep=;`."""
    return int(_SEPARATOR_LINE.match(text.partition('\n')[0]) is not None)


def separator_of(text: str) -> str:
    """Give what separates the cells of a CSV file: comma, semicolon or tab."""
    return max(_SEPARATORS, key=text.partition('\n')[0].count)


def with_point(cell: str) -> str:
    """Write a number with a decimal point where it has a decimal comma; other text stays."""
    return _DECIMAL_COMMA.sub(r'\1.\2', cell)


def number_of(text: str, where: str, expected: str) -> float:
    """Read a number.

    :param text: of a cell.
    :param where: it stands.
    :param expected: what it is, for the error.
    :raises BadDataset: if it is none, or not finite.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = '; write the decimal point as a point' if ',' in text else ''
        raise BadDataset(f'{where}: expected {expected}, got {text!r}{hint}')
    return number


def _refuse_doubles(names, known, where):
    doubled = [name for name in known if names.count(name) > 1]
    if doubled:
        raise BadDataset(f'{where}: expected each column once, got {doubled[0]} {names.count(doubled[0])} times')


def _refuse_misaligned(cells, names, where, separator):
    """Refuse a row with cells too many or too few; a spreadsheet may leave empty ones at the end."""
    if len(cells) < len(names) or any(cells[len(names) :]):
        hint = '; write decimal points as points, and text with commas in quotes' if separator == ',' else ''
        raise BadDataset(f'{where}: expected {len(names)} cells, as the first line has, got {len(cells)}{hint}')
