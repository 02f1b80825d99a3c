"""Write a rosbag2 recording atomically: the folder appears when it is complete."""

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

#: rosbag2 metadata version: Jazzy and later read the folder; Humble reads only the mcap file in it.
VERSION: Literal[9] = 9


class BagWriter:
    """Writes a folder like `ros2 bag record`, under a temporary name until it is complete.

    >>> with BagWriter('my_bag') as bag:
    ...     bag.write('/detections', DETECTIONS, stamp_ns, cdr)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        storage: str = 'mcap',
        qos: Callable[[str], Any] | None = None,
    ):
        """Check the path; `with` opens the recording.

        :param path: new folder; it must not exist.
        :param storage: 'mcap' or 'sqlite3'.
        :param qos: function from topic to rosbags Qos; None records no QoS.
        :raises BadBag: if the folder exists, or rosbags is not installed.
        """
        self._store = typestore()
        self.path = os.path.abspath(path)
        if os.path.exists(self.path):
            raise BadBag(
                f'expected the name of a new folder, got {path!r}, which exists; delete it or choose another name'
            )
        self._part = part_path(self.path)
        self._storage, self._qos = storage, qos
        self._topics: dict[str, Any] = {}
        self._writer: Any = None
        self.counts: dict[str, int] = {}

    def __enter__(self) -> 'BagWriter':
        """Create the temporary folder beside the final path.

        :raises OSError: if that fails.
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

        :param topic: topic name.
        :param msgtype: message type, such as 'std_msgs/msg/String'.
        :param receive_ns: time of recording.
        :param cdr: serialized message.
        :param typestore: rosbags Typestore with its definition; None for ours.
        :raises OSError: if writing fails.
        """
        with self._named_errors():
            self._write(topic, msgtype, receive_ns, cdr, typestore)

    def add(self, topic: str, receive_ns: int, message: Any) -> None:
        """Serialize and write a message of :func:`.message_types.make`; see `write`."""
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

        :raises OSError: if writing fails.
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
        """Add the path to write errors, and convert SQLite's to OSError."""
        try:
            yield
        except sqlite3.OperationalError as error:
            number = errno.ENOSPC if 'full' in str(error) else errno.EIO
            raise OSError(number, f'{os.strerror(number)} ({error})', self.path) from error
        except OSError as error:
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), self.path) from error

    def discard(self) -> None:
        """Delete the unfinished recording."""
        try:
            self._writer.close()
        except Exception:  # such as a full disk; the folder is deleted anyway
            pass
        shutil.rmtree(self._part, ignore_errors=True)


def reliable_qos(depth: int = 10, latched: bool = False) -> Any:
    """Return the QoS of the node's publishers, in rosbags' form.

    :param depth: history depth.
    :param latched: whether durability is transient local.
    :returns: rosbags Qos.
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
