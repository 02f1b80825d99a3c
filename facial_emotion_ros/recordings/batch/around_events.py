"""Event-related averages over many recordings."""

from collections.abc import Sequence
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
from facial_emotion_ros.recordings.study.results import Faces, Result
from facial_emotion_ros.recordings.study.study_tables import head_columns


class Around:
    """Events of many recordings; topic: of the recordings' events, '' if a file has them or there are none; tables:
    file names that :meth:`write` writes.
    """

    def __init__(self, options: Options, places: Sequence[str]):
        """Read the file of events, if any.

        :param options: options of the evaluation.
        :param places: paths or URLs of the recordings.
        :raises BadDataset: if it cannot be read, or names another recording.
        """
        self.options, self.topic = options, options.events
        self._events: EventsByRecording | None = None
        self.tables = ('events.csv', 'event_averages.csv') if options.events else ()
        if is_event_file(options.events):
            self._events, self.topic = EventsByRecording(read_events(options.events)), ''
            self._events.check(places, options.events)

    def write(
        self, store: Store, results: Sequence[Result], study: Study | None, faces_of: Faces, stage: Stage = silent
    ) -> dict[str, Any] | None:
        """Write events.csv and event_averages.csv.

        :param store: results store.
        :param results: results of all recordings and networks.
        :param study: manifest of the recordings.
        :param faces_of: returns the faces of a result to evaluate.
        :param stage: progress display.
        :returns: panel for the report; None without events.
        """
        if not self.options.events:
            return None
        window = window_of(self.options)

        def epochs_in(result):
            return self._epochs(result, faces_of(result), window)

        found = in_threads(stage, 'recordings with events', epochs_in, results, TABLES)
        epochs = [epoch for each, _ in found for epoch in each]
        head = head_columns(study.types if study else {})
        averages = write_events(store, epochs, window, head)
        # All networks of a recording have the same events.
        listed = {result.recording: each for result, (_, each) in zip(results, found)}
        return event_panels(averages, window, self._left_out([each for of in listed.values() for each in of]))

    def _left_out(self, listed: Sequence[tuple[Event, bool]]) -> str:
        """Describe the events outside: a stamp without a recording is outside if it lies in no recording."""
        shared: dict[Event, bool] = {}
        own: list[tuple[Event, bool]] = []
        for event, is_outside in listed:
            if self._events is None or event.recording or not is_stamp(event.time):
                own.append((event, is_outside))
            else:
                shared[event] = shared.get(event, True) and is_outside
        each = [*own, *shared.items()]
        return outside_text([event.time for event, out in each if out], len(each), self.options.events)

    def _epochs(self, result, faces, window) -> tuple[list[Epoch], list[tuple[Event, bool]]]:
        if faces is None:
            return [], []
        if self._events is None:
            listed = result.store.read(result.path(EVENT_TIMES)) or b'time,name'
            events = parse_events(listed.decode('utf-8'), EVENT_TIMES)
        else:
            events = self._events.of(result.record['place'])
        epochs = epochs_of(faces, events, window, result.bundle, result.words, result.head)
        return epochs, list(zip(events, outside(faces, events, window)))
