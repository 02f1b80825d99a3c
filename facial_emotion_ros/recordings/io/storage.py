"""Base class of the file formats of a recording: its topics, and the decoding of messages."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.message_types import as_ros2, typestore


@dataclass(frozen=True)
class StoredTopic:
    """A topic: msgtype, such as 'sensor_msgs/msg/Image'; count: number of readable messages; qos: rosbags Qos of its
    first publisher, None if none was recorded.
    """

    name: str
    msgtype: str
    count: int
    qos: object


#: (topic, msgtype, receive_ns, raw)
StoredMessage = tuple[str, str, int, Any]


class Storage(ABC):
    """A file or folder of messages.

    path; topics: list of StoredTopic; start_ns, end_ns: receive times of the first message and just after the last;
    scratch: folder of a temporary copy, or None.
    """

    start_ns = end_ns = 0

    def __init__(self, path: str):
        self.path = path
        self.topics: list[StoredTopic] = []
        self.scratch: tempfile.TemporaryDirectory[str] | None = None
        self._definitions: dict[str, tuple[str, str]] = {}
        self._stores: dict[str, Any] = {}
        self._of_ros1: set[str] = set()

    @abstractmethod
    def messages(self, wanted: Collection[str], start_ns: int | None) -> Iterator[StoredMessage]:
        """Iterate over messages.

        :param wanted: topic names.
        :param start_ns: skip messages recorded earlier; None for all.
        """

    def needs_conversion(self, msgtype: str) -> bool:
        """Return whether messages of a type are stored in another form than ROS 2's serialization."""
        return msgtype in self._of_ros1

    def decode(self, raw: Any, msgtype: str, topic: str) -> Any:
        """Decode a message by its recorded definition, or ours if none was recorded.

        :raises BadBag: if its bytes cannot be decoded as this type.
        """
        try:
            return self._decoded(raw, msgtype)
        except BadBag:
            raise
        except Exception as fault:  # damaged bytes can raise anything in the library
            raise BadBag(
                f'expected a {msgtype} on {topic}, got {len(raw)} bytes that cannot be decoded ({words_of(fault)})'
            ) from fault

    def close(self) -> None:
        """Close the file, and delete its temporary copy."""
        if self.scratch is not None:
            self.scratch.cleanup()

    def _decoded(self, raw, msgtype):
        if msgtype not in self._of_ros1:
            return self._store(msgtype).deserialize_cdr(raw, msgtype)
        return as_ros2(self._store(msgtype).deserialize_ros1(raw, msgtype), msgtype)

    def _store(self, msgtype):
        """Return the type definitions for a message: those of the recording, else ours."""
        if msgtype not in self._stores:
            self._stores[msgtype] = self._recorded_store(msgtype) or self._our_store(msgtype)
        return self._stores[msgtype]

    def _our_store(self, msgtype):
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
        except Exception:  # the library cannot parse this definition: ours is the next best
            return None


def ros2_name(msgtype: str) -> str:
    """Convert a message type name to ROS 2's form: 'sensor_msgs/Image' to 'sensor_msgs/msg/Image'."""
    return msgtype.replace('/', '/msg/') if msgtype.count('/') == 1 else msgtype


def words_of(fault: BaseException | str) -> str:
    """Describe a fault in one line of at most 160 characters."""
    text = ' '.join(str(fault).split()) or type(fault).__name__
    return text if len(text) <= 160 else text[:157] + '...'
