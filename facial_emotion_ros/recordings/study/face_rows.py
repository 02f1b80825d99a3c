"""The faces of one recording, read back from its table of frames as arrays."""

import csv
import io
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN

#: What is averaged: the score of each emotion, valence and arousal.
MEASURES = (*(f'score_{each}' for each in EMOTIONS), 'valence', 'arousal')

#: Words of the estimates, and the measures of how often each was published.
WORDS = (*EMOTIONS, UNKNOWN)
SHARES = tuple(f'share_{each}' for each in WORDS)

_IMAGE = ('camera', 'stamp_ns', 'time_s')


class FaceRows(NamedTuple):
    """A row for each face in each image, and one without values for an image without a face.

    cameras: (N,) of str; stamps_ns: (N,) int64; times_s: (N,) float64, since the recording's first image; words: (N,)
    of str, '' without a face; values: (N, 10) float64 of MEASURES, NaN without a face.
    """

    cameras: np.ndarray
    stamps_ns: np.ndarray
    times_s: np.ndarray
    words: np.ndarray
    values: np.ndarray

    def profile(self) -> np.ndarray:
        """Average over all faces in all images.

        :returns: (19,) float64: SHARES, then MEASURES; NaN where there is no face.
        """
        seen = self.words != ''
        if not seen.any():
            return np.full(len(SHARES) + len(MEASURES), np.nan)
        words, values = self.words[seen], self.values[seen]
        return np.concatenate([[np.mean(words == word) for word in WORDS], values.mean(0)])


def read_face_rows(csv_bytes: bytes | None, parquet_bytes: bytes | None) -> FaceRows | None:
    """Read a table of frames.

    :param csv_bytes: content of frames.csv.
    :param parquet_bytes: content of frames.parquet, which is read where it is given.
    :returns: None where neither is there.
    """
    columns = [*_IMAGE, 'emotion', *MEASURES]
    found = _from_parquet(parquet_bytes, columns) or _from_csv(csv_bytes, columns)
    if found is None:
        return None
    cameras, stamps, times, words, *values = found
    return FaceRows(
        np.array(cameras, object),
        np.array(stamps, np.int64),
        np.array(times, np.float64),
        np.array([word or '' for word in words], object),
        np.array([[np.nan if cell in (None, '') else float(cell) for cell in column] for column in values]).T,
    )


def _from_parquet(content, columns):
    if content is None:
        return None
    try:
        from pyarrow import parquet
    except ImportError:
        return None
    table = parquet.read_table(io.BytesIO(content), columns=columns)
    return [table.column(name).to_pylist() for name in columns]


def _from_csv(content, columns):
    if content is None:
        return None
    rows = csv.reader(io.StringIO(content.decode('utf-8'), newline=''))
    header = next(rows)
    places = [header.index(name) for name in columns]
    return list(zip(*([row[place] for place in places] for row in rows))) or [()] * len(columns)
