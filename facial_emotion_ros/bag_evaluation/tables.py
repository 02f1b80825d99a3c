"""The tables of an evaluation: one row a face and image, as CSV and as Parquet; and what each image took."""

import csv
import os

from facial_emotion_ros.atomic_file import finish, part_of
from facial_emotion_ros.emotions import EMOTIONS
from facial_emotion_ros.plain_text import cell

#: Rows that are written to Parquet at once.
_GROUP = 4096

_FACE = ('face_id', 'x0', 'y0', 'x1', 'y1', 'box_score', 'emotion', 'confidence', 'agreement', 'valence', 'arousal',
         'doubts')
_RAW = ('raw_emotion', 'raw_confidence', 'raw_agreement', 'raw_valence', 'raw_arousal')
_TRUTH = ('true_emotion', 'true_valence', 'true_arousal', 'person')

#: Columns of frames.csv and frames.parquet. A frame without a face has one row, whose other columns are empty.
COLUMNS = ('camera', 'frame', 'stamp_ns', 'time_s', *_FACE, *(f'score_{emotion}' for emotion in EMOTIONS), *_RAW,
           *(f'raw_score_{emotion}' for emotion in EMOTIONS), *_TRUTH)

_WORDS = {'camera', 'face_id', 'emotion', 'doubts', 'raw_emotion', 'true_emotion', 'person'}
_WHOLE = {'frame', 'stamp_ns'}

TIMING_COLUMNS = ('camera', 'frame', 'read_ms', 'decode_ms', 'detect_ms', 'estimate_ms')


def rows_of(frame, time_s, faces):
    """Make the rows of one image.

    :param frame: Frame.
    :param time_s: seconds since the recording's first image.
    :param faces: list of (FaceEstimate, Truth or None).
    :returns: list of tuples in the order of COLUMNS, of str, int, float (rounded) and None.
    """
    head = (frame.camera, frame.number, frame.stamp_ns, round(time_s, 6))
    if not faces:
        return [head + (None,) * (len(COLUMNS) - len(head))]
    return [head + _row(estimate, truth) for estimate, truth in faces]


def _row(estimate, truth):
    raw = estimate.raw
    numbers = (*estimate.box, estimate.box_score)
    told = (truth.emotion or None, truth.valence, truth.arousal, truth.person or None) if truth else (None,) * 4
    return tuple(round(value, 6) if isinstance(value, float) else value for value in (
        estimate.face_id, *numbers, estimate.emotion, estimate.confidence, estimate.agreement, estimate.valence,
        estimate.arousal, ' '.join(estimate.doubts), *(estimate.scores[emotion] for emotion in EMOTIONS), raw.emotion,
        raw.confidence, raw.agreement, raw.valence, raw.arousal, *(raw.scores[emotion] for emotion in EMOTIONS), *told))


class CsvTable:
    """A CSV file that has its name when it is complete."""

    def __init__(self, path, columns):
        """Begin it.

        :param path: of the file.
        :param columns: names of the first line.
        """
        self.path, self._part = path, part_of(path)
        self._file = open(self._part, 'w', newline='', encoding='utf-8')
        self._rows = csv.writer(self._file, lineterminator='\n')
        self._rows.writerow(columns)

    def add(self, rows):
        """Write rows."""
        self._rows.writerows([cell(value) for value in row] for row in rows)

    def close(self):
        """Finish the file.

        :raises OSError: if the disk does not take it.
        """
        self._file.close()
        finish(self._part, self.path)

    def discard(self):
        """Delete it."""
        _close_quietly(self._file)
        _delete(self._part)


class ParquetTable:
    """The same rows as Parquet, typed: categories as words, stamps as whole numbers, an empty cell as null."""

    def __init__(self, path):
        """Begin it.

        :param path: of the file.
        :raises ImportError: if pyarrow is not installed.
        """
        import pyarrow
        from pyarrow import parquet

        kinds = {name: pyarrow.string() if name in _WORDS else pyarrow.int64() if name in _WHOLE else pyarrow.float64()
                 if name == 'time_s' else pyarrow.float32() for name in COLUMNS}
        self._schema = pyarrow.schema(list(kinds.items()))
        self._pyarrow, self.path, self._part, self._waiting = pyarrow, path, part_of(path), []
        self._writer = parquet.ParquetWriter(self._part, self._schema, compression='zstd')

    def add(self, rows):
        """Take rows; they are written in groups."""
        self._waiting += rows
        if len(self._waiting) >= _GROUP:
            self._write_group()

    def _write_group(self):
        if self._waiting:
            columns = [self._pyarrow.array(column, field.type) for column, field in zip(zip(*self._waiting),
                                                                                        self._schema)]
            self._writer.write_table(self._pyarrow.Table.from_arrays(columns, schema=self._schema))
            self._waiting = []

    def close(self):
        """Finish the file."""
        self._write_group()
        self._writer.close()
        finish(self._part, self.path)

    def discard(self):
        """Delete it."""
        _close_quietly(self._writer)
        _delete(self._part)


def _close_quietly(file):
    try:
        file.close()
    except Exception:  # it is deleted anyway
        pass


def _delete(path):
    if os.path.exists(path):
        os.remove(path)
