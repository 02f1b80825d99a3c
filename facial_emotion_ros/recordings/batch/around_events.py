"""Averages around events over many recordings."""

from collections.abc import Mapping, Sequence
from typing import Any

from facial_emotion_ros.recordings.batch.in_threads import TABLES, Stage, in_threads, silent
from facial_emotion_ros.recordings.batch.result_store import Store
from facial_emotion_ros.recordings.evaluation.annotation_files import is_stamp
from facial_emotion_ros.recordings.evaluation.options import Options
from facial_emotion_ros.recordings.report.events_panel import event_panels
from facial_emotion_ros.recordings.study.epochs import Epoch, epochs_of, outside, outside_text, window_of, write_events
from facial_emotion_ros.recordings.study.events import (
    EVENT_TIMES,
    Event,
    EventsByRecording,
    is_event_file,
    parse_events,
    read_events,
)
from facial_emotion_ros.recordings.study.manifest import Study
from facial_emotion_ros.recordings.study.study import Read
from facial_emotion_ros.recordings.study.study_tables import head_columns


class Around:
    """Events of many recordings; topic: where each has its own, '' where a file has them or there are none;
    tables: names of those that :meth:`write` writes.
    """

    def __init__(self, options: Options, places: Sequence[str]):
        """Read the file of events, where there is one.

        :param options: of the evaluation.
        :param places: paths or URLs of the recordings.
        :raises BadDataset: if it cannot be read, or names a recording that is none of these.
        """
        self.options, self.topic = options, options.events
        self._events: EventsByRecording | None = None
        self.tables = ('events.csv', 'event_averages.csv') if options.events else ()
        if is_event_file(options.events):
            self._events, self.topic = EventsByRecording(read_events(options.events)), ''
            self._events.check(places, options.events)

    def write(
        self, store: Store, bags: Sequence[Mapping[str, Any]], study: Study | None, read: Read, stage: Stage = silent
    ) -> dict[str, Any] | None:
        """Write the tables around events.

        :param store: of the results.
        :param bags: as in fleet.json.
        :param study: manifest of the recordings.
        :param read: gives the table of frames of a recording and network.
        :param stage: shows the progress.
        :returns: panel of the page; None without events.
        """
        if not self.options.events:
            return None
        window = window_of(self.options)
        each_result = [(bag, result) for bag in bags for result in bag['results']]

        def epochs_in(pair):
            return self._epochs(store, window, read, *pair)

        found = in_threads(stage, 'recordings with events', epochs_in, each_result, TABLES)
        epochs = [epoch for each, _ in found for epoch in each]
        head = head_columns(study.types if study else {})
        averages = write_events(store, epochs, window, head)
        # Several networks of a recording have the same events.
        listed = {bag['folder']: each for (bag, _), (_, each) in zip(each_result, found)}
        return event_panels(averages, window, self._left_out(listed))

    def _left_out(self, found: Mapping[str, Sequence[tuple[Event, bool]]]) -> str:
        """Say which events lie outside: a stamp that names no recording is outside where it lies in none."""
        shared: dict[Event, bool] = {}
        own: list[tuple[Event, bool]] = []
        for event, is_outside in (each for of in found.values() for each in of):
            if self._events is None or event.recording or not is_stamp(event.time):
                own.append((event, is_outside))
            else:
                shared[event] = shared.get(event, True) and is_outside
        each = [*own, *shared.items()]
        return outside_text([event.time for event, out in each if out], len(each), self.options.events)

    def _epochs(self, store, window, read, bag, result) -> tuple[list[Epoch], list[tuple[Event, bool]]]:
        faces = read(bag, result)
        if faces is None:
            return [], []
        if self._events is None:
            listed = store.read(f'bags/{bag["folder"]}/{result["summary"].replace("summary.json", EVENT_TIMES)}')
            events = parse_events((listed or b'time,name').decode('utf-8'), EVENT_TIMES)
        else:
            events = self._events.of(bag['place'])
        name, words = (result['bundle'] or {}).get('name') or '', bag.get('study') or {}
        epochs = epochs_of(faces, events, window, name, words, (bag['folder'], name, *words.values()))
        return epochs, list(zip(events, outside(faces, events, window)))
