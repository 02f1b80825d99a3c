"""The files of a recording, one by one: by rosbags where they are whole, and salvaged where they are not."""

import os
import re
import sqlite3
import struct
import zlib
from typing import NamedTuple

from facial_emotion_ros.bags.message_types import as_ros2, typestore
from facial_emotion_ros.errors import BadBag


class StoredTopic(NamedTuple):
    """A topic in one file."""

    name: str
    msgtype: str
    count: int
    qos: object


def open_storage(path, faults):
    """Open all that belongs to a recording.

    :param path: folder or file.
    :param faults: list that takes what is wrong.
    :returns: list of storages with path, topics, start_ns, end_ns, is_ros1, messages(), decode(), words(), close(), in
        the order of recording.
    :raises BadBag: if it is not there, or nothing can be read.
    """
    if not os.path.exists(path):
        raise BadBag(f'expected a recording, got {path!r}, which is not there; give the folder that `ros2 bag record` '
                     'made, or a .mcap, .db3 or .bag file')
    if os.path.isfile(path):
        return [_open_file(path, faults)]
    if os.path.exists(os.path.join(path, 'metadata.yaml')):
        storage = _by_rosbags(path)
        if not isinstance(storage, str):
            return [storage]
        faults.append(f'metadata.yaml does not lead to the messages ({storage}); the files beside it are read')
    files = [os.path.join(path, name) for name in sorted(os.listdir(path), key=_by_number)
             if name.endswith(('.mcap', '.db3', '.bag')) and os.path.isfile(os.path.join(path, name))]
    if not files:
        raise BadBag(f'expected a recording, but the folder {path!r} holds no .mcap, .db3 or .bag file')
    if not faults:
        faults.append(f'metadata.yaml is missing; {len(files)} file{"s are" if len(files) > 1 else " is"} read in the '
                      'order of their names')
    opened, broken = [], []
    for each in files:
        try:
            opened.append(_open_file(each, faults))
        except BadBag as error:
            broken.append(str(error))
    if not opened:
        raise BadBag('; '.join(broken))
    faults += broken
    return opened


def _by_number(name):
    """Order names as people count: part_10 comes after part_9."""
    return [int(word) if word.isdecimal() else word for word in re.split('([0-9]+)', name)]


def _open_file(path, faults):
    """Open a single file, by salvage where it is not whole."""
    name = os.path.basename(path)
    if not os.path.getsize(path):
        raise BadBag(f'expected a recording, got {name}, which is empty')
    storage = _by_rosbags(path)
    if not isinstance(storage, str):
        return storage
    salvage = {'.mcap': _CutMcap, '.db3': _CutSqlite}.get(os.path.splitext(path)[1])
    if salvage is None:
        raise BadBag(f'expected a recording, got {name}, which cannot be read ({storage})')
    try:
        salvaged = salvage(path)
    except FAULTS as fault:
        raise BadBag(f'expected a recording, got {name}, of which nothing can be read ({_words(fault)})') from fault
    faults.append(f'{name} is not whole ({storage}); it is read as far as it goes')
    return salvaged


def _by_rosbags(path):
    """Open a folder or file with rosbags; give the reason as text where that does not work."""
    try:
        return _Whole(path)
    except FAULTS as fault:
        # Where it lies is no part of what is wrong with it.
        return _words(str(fault).replace(path + os.sep, '').replace(path, os.path.basename(path)) or fault)


class _Storage:
    """What all storages have in common."""

    is_ros1 = False
    start_ns = end_ns = 0

    def __init__(self, path):
        self.path, self.topics = path, []
        self._definitions, self._stores = {}, {}

    def decode(self, raw, msgtype, topic):
        """Decode a message by the definition that it was recorded with, by today's where there is none.

        :raises BadBag: if its bytes are no such message.
        """
        try:
            return self._decoded(raw, msgtype)
        except BadBag:
            raise
        except Exception as fault:  # whatever damaged bytes lead the library into
            raise BadBag(f'expected a {msgtype} on {topic}, got {len(raw)} bytes that are none ({_words(fault)})'
                         ) from fault

    words = staticmethod(lambda fault: _words(fault))

    def close(self):
        """Close what is open."""

    def _decoded(self, raw, msgtype):
        return self._store(msgtype).deserialize_cdr(raw, msgtype)

    def _store(self, msgtype):
        """Give the types that know a message: today's, unless the recording brings others along."""
        if msgtype not in self._stores:
            self._stores[msgtype] = self._recorded_store(msgtype) or self._todays_store()
        return self._stores[msgtype]

    def _todays_store(self):
        return typestore()

    def _recorded_store(self, msgtype):
        from rosbags.typesys import Stores, get_types_from_idl, get_types_from_msg, get_typestore

        encoding, text = self._definitions.get(msgtype, ('', ''))
        if not text:
            return None
        try:
            store = get_typestore(Stores.EMPTY)
            store.register(get_types_from_idl(text) if 'idl' in encoding else get_types_from_msg(text, msgtype))
            return store
        except Exception:  # a definition that the library cannot read; ours is the next best
            return None


class _Whole(_Storage):
    """A recording that rosbags reads."""

    def __init__(self, path):
        super().__init__(path)
        from rosbags.rosbag1 import Reader as Reader1
        from rosbags.rosbag2 import Reader as Reader2

        self.is_ros1 = path.endswith('.bag') and os.path.isfile(path)
        self._reader = (Reader1 if self.is_ros1 else Reader2)(path)
        self._reader.open()
        counts = {}
        for connection in self._reader.connections:
            key = connection.topic, connection.msgtype
            known = counts.get(key)
            qos = None if self.is_ros1 else next(iter(connection.ext.offered_qos_profiles), None)
            counts[key] = StoredTopic(connection.topic, connection.msgtype, connection.msgcount + (
                known.count if known else 0), known.qos if known else qos)
            definition = connection.msgdef
            self._definitions[connection.msgtype] = (definition.format.name.lower(), definition.data)
        self.topics = list(counts.values())
        if self._reader.message_count:
            self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def messages(self, wanted, start_ns):
        """Read (topic, msgtype, receive_ns, raw) of the wanted topics."""
        connections = [each for each in self._reader.connections if each.topic in wanted]
        if connections:
            for connection, receive_ns, raw in self._reader.messages(connections, start=start_ns):
                yield connection.topic, connection.msgtype, receive_ns, raw

    def _decoded(self, raw, msgtype):
        if not self.is_ros1:
            return super()._decoded(raw, msgtype)
        return as_ros2(self._store(msgtype).deserialize_ros1(raw, msgtype), msgtype)

    def _todays_store(self):
        from rosbags.typesys import Stores, get_typestore

        return get_typestore(Stores.ROS1_NOETIC) if self.is_ros1 else super()._todays_store()

    def close(self):
        """Close the files."""
        self._reader.close()


class _CutMcap(_Storage):
    """An mcap file without its end, read from its begin as long as its records are whole."""

    def __init__(self, path):
        super().__init__(path)
        try:
            import mcap  # noqa: F401, is only looked for
        except ImportError as error:
            raise BadBag('to read what is left of an mcap file that was cut needs the Python package mcap: '
                         'pip install mcap') from error
        counts, self._cut = {}, False
        times = []
        try:
            for topic, msgtype, receive_ns, _ in self._records():
                counts[topic, msgtype] = counts.get((topic, msgtype), 0) + 1
                times = [min([receive_ns, *times]), max([receive_ns, *times])]
        except FAULTS:
            if not counts:
                raise
        self.topics = [StoredTopic(topic, msgtype, count, None) for (topic, msgtype), count in counts.items()]
        if times:
            self.start_ns, self.end_ns = times[0], times[-1] + 1

    def messages(self, wanted, start_ns):
        """Read as _Whole does, in the order of the file."""
        for topic, msgtype, receive_ns, raw in self._records():
            if topic in wanted and (start_ns is None or receive_ns >= start_ns):
                yield topic, msgtype, receive_ns, raw

    def _records(self):
        from mcap.records import Channel, Message, Schema
        from mcap.stream_reader import StreamReader

        schemas, channels = {}, {}
        with open(self.path, 'rb') as file:
            for record in StreamReader(file, validate_crcs=True).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record.name
                    self._definitions[record.name] = (record.encoding, record.data.decode('utf-8', 'replace'))
                elif isinstance(record, Channel):
                    channels[record.id] = (record.topic, schemas.get(record.schema_id, ''))
                elif isinstance(record, Message) and record.channel_id in channels:
                    yield (*channels[record.channel_id], record.log_time, record.data)


class _CutSqlite(_Storage):
    """A sqlite3 file whose end, or some pages of it, are missing, read in the order of writing."""

    def __init__(self, path):
        super().__init__(path)
        rows = self._query('SELECT id, name, type FROM topics')
        self._names = {number: (name, msgtype) for number, name, msgtype in rows}
        self.topics = [StoredTopic(name, msgtype, 0, None) for name, msgtype in self._names.values()]
        try:
            for name, encoding, text in self._query('SELECT topic_type, encoding, encoded_message_definition FROM '
                                                    'message_definitions'):
                self._definitions[name] = (encoding, text)
        except sqlite3.Error:  # recordings before ROS 2 Iron have no such table
            pass
        first = next(iter(self._query('SELECT timestamp FROM messages LIMIT 1')), None)
        if first is None:
            raise BadBag('no message is left in it')
        self.start_ns, self.end_ns = first[0], first[0] + 1

    def messages(self, wanted, start_ns):
        """Read as _Whole does, in the order of the file."""
        for number, receive_ns, raw in self._query('SELECT topic_id, timestamp, data FROM messages NOT INDEXED'):
            topic, msgtype = self._names.get(number, ('', ''))
            if topic in wanted and (start_ns is None or receive_ns >= start_ns):
                yield topic, msgtype, receive_ns, raw

    def _query(self, text):
        connection = sqlite3.connect(f'file:{self.path}?mode=ro&immutable=1', uri=True, check_same_thread=False)
        try:
            # Else SQLite refuses a file that is shorter than its first page says. Nothing is written: mode=ro.
            connection.execute('PRAGMA writable_schema=ON')
            yield from connection.execute(text)
        finally:
            connection.close()


def _words(fault):
    """Say a fault in one line, shortly."""
    text = ' '.join(str(fault).split()) or type(fault).__name__
    return text if len(text) <= 160 else text[:157] + '...'


def _fault_kinds():
    """List what damaged files raise out of the libraries that read them."""
    kinds = [OSError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError, AssertionError,
             struct.error, zlib.error, sqlite3.Error, MemoryError, OverflowError, RuntimeError]
    for module, name in (('rosbags.rosbag2', 'ReaderError'), ('rosbags.rosbag1', 'ReaderError'),
                         ('rosbags.typesys', 'TypesysError'), ('apsw', 'Error'), ('mcap.exceptions', 'McapError'),
                         ('zstandard', 'ZstdError'), ('backports.zstd', 'ZstdError')):
        try:
            kinds.append(getattr(__import__(module, fromlist=[name]), name))
        except (ImportError, AttributeError):
            continue
    return tuple(kinds)


#: What is caught where damaged files are read: a fault of the recording, not of this program.
FAULTS = _fault_kinds()
