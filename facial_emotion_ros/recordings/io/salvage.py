"""Read files that rosbags rejects: truncated or damaged ones, and mcap files that rosbag2 did not write."""

import sqlite3
from abc import abstractmethod
from collections.abc import Collection, Iterator

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.storage import Storage, StoredMessage, StoredTopic, ros2_name


class _Salvage(Storage):
    """A file that is read sequentially, record by record."""

    def messages(self, wanted: Collection[str], start_ns: int | None) -> Iterator[StoredMessage]:
        """See Storage; in file order."""
        for topic, msgtype, receive_ns, raw in self._records():
            if topic in wanted and (start_ns is None or receive_ns >= start_ns):
                yield topic, msgtype, receive_ns, raw

    @abstractmethod
    def _records(self) -> Iterator[StoredMessage]: ...


class McapStream(_Salvage):
    """An mcap file that rosbags rejects, read from its start up to the first damaged record."""

    def __init__(self, path: str):
        super().__init__(path)
        try:
            import mcap  # noqa: F401
        except ImportError as error:
            raise BadBag('reading a truncated mcap file needs the Python package mcap: pip install mcap') from error
        counts: dict[tuple[str, str], int] = {}
        times: list[int] = []
        try:
            for topic, msgtype, receive_ns, _ in self._records():
                counts[topic, msgtype] = counts.get((topic, msgtype), 0) + 1
                times = [min([receive_ns, *times]), max([receive_ns, *times])]
        except Exception:  # records before the damage are used
            if not counts:
                raise
        self.topics = [StoredTopic(topic, msgtype, count, None) for (topic, msgtype), count in counts.items()]
        if times:
            self.start_ns, self.end_ns = times[0], times[-1] + 1

    def _records(self):
        from mcap.records import Channel, Message, Schema
        from mcap.stream_reader import StreamReader

        schemas, channels = {}, {}
        with open(self.path, 'rb') as file:
            for record in StreamReader(file, validate_crcs=True).records:
                if isinstance(record, Schema):
                    schemas[record.id] = name = ros2_name(record.name)
                    self._definitions[name] = (record.encoding, record.data.decode('utf-8', 'replace'))
                elif isinstance(record, Channel):
                    channels[record.id] = (record.topic, schemas.get(record.schema_id, ''))
                    if record.message_encoding == 'ros1':
                        self._of_ros1.add(channels[record.id][1])
                elif isinstance(record, Message) and record.channel_id in channels:
                    yield (*channels[record.channel_id], record.log_time, record.data)


class CutSqlite(_Salvage):
    """A truncated or damaged sqlite3 file, read in the order of writing."""

    def __init__(self, path: str):
        super().__init__(path)
        rows = self._query('SELECT id, name, type FROM topics')
        self._names = {number: (name, ros2_name(msgtype)) for number, name, msgtype in rows}
        try:
            for name, encoding, text in self._query(
                'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions'
            ):
                self._definitions[ros2_name(name)] = (encoding, text)
        except sqlite3.Error:  # the table exists since ROS 2 Iron
            pass
        counts, self.start_ns = dict.fromkeys(self._names, 0), 0
        try:
            for number, receive_ns in self._query('SELECT topic_id, timestamp FROM messages NOT INDEXED'):
                counts[number] = counts.get(number, 0) + 1
                self.start_ns = min(self.start_ns or receive_ns, receive_ns)
                self.end_ns = max(self.end_ns, receive_ns + 1)
        except sqlite3.Error:  # rows before the damage are used
            pass
        if not any(counts.values()):
            raise BadBag('it holds no readable message')
        self.topics = [StoredTopic(*names, counts[number], None) for number, names in self._names.items()]

    def _records(self):
        for number, receive_ns, raw in self._query('SELECT topic_id, timestamp, data FROM messages NOT INDEXED'):
            yield (*self._names.get(number, ('', '')), receive_ns, raw)

    def _query(self, text):
        connection = sqlite3.connect(f'file:{self.path}?mode=ro&immutable=1', uri=True, check_same_thread=False)
        try:
            # Without this, SQLite rejects a file shorter than its header says. Nothing is written: mode=ro.
            connection.execute('PRAGMA writable_schema=ON')
            yield from connection.execute(text)
        finally:
            connection.close()
