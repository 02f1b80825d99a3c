"""Read a recording's frames.csv into arrays."""

import csv
import io
import sys
from array import array
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.text import cell, uncell
from facial_emotion_ros.recordings.evaluation.camera_run import durations_of
from facial_emotion_ros.recordings.evaluation.sufficient_statistics import WORDS

#: Averaged measures: the score of each emotion, valence and arousal.
MEASURES = (*(f'score_{each}' for each in EMOTIONS), 'valence', 'arousal')

#: Shares of time for which each emotion (or `unknown`) was published.
SHARES = tuple(f'share_{each}' for each in WORDS)

#: Columns of frames.csv read as text, integers and floats; frames.parquet has the latter as float32 only.
_TEXTS, _WHOLE, _NUMBERS = ('camera', 'emotion', 'face_id', 'person'), ('stamp_ns', 'frame'), ('confidence', *MEASURES)


class FaceRows(NamedTuple):
    """One row per face and image; images without faces have one row with empty values ('' or NaN).

    cameras: (N,) of str; stamps_ns: (N,) int64; times_s: (N,) float64, since the recording's first image; words: (N,)
    of str, published emotions; values: (N, 10) float64 of MEASURES; frames: (N,) int64, number of the image; face_ids:
    (N,) of str; persons: (N,) of str, by the ground truth, '' if it names nobody; confidences: (N,) float64.
    """

    cameras: np.ndarray
    stamps_ns: np.ndarray
    times_s: np.ndarray
    words: np.ndarray
    values: np.ndarray
    frames: np.ndarray
    face_ids: np.ndarray
    persons: np.ndarray
    confidences: np.ndarray

    def durations(self) -> np.ndarray:
        """Return the duration of each row's image within its camera, see :func:`.durations_of`, (N,) float64 in s."""
        found = np.zeros(len(self.frames))
        for camera in dict.fromkeys(self.cameras):
            places = np.flatnonzero(self.cameras == camera)
            _, firsts, images = np.unique(self.frames[places], return_index=True, return_inverse=True)
            found[places] = durations_of(self.times_s[places][firsts])[images]
        return found

    def seconds(self, lengths_s: np.ndarray, chosen: np.ndarray) -> float:
        """Return the length of the union of some rows' time intervals, in s.

        :param lengths_s: (N,) float64 from :meth:`durations`.
        :param chosen: (N,) bool, or indices.
        """
        begins, lengths_s = self.times_s[chosen], lengths_s[chosen]
        if not len(begins):
            return 0.0
        order = np.argsort(begins, kind='stable')
        begins, ends = begins[order], (begins + lengths_s)[order]
        before = np.maximum.accumulate(np.concatenate([begins[:1], ends[:-1]]))
        return float(np.maximum(ends - np.maximum(begins, before), 0.0).sum())

    def profile(self) -> np.ndarray:
        """Average over all faces in all images, weighted by the images' durations.

        :returns: (19,) float64: SHARES, then MEASURES; NaN if there is no face.
        """
        seen = self.words != ''
        if not seen.any():
            return np.full(len(SHARES) + len(MEASURES), np.nan)
        words, weights = self.words[seen], weights_of(self.durations()[seen])
        return np.concatenate([[weights @ (words == word) for word in WORDS], weights @ self.values[seen]])


def places_by(keys: np.ndarray, places: Iterable[int]) -> dict[Any, np.ndarray]:
    """Group indices of an array by the value at each, in order of first occurrence."""
    found: dict[Any, list[int]] = {}
    for place in places:
        found.setdefault(keys[place], []).append(place)
    return {key: np.array(each, np.int64) for key, each in found.items()}


def weights_of(lengths_s: np.ndarray) -> np.ndarray:
    """Normalize durations, (N,) float64 with N >= 1, to weights with sum 1; equal weights if all are 0."""
    return lengths_s / lengths_s.sum() if lengths_s.any() else np.full(len(lengths_s), 1 / len(lengths_s))


def read_face_rows(content: bytes) -> FaceRows:
    """Parse a table of frames.

    :param content: of frames.csv.
    :raises Exception: ValueError, IndexError, StopIteration or csv.Error, if it is damaged.
    """
    rows = csv.reader(io.TextIOWrapper(io.BytesIO(content), 'utf-8', newline=''))
    header = next(rows)
    text_places, whole_places, number_places = (
        [header.index(name) for name in names] for names in (_TEXTS, _WHOLE, _NUMBERS)
    )
    time_place = header.index('time_s')
    texts: list[list[str]] = [[] for _ in _TEXTS]
    whole, times, numbers = [array('q') for _ in _WHOLE], array('d'), array('d')
    for row in rows:
        for column, place in zip(texts, text_places):
            column.append(sys.intern(uncell(row[place])))
        for integers, place in zip(whole, whole_places):
            integers.append(int(row[place]))
        times.append(float(row[time_place]))
        numbers.extend(float(row[place] or 'nan') for place in number_places)
    cameras, words, face_ids, persons = (np.array(column, object) for column in texts)
    stamps, frames = (np.asarray(column, np.int64) for column in whole)
    values = np.frombuffer(numbers, np.float64).reshape(-1, len(_NUMBERS))
    return FaceRows(
        cameras, stamps, np.asarray(times, np.float64), words, values[:, 1:], frames, face_ids, persons, values[:, 0]
    )


def as_in_csv(text: str) -> str:
    """Convert foreign text, such as a ground-truth name, to its printable form in frames.csv."""
    return uncell(cell(text))
