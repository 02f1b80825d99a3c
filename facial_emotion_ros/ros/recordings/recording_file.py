"""Write a recording that stays readable after a crash. Needs the rosbags library, but not rclpy."""

import glob
import os
import shutil
from typing import Any, Dict, List, Sequence

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.message_types import require_rosbags, typestore
from facial_emotion_ros.recordings.io.writer import VERSION


class RecordingFile:
    """A folder like one of `ros2 bag record`: an mcap file, and metadata.yaml once it is closed.

    After a crash of the process, the file has everything up to the last :meth:`flush`, but no index;
    :class:`facial_emotion_ros.recordings.io.bag_file.BagFile` can read it.
    """

    def __init__(self, path: str, keep_free_mb: float):
        """Create the folder.

        :param path: of the folder; it must not exist.
        :param keep_free_mb: disk space in MiB to leave free.
        :raises BadBag: if it cannot be created, or rosbags is not installed.
        """
        require_rosbags()
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.rosbag2.errors import WriterError

        self.path, self._keep_free = os.path.abspath(path), int(keep_free_mb * 2**20)
        self._connections: Dict[str, Any] = {}
        #: Bytes that may be written before the free disk space is checked again.
        self._unchecked = 0
        #: Number of messages per topic.
        self.counts: Dict[str, int] = {}
        self._writer: Any = None
        try:
            version: Any = VERSION
            writer = Writer(self.path, version=version, storage_plugin=StoragePlugin.MCAP)
            writer.open()
        except WriterError:
            raise BadBag('expected a new folder, got %s, which exists; delete it or choose another' % path) from None
        except OSError as error:
            reason = error.strerror or error
            raise BadBag(
                'expected a folder that can be created, but %s cannot (%s); choose another' % (path, reason)
            ) from None
        self._writer = writer

    @property
    def is_open(self) -> bool:
        """Whether more can be written."""
        return self._writer is not None

    def add(self, topic: str, msgtype: str, qos: Sequence[Any]) -> None:
        """Add a topic.

        :param topic: its name.
        :param msgtype: such as 'sensor_msgs/msg/Image'.
        :param qos: rosbags' Qos of its publishers.
        :raises BadBag: if the message's definition is not found, or the topic was added with another type; or like
            `write`, after which is_open is False.
        """
        if topic in self._connections:
            former = self._connections[topic].msgtype
            if former != msgtype:
                raise BadBag('expected the type %s as before, got %s; record it into another file' % (former, msgtype))
            return
        definitions = definitions_of(msgtype)
        if self._writer is None:
            raise BadBag('expected %s to be open, but it is closed' % self.path)
        try:
            self._connections[topic] = self._writer.add_connection(
                topic, msgtype, typestore=definitions, offered_qos_profiles=qos
            )
        except OSError as error:
            raise self._failed(error) from None
        self.counts[topic] = 0

    def write(self, topic: str, receive_ns: int, cdr: bytes) -> None:
        """Append a message.

        :param topic: one that was added.
        :param receive_ns: time of its arrival.
        :param cdr: serialized message.
        :raises BadBag: if the disk is full or fails; earlier messages stay.
        """
        try:
            self._check_space(len(cdr))
            self._writer.write(self._connections[topic], receive_ns, cdr)
        except OSError as error:
            raise self._failed(error) from None
        self.counts[topic] += 1

    def flush(self) -> None:
        """Pass all messages so far to the operating system, readable without an index.

        :raises BadBag: see `write`.
        """
        storage = None if self._writer is None else self._writer.storage
        try:
            # rosbags buffers 1 MiB, which is minutes of a face's scores.
            if storage is not None and getattr(storage.chunk, 'msgs', None):
                storage.close_chunk()
                storage.bio.flush()
        except OSError as error:
            raise self._failed(error) from None

    def close(self) -> None:
        """Write index and metadata.

        :raises BadBag: if they cannot be written.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                raise self._failed(error) from None

    def _failed(self, error):
        """Close without index and metadata, since the disk has failed.

        :returns: BadBag.
        """
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.abort()
            except OSError:
                pass
        return BadBag(
            '%s could not be continued (%s); earlier messages can be read, without an index; free some space, and '
            'choose another folder' % (self.path, error.strerror or error)
        )

    def _check_space(self, size):
        """Close before the disk is full, while the index can be written and other programs still work."""
        self._unchecked -= size
        if self._unchecked > 0:
            return
        free = shutil.disk_usage(self.path).free
        if free - size < self._keep_free:
            self.close()
            raise BadBag(
                'the disk is nearly full (%d MiB are free, of which --keep-free reserves %d); %s is complete up to '
                'here; free some space, and choose another folder' % (free >> 20, self._keep_free >> 20, self.path)
            )
        self._unchecked = (free - size - self._keep_free) // 8


def definitions_of(msgtype: str) -> Any:
    """Find the installed definition of a message and of its nested messages.

    :param msgtype: such as 'sensor_msgs/msg/Image'.
    :returns: rosbags' Typestore with it.
    :raises BadBag: if there is none.
    """
    from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

    found: Dict[str, Any] = {}
    wanted = [msgtype]
    try:
        while wanted:
            name = wanted.pop()
            if name not in found:
                with open(_definition_file(name), encoding='utf-8') as file:
                    found.update(get_types_from_msg(file.read(), name))
                wanted += _parts_of(found[name])
        store = get_typestore(Stores.EMPTY)
        store.register(found)
        return store
    except (OSError, TypesysError):
        if msgtype in typestore().fielddefs:
            return typestore()
    raise BadBag(
        'expected an installed definition of %s, got none; source the workspace with the package %s'
        % (msgtype, msgtype.partition('/')[0])
    )


def _definition_file(msgtype):
    """Return the path of an installed .msg file.

    :raises FileNotFoundError: if there is none.
    """
    package, _, name = msgtype.partition('/msg/')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        for path in glob.glob(os.path.join(prefix, 'share', package, 'msg', name + '.msg')) if prefix else ():
            return path
    raise FileNotFoundError(msgtype)


def _parts_of(definition: Any) -> List[str]:
    """List the nested message types of a parsed definition."""
    _, fields = definition
    named = []
    for _, (kind, details) in fields:
        while kind.name in ('ARRAY', 'SEQUENCE'):
            kind, details = details[0]
        if kind.name == 'NAME':
            named.append(details)
    return named
