"""Write the tables of an evaluation: frames.csv and frames.parquet (a row per face and image), and timings.csv."""

import csv
import io
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import IO, Any, NamedTuple

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.estimates import FaceEstimate
from facial_emotion_ros.core.text import cell
from facial_emotion_ros.recordings.evaluation.ground_truth import GroundTruth
from facial_emotion_ros.recordings.io.frames import Frame

#: Number of rows in a Parquet row group.
_GROUP = 4096


class Column(NamedTuple):
    """A column and its type in the Parquet file; docs/columns.md explains it."""

    name: str
    type: str


def columns(kind: str, *names: str) -> tuple[Column, ...]:
    """Create columns of one type."""
    return tuple(Column(name, kind) for name in names)


_IMAGE = (*columns('string', 'camera'), *columns('int64', 'frame', 'stamp_ns'), *columns('double', 'time_s'))
_SCORES = tuple(f'score_{each}' for each in EMOTIONS)
_FACE = (
    *columns('string', 'face_id'),
    *columns('float', 'x0', 'y0', 'x1', 'y1', 'box_score'),
    *columns('string', 'emotion'),
    *columns('float', 'confidence', 'agreement', 'valence', 'arousal'),
    *columns('string', 'rejection_reasons'),
    *columns('float', *_SCORES),
    *columns('string', 'raw_emotion'),
    *columns('float', 'raw_confidence', 'raw_agreement', 'raw_valence', 'raw_arousal'),
    *columns('float', *(f'raw_{each}' for each in _SCORES)),
    *columns('string', 'true_emotion'),
    *columns('float', 'true_valence', 'true_arousal'),
    *columns('string', 'person'),
)

#: Columns of frames.csv and frames.parquet. An image without faces has one row with empty face columns.
FRAMES = _IMAGE + _FACE

#: Columns of timings.csv, a row per readable image.
TIMINGS = (
    *columns('string', 'camera'),
    *columns('int64', 'frame'),
    *columns('float', 'read_ms', 'decode_ms', 'detect_ms', 'estimate_ms'),
)


def frame_rows(
    frame: Frame, time_s: float, faces: Sequence[tuple[FaceEstimate, GroundTruth | None]]
) -> list[tuple[Any, ...]]:
    """Create the rows of one image.

    :param frame: the image.
    :param time_s: seconds since the recording's first image.
    :param faces: its faces, each with its ground truth or None.
    :returns: rows with the columns FRAMES, of str, int, float (rounded) and None.
    """
    head = (frame.camera, frame.number, frame.stamp_ns, round(time_s, 6))
    return [head + _face_cells(*face) for face in faces] or [head + (None,) * len(_FACE)]


def _face_cells(estimate, truth):
    raw, truth = estimate.raw, truth or GroundTruth()
    cells = (
        estimate.face_id,
        *estimate.box,
        estimate.box_score,
        *_estimate_cells(estimate),
        ' '.join(estimate.rejection_reasons),
        *(estimate.scores[emotion] for emotion in EMOTIONS),
        *_estimate_cells(raw),
        *(raw.scores[emotion] for emotion in EMOTIONS),
        *(truth.emotion or None, truth.valence, truth.arousal, truth.person or None),
    )
    return tuple(round(value, 6) if isinstance(value, float) else value for value in cells)


def _estimate_cells(estimate):
    return estimate.emotion, estimate.confidence, estimate.agreement, estimate.valence, estimate.arousal


def csv_content(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Format a table as CSV.

    :param names: column names.
    :param rows: cells.
    """
    written = io.StringIO(newline='')
    _write_rows(written, [names])
    _write_rows(written, rows)
    return written.getvalue().encode('utf-8')


def _write_rows(file, rows):
    csv.writer(file, lineterminator='\n').writerows([cell(value) for value in row] for row in rows)


class _Table:
    """A table file that is written incrementally."""

    _file: Any

    def close(self) -> None:
        """Complete the file.

        :raises OSError: if writing fails.
        """
        self._file.close()

    def discard(self) -> None:
        """Close the file, which will be deleted with its folder."""
        with suppress(Exception):  # such as a full disk
            self._file.close()


class CsvTable(_Table):
    """A CSV file."""

    def __init__(self, path: str, columns: Sequence[Column]):
        """Create the file with its header line.

        :param path: path of the file.
        :param columns: its columns.
        """
        self._file = open(path, 'w', newline='', encoding='utf-8')
        self.add([[column.name for column in columns]])

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Write rows."""
        _write_rows(self._file, rows)


class ParquetTable(_Table):
    """A Parquet file; empty cells are null."""

    def __init__(self, file: str | IO[bytes], columns: Sequence[Column]):
        """Create the file.

        :param file: path or file object.
        :param columns: its columns.
        :raises ImportError: if pyarrow is not installed.
        """
        import pyarrow
        from pyarrow import parquet

        self._schema = pyarrow.schema([(column.name, column.type) for column in columns])
        self._pyarrow = pyarrow
        self._waiting: list[Sequence[Any]] = []
        self._file = parquet.ParquetWriter(file, self._schema, compression='zstd')

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        """Add rows, which are written in groups."""
        self._waiting += rows
        if len(self._waiting) >= _GROUP:
            self._write_group()

    def _write_group(self):
        if self._waiting:
            columns = [self._pyarrow.array(each, kind.type) for each, kind in zip(zip(*self._waiting), self._schema)]
            self._file.write_table(self._pyarrow.Table.from_arrays(columns, schema=self._schema))
            self._waiting = []

    def close(self) -> None:
        """See _Table."""
        self._write_group()
        super().close()
