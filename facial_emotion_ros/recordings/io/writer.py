"""Writes a recording, completely or not at all."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any, Literal

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.core.files import move_into_place, part_path
from facial_emotion_ros.recordings.io.message_types import typestore

#: The format's version (rosbag2); Jazzy and later read it, and Humble reads the mcap file itself.
VERSION: Literal[9] = 9


class BagWriter:
    """A folder as `ros2 bag record` makes it, which gets its name when it is complete.

    >>> with BagWriter('my_bag') as bag:
    ...     bag.write('/detections', DETECTIONS, stamp_ns, cdr)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        storage: str = 'mcap',
        qos: Callable[[str], Any] | None = None,
    ):
        """Prepare the recording.

        :param path: folder to make; it must not exist.
        :param storage: 'mcap' or 'sqlite3'.
        :param qos: function of a topic that gives its rosbags' Qos; None records none.
        :raises BadBag: if the folder is there, or rosbags is not installed.
        """
        self._store = typestore()
        self.path = os.path.abspath(path)
        if os.path.exists(self.path):
            raise BadBag(
                f'expected a folder to be made, got {path!r}, which is there already; delete it or name another'
            )
        self._part = part_path(self.path)
        self._storage, self._qos = storage, qos
        self._topics: dict[str, Any] = {}
        self._writer: Any = None
        self.counts: dict[str, int] = {}

    def __enter__(self) -> 'BagWriter':
        """Begin to write, beside its final place.

        :raises OSError: if that is not possible.
        """
        from rosbags.rosbag2 import StoragePlugin, Writer

        shutil.rmtree(self._part, ignore_errors=True)
        os.makedirs(self._part)
        plugin = StoragePlugin.MCAP if self._storage == 'mcap' else StoragePlugin.SQLITE3
        self._writer = Writer(
            os.path.join(self._part, os.path.basename(self.path)), version=VERSION, storage_plugin=plugin
        )
        self._writer.open()
        return self

    def write(self, topic: str, msgtype: str, receive_ns: int, cdr: bytes | memoryview, typestore: Any = None) -> None:
        """Write a message.

        :param topic: its name.
        :param msgtype: its type, such as 'std_msgs/msg/String'.
        :param receive_ns: when it was recorded.
        :param cdr: the message as ROS 2 serializes it.
        :param typestore: rosbags' Typestore that knows its definition; None for ours.
        :raises OSError: if the disk does not take it.
        """
        with self._named_errors():
            self._write(topic, msgtype, receive_ns, cdr, typestore)

    def add(self, topic: str, receive_ns: int, message: Any) -> None:
        """Write a message of :func:`.message_types.make`; the rest is as for `write`."""
        msgtype = message.__msgtype__
        self.write(topic, msgtype, receive_ns, self._store.serialize_cdr(message, msgtype))

    def _write(self, topic, msgtype, receive_ns, cdr, typestore):
        connection = self._topics.get(topic)
        if connection is None:
            qos = self._qos(topic) if self._qos else None
            connection = self._topics[topic] = self._writer.add_connection(
                topic, msgtype, typestore=typestore or self._store, offered_qos_profiles=[qos] if qos else ()
            )
            self.counts[topic] = 0
        self._writer.write(connection, receive_ns, cdr)
        self.counts[topic] += 1

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        """Close the recording and move it to its final path; after an error, delete it.

        :raises OSError: if the disk does not take it.
        """
        if kind is not None:
            self.discard()
            return
        try:
            with self._named_errors():
                self._writer.close()
                move_into_place(os.path.join(self._part, os.path.basename(self.path)), self.path)
                os.rmdir(self._part)
        except BaseException:
            self.discard()
            raise

    @contextmanager
    def _named_errors(self):
        """Name the recording in errors of the disk, for which SQLite has its own type."""
        try:
            yield
        except sqlite3.OperationalError as error:
            number = errno.ENOSPC if 'full' in str(error) else errno.EIO
            raise OSError(number, f'{os.strerror(number)} ({error})', self.path) from error
        except OSError as error:
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), self.path) from error

    def discard(self) -> None:
        """Delete what was written."""
        try:
            self._writer.close()
        except Exception:  # of a full disk, for example; it is deleted anyway
            pass
        shutil.rmtree(self._part, ignore_errors=True)


def reliable_qos(depth: int = 10, latched: bool = False) -> Any:
    """Give the quality of service of our node's publishers, as recordings hold it.

    :param depth: messages kept for a slow subscriber.
    :param latched: whether the last one is kept for late joiners.
    :returns: rosbags' Qos.
    """
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    for_ever = QosTime(2147483647, 4294967295)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        QosHistory.KEEP_LAST,
        depth,
        QosReliability.RELIABLE,
        durability,
        for_ever,
        for_ever,
        QosLiveliness.AUTOMATIC,
        for_ever,
        False,
    )
