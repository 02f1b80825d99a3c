"""Rows of CSV files that people write, in a spreadsheet or by hand: misaligned ones are refused."""

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.core.text import uncell

#: What spreadsheets put between cells; the one that the first line has most of counts.
_SEPARATORS = ',;\t'

#: A first line by which spreadsheets know what separates cells; a spreadsheet may have written it as cells.
_SEPARATOR_LINE = re.compile(r'"?sep=[,;\t]"?[,;\s]*\Z', re.IGNORECASE)

_DECIMAL_COMMA = re.compile(r'\A([+-]?[0-9]*),([0-9]+)\Z')


class CsvRows(NamedTuple):
    """A file with a header line: names of its columns, those with a meaning in lower case, and rows, (number of the
    first line, {column: cell}), without empty ones.
    """

    names: list[str]
    rows: list[tuple[int, dict[str, str]]]


def text_of(path: str, kind: str) -> str:
    """Read a text file in UTF-8, with a byte order mark or not.

    :param path: of the file.
    :param kind: what it is, for the error.
    :raises BadDataset: if it cannot be read.
    """
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        advice = '; save it as "CSV UTF-8"' if isinstance(error, UnicodeDecodeError) else ''
        raise BadDataset(f'{path}: expected a {kind} in UTF-8, it cannot be read ({error}){advice}') from error


def read_csv(
    text: str, where: str, known: Sequence[str], numbers: Sequence[str] | None = (), above: int = 0
) -> CsvRows:
    """Read a CSV file.

    :param text: of the file. Cells are separated by commas, semicolons or tabs; with the latter two, the numbers may
        have decimal commas, which become points.
    :param where: its name, for errors.
    :param known: columns with a meaning, in lower case, which must not be there twice.
    :param numbers: those of them that hold numbers; None for all columns but these.
    :param above: lines above the header line.
    :raises BadDataset: if it is no CSV file, a column is there twice, or a row has more or fewer cells than the header.
    """
    above = above or int(_SEPARATOR_LINE.match(text.partition('\n')[0]) is not None)
    body = ''.join(text.splitlines(keepends=True)[above:])
    separator = max(_SEPARATORS, key=body.partition('\n')[0].count)
    lines = csv.reader(io.StringIO(body, newline=''), delimiter=separator)
    names: list[str] = []
    rows, line = [], above + 1
    try:
        for cells in lines:
            cells = [uncell(cell.strip()) for cell in cells]
            if not names:
                names = [cell.lower() if cell.lower() in known else cell for cell in cells]
                while names and not names[-1]:  # a spreadsheet may leave empty cells at the end
                    names.pop()
                _refuse_doubles(names, known, where)
                of_numbers = {name for name in names if (name not in known if numbers is None else name in numbers)}
            elif any(cells):
                _refuse_misaligned(cells, names, f'{where}, line {line}', separator)
                row = dict(zip(names, cells))
                if separator != ',':
                    row.update({name: _DECIMAL_COMMA.sub(r'\1.\2', row[name]) for name in of_numbers})
                rows.append((line, row))
            line = above + lines.line_num + 1
    except csv.Error as error:
        raise BadDataset(f'{where}, line {line}: expected a line of CSV, it cannot be read ({error})') from None
    return CsvRows(names, rows)


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
