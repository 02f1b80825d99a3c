"""Columns of a study's tables, their output as CSV and Parquet, and the data dictionary (columns.md)."""

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.tables import Column, ParquetTable, columns, csv_content
from facial_emotion_ros.recordings.study.face_rows import MEASURES, SHARES

#: Data dictionary written beside the tables; its texts are from docs/columns.md.
DICTIONARY = 'columns.md'

_WHO = columns('string', 'bag', 'bundle')

#: Columns of recordings.csv after _WHO and those of the manifest.
_FIGURES = (
    *columns('double', 'recording_s'),
    *columns('int64', 'frames', 'faces'),
    *columns('double', 'coverage', 'flips_per_minute', 'accuracy', 'ccc_valence', 'ccc_arousal'),
)
_PROFILE = columns('double', *SHARES, *MEASURES)

CONDITIONS = (
    *columns('string', 'bundle', 'condition', 'measure'),
    *columns('int64', 'participants'),
    *columns('double', 'mean', 'low', 'high', 'sd'),
)
COMPARISONS = (
    *columns('string', 'bundle', 'measure', 'condition', 'other', 'design'),
    *columns('int64', 'participants', 'other_participants', 'left_out'),
    *columns('double', 'difference', 'low', 'high', 'effect_size', 'p', 'p_holm'),
)

#: Keys of fleet.json that are columns of recordings.csv.
FIGURES = tuple(column.name for column in _FIGURES)


def head_columns(types: Mapping[str, str]) -> tuple[Column, ...]:
    """Return the leading columns, which identify the recording.

    :param types: {column: type} of the manifest; {} without a study.
    """
    return (*_WHO, *(Column(name, kind) for name, kind in types.items()))


def recordings_columns(types: Mapping[str, str]) -> tuple[Column, ...]:
    """Return the columns of recordings.csv.

    :param types: {column: type} of the manifest.
    """
    return (*head_columns(types), *_FIGURES, *_PROFILE)


def write_table(store: Store, name: str, of: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV, and as Parquet if pyarrow is installed.

    :param store: results store.
    :param name: file name without extension.
    :param of: columns.
    :param rows: cells.
    """
    rows, written = list(rows), io.BytesIO()
    store.write(f'{name}.csv', csv_content([column.name for column in of], rows))
    try:
        table = ParquetTable(written, of)
    except ImportError:
        return
    table.add(rows)
    table.close()
    store.write(f'{name}.parquet', written.getvalue())


def dictionary(tables: Sequence[str], types: Mapping[str, str], manifest: str) -> str:
    """Compose the data dictionary: the sections of docs/columns.md about the given tables.

    :param tables: names of sections, such as recordings.csv.
    :param types: {column: type} of the manifest.
    :param manifest: its path.
    :raises FacialEmotionError: if docs/columns.md is not installed.
    """
    with open(find_shared('docs', 'columns.md'), encoding='utf-8') as file:
        sections = dict(re.findall(r'^## (\S+)\n(.*?)(?=^## |\Z)', file.read(), re.MULTILINE | re.DOTALL))
    rows = ''.join(f'| `{name}` | {kind} |\n' for name, kind in types.items())
    own = f'## Columns of {os.path.basename(manifest)}\n\n| column | type |\n|---|---|\n{rows}\n'
    texts = [f'## {name}\n{sections[name].rstrip()}\n' for name in tables]
    # Remove links: their target pages are not in the output.
    linked = re.sub(r'\[([^]]+)\]\([^)]*\)', r'\1', '\n'.join([own, *texts]))
    return f'# Columns of the tables\n\nIn CSV, an empty cell is no value.\n\n{linked}'
