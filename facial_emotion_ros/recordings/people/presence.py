"""For how long each face is seen, by the table of frames."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from facial_emotion_ros.recordings.study.face_rows import FaceRows


def seconds_of(rows: FaceRows, lengths_s: np.ndarray, chosen: np.ndarray) -> float:
    """Add up the time that some rows' images stand for; what several of them cover counts once.

    :param lengths_s: (N,) float64 of FaceRows.durations.
    :param chosen: (N,) bool, or places.
    """
    begins, lengths_s = rows.times_s[chosen], lengths_s[chosen]
    if not len(begins):
        return 0.0
    order = np.argsort(begins, kind='stable')
    begins, ends = begins[order], (begins + lengths_s)[order]
    before = np.maximum.accumulate(np.concatenate([begins[:1], ends[:-1]]))
    return float(np.maximum(ends - np.maximum(begins, before), 0.0).sum())


def places_by(keys: np.ndarray, places: Iterable[int]) -> dict[Any, np.ndarray]:
    """Group some places of an array by what stands there, in the order of their coming."""
    found: dict[Any, list[int]] = {}
    for place in places:
        found.setdefault(keys[place], []).append(place)
    return {key: np.array(each, np.int64) for key, each in found.items()}
