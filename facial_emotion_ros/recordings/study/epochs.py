"""Event-related averages: cut epochs around events, resample, subtract the baseline, and average."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.annotation_files import SAME_S, doubt
from facial_emotion_ros.recordings.evaluation.camera_run import longest_step_s
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.evaluation.tables import Column, columns
from facial_emotion_ros.recordings.study.conditions import interval_of_means, number
from facial_emotion_ros.recordings.study.events import Event, is_event_file, source_name, times_of
from facial_emotion_ros.recordings.study.face_rows import MEASURES, FaceRows
from facial_emotion_ros.recordings.study.study_tables import write_table

#: Columns of events.csv, a row per event and time step; in a study, after the leading columns of recordings.csv.
EPOCHS = (
    *columns('string', 'event'),
    *columns('int64', 'number'),
    *columns('double', 'event_s', 'offset_s', *MEASURES),
)

#: Columns of event_averages.csv.
AVERAGES = (
    *columns('string', 'bundle', 'condition', 'event'),
    *columns('double', 'offset_s'),
    *columns('string', 'measure', 'unit'),
    *columns('int64', 'n'),
    *columns('double', 'mean', 'low', 'high'),
)

EVENT_TABLES = tuple(f'{name}.{ending}' for name in ('events', 'event_averages') for ending in ('csv', 'parquet'))


class Window(NamedTuple):
    """Time window around an event, start_s to end_s, sampled at rate_hz; baseline: (from, to) in s, or () for none."""

    start_s: float = -1.0
    end_s: float = 3.0
    rate_hz: float = 10.0
    baseline: tuple[float, ...] = ()

    def offsets(self) -> np.ndarray:
        """Return the time steps, (T,) float64 in s; if the window includes 0, one of them is 0."""
        first, last = (round(each * self.rate_hz) for each in (self.start_s, self.end_s))
        return np.arange(first, last + 1) / self.rate_hz

    def check(self) -> None:
        """Check the values.

        :raises BadParameter: if the window has fewer than 2 or more than 1,000 steps, or none in the baseline.
        """
        if not 0.01 <= self.rate_hz <= 1000 or not 2 <= (self.end_s - self.start_s) * self.rate_hz <= 1000:
            raise BadParameter(
                '--event-window and --event-rate: expected 2 to 1,000 steps between start and end, got '
                f'{self.start_s:g} to {self.end_s:g} s at {self.rate_hz:g} Hz'
            )
        if self.baseline and not self._in_baseline().any():
            raise BadParameter(
                f'--baseline: expected a time in the window of {self.start_s:g} to {self.end_s:g} s, got '
                f'{self.baseline[0]:g} to {self.baseline[1]:g}'
            )

    def corrected(self, values: np.ndarray) -> np.ndarray:
        """Subtract the baseline mean.

        :param values: (T, K) float64.
        :returns: (T, K); a column without a value in the baseline becomes NaN.
        """
        if not self.baseline:
            return values
        before = values[self._in_baseline()]
        count = np.isfinite(before).sum(0)
        means = np.divide(np.nansum(before, 0), count, out=np.full(values.shape[1], np.nan), where=count > 0)
        return values - means

    def _in_baseline(self):
        offsets = self.offsets()
        return (offsets >= self.baseline[0] - 1e-9) & (offsets <= self.baseline[1] + 1e-9)


def window_of(options: Options) -> Window:
    """Return the window that options define."""
    start_s, end_s, rate_hz = options.event_window
    return Window(start_s, end_s, rate_hz, options.baseline)


class Epoch(NamedTuple):
    """Values around one event: condition and participant ('' without a study); number: index in its recording; values:
    (T, 10) of MEASURES; head: leading cells of its rows.
    """

    bundle: str
    condition: str
    participant: str
    name: str
    number: int
    event_s: float
    values: np.ndarray
    head: tuple[Any, ...] = ()


class EventAverage(NamedTuple):
    """Average over events of the same bundle, condition and name; events: their number; used: those with a value; unit:
    'participant' or 'event'; n: (T, 10) number of units; mean, low, high: (T, 10) of MEASURES, NaN if unknown.
    """

    bundle: str
    condition: str
    name: str
    events: int
    used: int
    unit: str
    n: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def epochs_of(
    faces: FaceRows, events: Sequence[Event], window: Window, bundle: str, words: Mapping[str, Any], head: Any = ()
) -> list[Epoch]:
    """Cut epochs around events out of a recording.

    Values are averaged over the faces of an image, interpolated linearly between images, and averaged over cameras.

    :param faces: faces of the recording.
    :param events: events of the recording.
    :param window: time window.
    :param bundle: name of the network.
    :param words: the manifest's row; {} without a study.
    :param head: leading cells of the rows.
    :returns: one epoch per event; none for events :func:`outside` the recording.
    """
    offsets, lines = window.offsets(), [_line(faces, camera) for camera in dict.fromkeys(faces.cameras)]
    found = []
    times = times_of(faces, events).tolist()
    for place, (event, event_s, is_outside) in enumerate(zip(events, times, outside(faces, events, window))):
        if is_outside:
            continue
        values = _mean([_resampled(line, event_s + offsets) for line in lines], (len(offsets), len(MEASURES)))
        who = words.get('condition') or '', words.get('participant') or ''
        found.append(Epoch(bundle, *who, event.name, place, event_s, window.corrected(values), tuple(head)))
    return found


def outside(faces: FaceRows, events: Sequence[Event], window: Window) -> list[bool]:
    """Mark the events whose whole window is before the first or after the last image."""
    if not len(faces.times_s):
        return [True] * len(events)
    times = times_of(faces, events)
    first_s, last_s = faces.times_s.min() - window.end_s, faces.times_s.max() - window.start_s
    return ((times < first_s - SAME_S) | (times > last_s + SAME_S)).tolist()


def outside_text(times: Sequence[float], among: int, source: str, length_s: float = 0.0) -> str:
    """Describe how many events lie outside; '' for none.

    :param times: times of the events outside.
    :param among: number of all events.
    :param source: file or topic, as in the options.
    :param length_s: length of the recording; 0 for several recordings.
    """
    where = f'the recording, which lasts from 0 to {length_s:.1f} s' if length_s else 'the recordings'
    asked = doubt(times, among) if is_event_file(source) else ''  # topics have times in seconds
    told = f'{source_name(source)}: {len(times)} of {among} events lie outside {where} and are left out{asked}'
    return told if times else ''


def averages_of(epochs: Sequence[Epoch]) -> list[EventAverage]:
    """Average epochs of the same network, condition and name: over participants if these are known, else over events.

    Source: Student's t interval of the mean (Biometrika, 1908).
    """
    groups: dict[tuple[str, str, str], list[Epoch]] = {}
    for epoch in epochs:
        groups.setdefault((epoch.bundle, epoch.condition, epoch.name), []).append(epoch)
    found = []
    for key, of in groups.items():
        persons = list(dict.fromkeys(epoch.participant for epoch in of))
        unit = 'participant' if all(persons) else 'event'
        shape = of[0].values.shape
        if unit == 'participant':
            cases = [_mean([epoch.values for epoch in of if epoch.participant == name], shape) for name in persons]
        else:
            cases = [epoch.values for epoch in of]
        used = sum(bool(np.isfinite(epoch.values).any()) for epoch in of)
        low, high = (each.reshape(shape) for each in interval_of_means(np.stack(cases).reshape(len(cases), -1)))
        counts = np.isfinite(cases).sum(0)
        found.append(EventAverage(*key, len(of), used, unit, counts, _mean(cases, shape), low, high))
    return found


def write_events(
    store: Store, epochs: Sequence[Epoch], window: Window, head: Sequence[Column] = ()
) -> list[EventAverage]:
    """Write events.csv and event_averages.csv, also as Parquet.

    :param store: results store.
    :param epochs: epochs of all recordings.
    :param window: their window.
    :param head: columns of the epochs' `head`.
    :returns: the averages.
    """
    offsets, averages = window.offsets().round(6).tolist(), averages_of(epochs)
    rows = (
        (*each.head, each.name, each.number, round(each.event_s, 6), offset, *map(number, values))
        for each in epochs
        for offset, values in zip(offsets, each.values)
    )
    write_table(store, 'events', (*head, *EPOCHS), rows)
    write_table(store, 'event_averages', AVERAGES, _average_rows(averages, offsets))
    return averages


def _average_rows(averages, offsets):
    for of in averages:
        for place, offset in enumerate(offsets):
            for column, measure in enumerate(MEASURES):
                cells = (number(each[place, column]) for each in (of.mean, of.low, of.high))
                count = int(of.n[place, column])
                yield (of.bundle, of.condition, of.name, offset, measure, of.unit, count, *cells)


def _line(faces, camera):
    """Return the times of a camera's images with a face, (M,), their values averaged over faces, (M, 10), and the
    longest gap to interpolate over.
    """
    here = faces.cameras == camera
    steps = np.diff(np.unique(faces.times_s[here]))
    seen = here & (faces.words != '')
    times, places = np.unique(faces.times_s[seen], return_inverse=True)
    sums = np.zeros((len(times), len(MEASURES)))
    np.add.at(sums, places, faces.values[seen])
    means = sums / np.bincount(places, minlength=len(times))[:, None]
    return times, means, longest_step_s(float(np.median(steps)) if len(steps) else 0.0)


def _resampled(line, wanted):
    """Interpolate linearly at the wanted times; NaN before the first and after the last image, and in gaps."""
    times, values, longest_s = line
    found = np.full((len(wanted), values.shape[1]), np.nan)
    if not len(times):
        return found
    after = np.searchsorted(times, wanted - SAME_S).clip(0, len(times) - 1)
    before = np.where(np.abs(times[after] - wanted) <= SAME_S, after, after - 1).clip(0)
    known = (times[before] <= wanted + SAME_S) & (times[after] >= wanted - SAME_S)
    known &= times[after] - times[before] <= longest_s
    for column in range(values.shape[1]):
        found[known, column] = np.interp(wanted[known], times, values[:, column])
    return found


def _mean(arrays, shape):
    """Average arrays, ignoring NaN."""
    if not len(arrays):
        return np.full(shape, np.nan)
    stacked = np.stack(arrays)
    count = np.isfinite(stacked).sum(0)
    return np.divide(np.nansum(stacked, 0), count, out=np.full(shape, np.nan), where=count > 0)
