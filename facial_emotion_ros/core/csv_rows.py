"""Read CSV files written by hand or with a spreadsheet, and refuse misaligned rows."""

import csv
import io
import math
import re
from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple

from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.core.text import uncell

#: Supported separators; the most frequent one in the header line is used.
_SEPARATORS = ',;\t'

#: First line "sep=;" that tells spreadsheets the separator; may itself have been saved as cells.
_SEPARATOR_LINE = re.compile(r'"?sep=[,;\t]"?[,;\s]*\Z', re.IGNORECASE)

_DECIMAL_COMMA = re.compile(r'\A([+-]?[0-9]*),([0-9]+)\Z')


class CsvRows(NamedTuple):
    """A CSV file: names of its columns, known ones in lower case; rows that are not empty, (line number, {column:
    cell}).
    """

    names: List[str]
    rows: List[Tuple[int, Dict[str, str]]]


def text_of(path: str, kind: str) -> str:
    """Read a UTF-8 text file, with or without byte order mark.

    :param path: path of the file.
    :param kind: kind of file, for the error.
    :raises BadDataset: if it cannot be read.
    """
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        advice = '; save it as "CSV UTF-8"' if isinstance(error, UnicodeDecodeError) else ''
        raise BadDataset(f'{path}: expected a {kind} in UTF-8, but it cannot be read ({error}){advice}') from error


def read_csv(
    text: str, where: str, known: Sequence[str], numbers: Optional[Sequence[str]] = (), above: int = 0
) -> CsvRows:
    """Parse a CSV file.

    :param text: text of the file. Cells are separated by commas, semicolons or tabs; with the latter two, numbers may
        have decimal commas, which are converted to points.
    :param where: its name, for errors.
    :param known: known columns, in lower case, which must not occur twice.
    :param numbers: those of them that hold numbers; None for all columns that are not known.
    :param above: number of lines above the header line.
    :raises BadDataset: if it is not CSV, a known column occurs twice, or a row has another number of cells than the
        header.
    """
    above = above or int(_SEPARATOR_LINE.match(text.partition('\n')[0]) is not None)
    body = ''.join(text.splitlines(keepends=True)[above:])
    separator = max(_SEPARATORS, key=body.partition('\n')[0].count)
    lines = csv.reader(io.StringIO(body, newline=''), delimiter=separator, skipinitialspace=True)
    names: List[str] = []
    rows, line = [], above + 1
    try:
        for cells in lines:
            cells = [uncell(cell.strip()) for cell in cells]
            if not names:
                names = [cell.lower() if cell.lower() in known else cell for cell in cells]
                while names and not names[-1]:  # spreadsheets may append empty cells
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
        raise BadDataset(f'{where}, line {line}: expected a line of CSV, but it cannot be read ({error})') from None
    return CsvRows(names, rows)


def number_of(text: str, where: str, expected: str) -> float:
    """Parse a number.

    :param text: text of a cell.
    :param where: file and line, for the error.
    :param expected: description of the number, for the error.
    :raises BadDataset: if it is not a finite number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        hint = '; use a decimal point' if ',' in text else ''
        raise BadDataset(f'{where}: expected {expected}, got {text!r}{hint}')
    return number


def _refuse_doubles(names: Sequence[str], known: Sequence[str], where: str) -> None:
    doubled = [name for name in known if names.count(name) > 1]
    if doubled:
        raise BadDataset(f'{where}: expected each column once, got {doubled[0]} {names.count(doubled[0])} times')


def _refuse_misaligned(cells: Sequence[str], names: Sequence[str], where: str, separator: str) -> None:
    """Refuse a row with too many or too few cells; spreadsheets may append empty ones."""
    if len(cells) < len(names) or any(cells[len(names) :]):
        hint = '; use decimal points, and quote text with commas' if separator == ',' else ''
        raise BadDataset(f'{where}: expected {len(names)} cells, like the header line, got {len(cells)}{hint}')
