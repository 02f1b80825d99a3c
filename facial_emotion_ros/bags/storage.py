"""What all files of messages have in common once they are open: topics, and how their messages are decoded."""

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


class Storage:
    """What all storages have in common."""

    start_ns = end_ns = 0

    def __init__(self, path):
        self.path, self.scratch, self.topics = path, None, []
        self._definitions, self._stores, self._of_ros1 = {}, {}, set()

    def is_ros1(self, msgtype):
        """Tell whether messages of a type are serialized as ROS 1 does."""
        return msgtype in self._of_ros1

    def decode(self, raw, msgtype, topic):
        """Decode a message by the definition that it was recorded with, by today's where there is none.

        :raises BadBag: if its bytes are no such message.
        """
        try:
            return self._decoded(raw, msgtype)
        except BadBag:
            raise
        except Exception as fault:  # whatever damaged bytes lead the library into
            raise BadBag(f'expected a {msgtype} on {topic}, got {len(raw)} bytes that are none ({words_of(fault)})'
                         ) from fault

    def close(self):
        """Close what is open, and delete a copy that was made to be read."""
        if self.scratch is not None:
            self.scratch.cleanup()

    def _decoded(self, raw, msgtype):
        if msgtype not in self._of_ros1:
            return self._store(msgtype).deserialize_cdr(raw, msgtype)
        return as_ros2(self._store(msgtype).deserialize_ros1(raw, msgtype), msgtype)

    def _store(self, msgtype):
        """Give the types that know a message: today's, unless the recording brings others along."""
        if msgtype not in self._stores:
            self._stores[msgtype] = self._recorded_store(msgtype) or self._todays_store(msgtype)
        return self._stores[msgtype]

    def _todays_store(self, msgtype):
        from rosbags.typesys import Stores, get_typestore

        return get_typestore(Stores.ROS1_NOETIC) if msgtype in self._of_ros1 else typestore()

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


def ros2_name(msgtype):
    """Spell a message type as ROS 2 does: 'sensor_msgs/Image', as others write it, is 'sensor_msgs/msg/Image'.

    :param msgtype: str.
    """
    return msgtype.replace('/', '/msg/') if msgtype.count('/') == 1 else msgtype


def words_of(fault):
    """Say a fault in one short line.

    :param fault: exception or str.
    """
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
