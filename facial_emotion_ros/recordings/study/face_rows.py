"""The faces of one recording, read back from its table of frames as arrays."""

import csv
import io
import sys
from array import array
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN

#: What is averaged: the score of each emotion, valence and arousal.
MEASURES = (*(f'score_{each}' for each in EMOTIONS), 'valence', 'arousal')

#: Words of the estimates, and the measures of how often each was published.
WORDS = (*EMOTIONS, UNKNOWN)
SHARES = tuple(f'share_{each}' for each in WORDS)

_TEXTS, _NUMBERS = ('camera', 'emotion'), ('time_s', *MEASURES)


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
    found = _from_parquet(parquet_bytes) or _from_csv(csv_bytes)
    if found is None:
        return None
    cameras, words, stamps, numbers = found
    columns = np.asarray(numbers, np.float64)
    return FaceRows(
        np.array(cameras, object),
        np.asarray(stamps, np.int64),
        columns[:, 0],
        np.array(words, object),
        columns[:, 1:],
    )


def _from_parquet(content):
    if content is None:
        return None
    try:
        from pyarrow import parquet
    except ImportError:
        return None
    table = parquet.read_table(io.BytesIO(content), columns=[*_TEXTS, 'stamp_ns', *_NUMBERS])
    cameras, words, stamps = (table.column(name).to_pylist() for name in (*_TEXTS, 'stamp_ns'))
    numbers = [table.column(name).to_numpy().astype(np.float64) for name in _NUMBERS]
    return cameras, [word or '' for word in words], stamps, np.stack(numbers, 1)


def _from_csv(content):
    if content is None:
        return None
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), 'utf-8', newline=''))
    header = next(rows)
    camera, word, stamp, *places = (header.index(name) for name in (*_TEXTS, 'stamp_ns', *_NUMBERS))
    cameras, words, stamps, numbers = [], [], array('q'), array('d')
    for row in rows:
        cameras.append(sys.intern(row[camera]))
        words.append(sys.intern(row[word]))
        stamps.append(int(row[stamp]))
        numbers.extend(float(row[place] or 'nan') for place in places)
    return cameras, words, stamps, np.frombuffer(numbers, np.float64).reshape(-1, len(_NUMBERS))
