"""Read the events of a recording, times and names, from a CSV file or from one of its topics."""

import os
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.csv_rows import number_of, read_csv, text_of
from facial_emotion_ros.core.errors import BadBag, BadDataset, BadParameter
from facial_emotion_ros.recordings.batch.recording_discovery import end_named, ends_of
from facial_emotion_ros.recordings.evaluation.annotation_files import is_stamp
from facial_emotion_ros.recordings.evaluation.face_log import readable
from facial_emotion_ros.recordings.evaluation.tables import csv_content
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import stamp_of
from facial_emotion_ros.recordings.study.face_rows import FaceRows

#: Events read from a topic, written in the CSV format of --events.
EVENT_TIMES = 'event_times.csv'

#: File name endings; anything else is a topic.
EVENT_ENDINGS = ('.csv',)

#: Events up to this long before the first or after the last image still belong to the recording.
_BESIDE_S = 10.0

#: Fields that name an event if none is given: of std_msgs, speech (hri_msgs/LiveSpeech) and markers.
_FIELDS = ('data', 'final', 'text', 'name', 'event', 'label', 'markers', 'ns')


class Event(NamedTuple):
    """time: seconds since the recording's first image, or a stamp (seconds since 1970); recording: its path or the end
    of it, '' for all recordings.
    """

    time: float
    name: str
    recording: str = ''


def times_of(faces: FaceRows, events: Sequence[Event]) -> np.ndarray:
    """Return event times in s since the recording's first image, (N,) float64; stamps are converted by the nearest
    image.
    """
    times = np.array([event.time for event in events], np.float64)
    is_of_clock = np.array([is_stamp(each) for each in times], bool)
    if len(faces.stamps_ns) and is_of_clock.any():
        order = np.argsort(faces.stamps_ns, kind='stable')
        stamps = faces.stamps_ns[order] / 1e9
        after = np.searchsorted(stamps, times[is_of_clock]).clip(1 if len(stamps) > 1 else 0, len(stamps) - 1)
        before = (after - 1).clip(0)
        nearest = np.where(times[is_of_clock] - stamps[before] <= stamps[after] - times[is_of_clock], before, after)
        times[is_of_clock] += faces.times_s[order[nearest]] - stamps[nearest]
    return times


def is_event_file(text: str) -> bool:
    """Return whether --events names a CSV file rather than a topic."""
    return text.lower().endswith(EVENT_ENDINGS)


def source_name(text: str) -> str:
    """Return the file name or topic of --events for display."""
    return os.path.basename(text) if is_event_file(text) else text


def read_events(path: str) -> list[Event]:
    """Read a CSV file of events.

    :param path: CSV file with a header line: time, name and, if several recordings share it, recording (a path or the
        end of one). Times as in ground-truth files.
    :raises BadDataset: if a line cannot be read.
    """
    return parse_events(text_of(path, 'CSV file of events'), path)


def parse_events(text: str, where: str) -> list[Event]:
    """Parse the text of a CSV file of events; see :func:`read_events`."""
    table = read_csv(text, where, ('time', 'name', 'recording'), ('time',))
    if not {'time', 'name'} <= set(table.names):
        raise BadDataset(
            f'{where}: expected a header line with the columns time and name, got {",".join(table.names) or "nothing"}'
        )
    found = []
    for line, row in table.rows:
        time = number_of(row['time'], f'{where}, line {line}', 'a time in seconds')
        if time > 1e11:
            raise BadDataset(f'{where}, line {line}: expected a time in seconds, got {row["time"]!r}')
        found.append(Event(time, row['name'] or 'event', row.get('recording', '')))
    return found


def events_text(events: Sequence[Event]) -> bytes:
    """Format events as CSV for :func:`read_events`, without recordings."""
    return csv_content(('time', 'name'), ((each.time, each.name) for each in events))


class EventsByRecording:
    """Events of a file, indexed by the recordings that they name."""

    def __init__(self, events: Sequence[Event]):
        """Build the index."""
        self._events: dict[tuple[str, ...], list[tuple[int, Event]]] = {}
        for number, event in enumerate(events):
            self._events.setdefault(end_named(event.recording), []).append((number, event))

    def of(self, place: str) -> list[Event]:
        """Return the events of a recording: those that name its path or the end of it, and those that name none."""
        found = [each for named in ends_of(place) for each in self._events.get(named, ())]
        return [event for _, event in sorted(found, key=lambda each: each[0])]

    def check(self, places: Sequence[str], where: str) -> None:
        """Check that all events name known recordings.

        :raises BadDataset: naming the first event that does not.
        """
        known = {named for place in places for named in ends_of(place)}
        for named, events in self._events.items():
            if named not in known:
                raise BadDataset(
                    f'{where}: expected events of the evaluated recordings, such as {places[0]}, got one of '
                    f'{events[0][1].recording!r}'
                )


def events_of(events: Sequence[Event], place: str) -> list[Event]:
    """Return the events of one recording, see :meth:`EventsByRecording.of`."""
    return EventsByRecording(events).of(place)


def topic_events(
    bag: BagFile, text: str, first_s: float, shift_s: float = 0.0, notes: list[str] | None = None
) -> list[Event]:
    """Read the events of a topic.

    With a text field, each message is an event with that name; empty texts are skipped. With a number or bool, each
    change of the value is an event.

    :param bag: open recording.
    :param text: TOPIC or TOPIC:FIELD; FIELD may be nested (a.b), and lists are read element by element.
    :param first_s: stamp of the first image; if it is simulated time (small), event times become relative to it.
    :param shift_s: offset from receive times to image stamps, for messages without a stamp, and for topics whose stamps
        are of another clock: all lie outside the recording although the messages were recorded during it.
    :param notes: gets a note in the latter case.
    :raises BadBag: if the recording has no such topic, or its messages no such field.
    :raises BadParameter: if the text cannot be a topic.
    """
    check_topic(bag, text)
    topic, _, field = text.partition(':')
    named: list[tuple[float, float, str]] = []
    before: dict[tuple[int, ...], Any] = {}
    for message, fields in readable(bag, topic):
        recorded_s = message.receive_ns / 1e9 + shift_s
        has_stamp = hasattr(fields, 'header') and stamp_of(fields, 0)
        stamp_s = stamp_of(fields, 0) / 1e9 if has_stamp else recorded_s
        for place, value in _values(fields, field.split('.') if field else [], topic):
            if isinstance(value, str):
                named += [(stamp_s, recorded_s, value.strip())] if value.strip() else []
                continue
            state = value if value == value else 'nan'
            if before.setdefault(place, state) != state:
                element = f'[{", ".join(map(str, place))}] ' if place else ''
                named.append((stamp_s, recorded_s, f'{element}{value:g}'))
            before[place] = state
    begin_s = 0.0 if is_stamp(first_s) else first_s
    is_in = [[_is_in(bag, first_s, time_s) for time_s in times_s] for *times_s, _ in named]
    if any(recorded for _, recorded in is_in) and not any(stamped for stamped, _ in is_in):
        if notes is not None:
            notes.append(
                f'{topic}: stamps lie outside the recording, the first {named[0][0] - first_s:.6g} s from the first '
                'image, probably from another clock; the times of recording are used instead'
            )
        return [Event(recorded_s - begin_s, name) for _, recorded_s, name in named]
    return [Event(stamp_s - begin_s, name) for stamp_s, _, name in named]


def check_topic(bag: BagFile, text: str) -> None:
    """Check that the recording has a topic.

    :param text: TOPIC or TOPIC:FIELD.
    :raises BadBag: if the recording has no such topic.
    :raises BadParameter: if the text cannot be a topic.
    """
    topic = text.partition(':')[0]
    if topic not in bag.topics:
        there = ', '.join(sorted(bag.topics)) or 'none'
        kind = BadBag if topic.startswith('/') else BadParameter
        raise kind(f'--events: expected a CSV file (.csv) or a topic of the recording, got {topic}; topics: {there}')


def _is_in(bag, first_s, time_s):
    return -_BESIDE_S <= time_s - first_s <= bag.duration_s + _BESIDE_S


def _values(message: Any, path: list[str], topic: str) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield the values that name a message, each with its indices in the lists that contain it."""
    if hasattr(message, 'tolist'):
        message = message.tolist()
    if isinstance(message, (list, tuple)):
        for place, each in enumerate(message):
            yield from (((place, *places), value) for places, value in _values(each, path, topic))
        return
    if isinstance(message, (str, bool, int, float)):
        if path:
            raise BadBag(f'--events: {topic} has no field {".".join(path)} in a {type(message).__name__}')
        yield (), message
        return
    names = [name for name in path[:1] or _FIELDS if hasattr(message, name)]
    if path and not names:
        there = ', '.join(name for name in getattr(message, '__dataclass_fields__', ()) if name != '__msgtype__')
        raise BadBag(f'--events: expected a field of {topic}, got {path[0]}; it has {there}')
    for name in names:
        values = list(_values(getattr(message, name), path[1:], topic))
        if path or [value for _, value in values] != ['']:
            yield from values
            return
    if not names:
        yield (), topic
