"""The tables of a study, as CSV and Parquet, and the dictionary of their columns."""

import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.tables import Column, ParquetTable, columns, csv_content
from facial_emotion_ros.recordings.study.face_rows import MEASURES, SHARES

#: Written beside the tables: what their columns mean. docs/columns.md holds the texts.
DICTIONARY = 'columns.md'

_WHO = columns('string', 'bag', 'bundle')

#: Of recordings.csv, after _WHO and the columns of the manifest.
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

#: Names of figures of fleet.json in recordings.csv.
FIGURES = tuple(column.name for column in _FIGURES)


def head_columns(types: Mapping[str, str]) -> tuple[Column, ...]:
    """Give the columns that say which recording a row is of.

    :param types: of the manifest's columns; {} without a study.
    """
    return (*_WHO, *(Column(name, kind) for name, kind in types.items()))


def recordings_columns(types: Mapping[str, str]) -> tuple[Column, ...]:
    """Give the columns of recordings.csv.

    :param types: of the manifest's columns.
    """
    return (*head_columns(types), *_FIGURES, *_PROFILE)


def write_table(store: Store, name: str, of: Sequence[Column], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table as CSV, and as Parquet where pyarrow is installed.

    :param store: of the results.
    :param name: of the files, without its ending.
    :param of: its columns.
    :param rows: their cells.
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
    """Write what the columns of some tables mean: docs/columns.md, as far as it is about them.

    :param tables: names of its sections, such as recordings.csv.
    :param types: of the manifest's columns.
    :param manifest: its path.
    :raises FacialEmotionError: if docs/columns.md is not installed.
    """
    with open(find_shared('docs', 'columns.md'), encoding='utf-8') as file:
        sections = dict(re.findall(r'^## (\S+)\n(.*?)(?=^## |\Z)', file.read(), re.MULTILINE | re.DOTALL))
    rows = ''.join(f'| `{name}` | {kind} |\n' for name, kind in types.items())
    own = f'## Columns of {os.path.basename(manifest)}\n\n| column | type |\n|---|---|\n{rows}\n'
    texts = [f'## {name}\n{sections[name].rstrip()}\n' for name in tables]
    # The pages that it links to are not here.
    linked = re.sub(r'\[([^]]+)\]\([^)]*\)', r'\1', '\n'.join([own, *texts]))
    return f'# Columns of the tables\n\nIn CSV, an empty cell is no value.\n\n{linked}'
