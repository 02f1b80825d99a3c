"""Events of a recording, from a CSV file or any of its topics: when something happened, and what."""

import csv
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from facial_emotion_ros.core.errors import BadBag, BadDataset
from facial_emotion_ros.recordings.batch.recording_discovery import name_of
from facial_emotion_ros.recordings.evaluation.annotation_files import is_stamp
from facial_emotion_ros.recordings.evaluation.face_log import readable
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import stamp_of
from facial_emotion_ros.recordings.study.face_rows import FaceRows

#: The list of events that were read from a topic, in the format of --events.
EVENT_TIMES = 'event_times.csv'

#: Fields that name an event, where none is given: of std_msgs, of speech (hri_msgs/LiveSpeech), of markers.
_FIELDS = ('data', 'final', 'text', 'name', 'event', 'label', 'markers', 'ns')


class Event(NamedTuple):
    """time: seconds since the recording's first image, or a stamp (seconds since 1970); name: what happened;
    recording: which one it is of, '' for each.
    """

    time: float
    name: str
    recording: str = ''

    def time_s(self, faces: FaceRows) -> float:
        """Give its time since the recording's first image, by the image of the nearest stamp."""
        if not is_stamp(self.time) or not len(faces.stamps_ns):
            return self.time
        place = abs(faces.stamps_ns / 1e9 - self.time).argmin()
        return float(faces.times_s[place] + (self.time - faces.stamps_ns[place] / 1e9))


def is_event_file(text: str) -> bool:
    """Tell whether --events names a CSV file, and not a topic."""
    return text.lower().endswith('.csv')


def read_events(path: str) -> list[Event]:
    """Read a CSV file of events.

    :param path: with a header line: time, name and, where several recordings share it, recording: a path, or the end of
        one. Times are as in the ground truth's.
    :raises BadDataset: if a line cannot be read, with its number.
    """
    try:
        with open(path, newline='', encoding='utf-8-sig') as file:
            return parse_events(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadDataset(f'{path}: expected a CSV file of events in UTF-8, it cannot be read ({error})') from error


def parse_events(text: str, where: str) -> list[Event]:
    """Read the text of a CSV file of events; see :func:`read_events`."""
    rows = csv.DictReader(io.StringIO(text, newline=''))
    rows.fieldnames = names = [name.strip().lower() for name in rows.fieldnames or []]
    if not {'time', 'name'} <= set(names):
        raise BadDataset(
            f'{where}: expected a first line that names the columns time and name, got {",".join(names) or "nothing"}'
        )
    found = []
    for row in rows:
        cells = {name: (row.get(name) or '').strip() for name in ('time', 'name', 'recording')}
        if not any(cells.values()):
            continue
        try:
            time = float(cells['time'])
        except ValueError:
            time = math.nan
        if not math.isfinite(time) or time > 1e11:
            raise BadDataset(f'{where}, line {rows.line_num}: expected a time in seconds, got {cells["time"]!r}')
        found.append(Event(time, cells['name'] or 'event', cells['recording']))
    return found


def events_text(events: Sequence[Event]) -> bytes:
    """Write events as read_events reads them, without recordings."""
    written = io.StringIO()
    csv.writer(written, lineterminator='\n').writerows([('time', 'name'), *((each.time, each.name) for each in events)])
    return written.getvalue().encode('utf-8')


class EventsByRecording:
    """Events of a file, by the recordings that they name."""

    def __init__(self, events: Sequence[Event]):
        """Sort them."""
        self._events: dict[tuple[str, ...], list[tuple[int, Event]]] = {}
        for number, event in enumerate(events):
            named = tuple(_parts(event.recording)) if event.recording else ()
            self._events.setdefault(named, []).append((number, event))

    def of(self, place: str) -> list[Event]:
        """Choose those of one recording: that name it or the end of its path, and those that name none."""
        found = [each for named in _ends(place) for each in self._events.get(named, ())]
        return [event for _, event in sorted(found, key=lambda each: each[0])]

    def check(self, places: Sequence[str], where: str) -> None:
        """Refuse events of recordings that are not there.

        :raises BadDataset: naming the first one.
        """
        known = {named for place in places for named in _ends(place)}
        for named, events in self._events.items():
            if named not in known:
                raise BadDataset(
                    f'{where}: expected events of the recordings that are evaluated, got one of '
                    f'{events[0][1].recording!r}; one of them is {places[0]}'
                )


def events_of(events: Sequence[Event], place: str) -> list[Event]:
    """Choose the events of one recording: those that name it or the end of its path, and those that name none."""
    return EventsByRecording(events).of(place)


def topic_events(bag: BagFile, text: str, first_s: float, shift_s: float = 0.0) -> list[Event]:
    """Read the events of a topic.

    A message is an event, named by a field of it; of numbers and truth values, only a message whose value differs from
    the one before. Messages whose name is empty are left out.

    :param bag: open.
    :param text: the topic, or TOPIC:FIELD; of nested fields a.b, of a list each element.
    :param first_s: stamp of the recording's first image; where it is small, as of simulated time, the events' times
        become seconds since then.
    :param shift_s: from the clock of recording to that of the images' stamps, for messages without a stamp.
    :raises BadBag: if the recording has no such topic, or its messages no such field.
    """
    topic, _, field = text.partition(':')
    if topic not in bag.topics:
        there = ', '.join(sorted(bag.topics)) or 'none'
        raise BadBag(f'--events: expected a CSV file (.csv) or a topic of the recording, got {topic}; topics: {there}')
    found, before, begin_s = [], None, 0.0 if is_stamp(first_s) else first_s
    for message, fields in readable(bag, topic):
        has_stamp = hasattr(fields, 'header') and stamp_of(fields, 0)
        time = stamp_of(fields, 0) / 1e9 if has_stamp else message.receive_ns / 1e9 + shift_s
        time -= begin_s
        for value in _values(fields, field.split('.') if field else [], topic):
            is_text = isinstance(value, str)
            if (is_text and value.strip()) or (not is_text and value != before):
                found.append(Event(time, value.strip() if is_text else f'{value:g}' if value == value else 'nan'))
            before = None if is_text else value
    return found


def _values(message: Any, path: list[str], topic: str) -> list[Any]:
    if isinstance(message, (list, tuple)):
        return [value for each in message for value in _values(each, path, topic)]
    if isinstance(message, (str, bool, int, float)):
        if path:
            raise BadBag(f'--events: {topic} has no field {".".join(path)} in a {type(message).__name__}')
        return [message]
    if hasattr(message, 'tolist'):
        return _values(message.tolist(), path, topic)
    names = [name for name in path[:1] or _FIELDS if hasattr(message, name)]
    if path and not names:
        there = ', '.join(name for name in getattr(message, '__dataclass_fields__', ()) if name != '__msgtype__')
        raise BadBag(f'--events: expected a field of {topic}, got {path[0]}; it has {there}')
    for name in names:
        values = _values(getattr(message, name), path[1:], topic)
        if path or values != ['']:
            return values
    return [] if names else [topic]


def _parts(place):
    return [*place.rstrip('/').split('/')[:-1], name_of(place)]


def _ends(place):
    """List the ends of a recording's path, from none of it to the whole."""
    own = tuple(_parts(place))
    return [own[first:] for first in range(len(own), -1, -1)]
