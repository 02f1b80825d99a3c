"""Write a recording: whole, or not at all."""

import errno
import os
import shutil
import sqlite3
from contextlib import contextmanager

from facial_emotion_ros.atomic_file import finish, part_of
from facial_emotion_ros.bags.message_types import typestore
from facial_emotion_ros.errors import BadBag

#: The format's version (rosbag2); Jazzy and later read it, and Humble reads the mcap file itself.
VERSION = 9


class BagWriter:
    """A folder like `ros2 bag record` makes it, which has its name only when all of it is there.

    >>> with BagWriter('my_bag') as bag:
    ...     bag.write('/detections', DETECTIONS, stamp_ns, cdr)
    """

    def __init__(self, path, storage='mcap', qos=None, replace=False):
        """Prepare it.

        :param path: folder to make; it must not be there, unless `replace`.
        :param storage: 'mcap' or 'sqlite3'.
        :param qos: function of a topic that gives rosbags' Qos to be noted for it; None notes none.
        :param replace: a recording that is there goes when this one is complete.
        :raises BadBag: if the folder is there, or rosbags is not installed.
        """
        self._store = typestore()
        self.path = os.path.abspath(path)
        if os.path.exists(self.path) and not (replace and os.path.exists(os.path.join(self.path, 'metadata.yaml'))):
            raise BadBag(f'expected a folder to be made, got {path!r}, which is there already; delete it or name '
                         'another')
        self._part = part_of(self.path)
        self._storage, self._qos, self._topics, self._writer = storage, qos, {}, None
        self.counts = {}

    def __enter__(self):
        """Begin to write, beside where it shall lie in the end.

        :raises OSError: if that is not possible.
        """
        from rosbags.rosbag2 import StoragePlugin, Writer

        shutil.rmtree(self._part, ignore_errors=True)
        os.makedirs(self._part)
        plugin = StoragePlugin.MCAP if self._storage == 'mcap' else StoragePlugin.SQLITE3
        self._writer = Writer(os.path.join(self._part, os.path.basename(self.path)), version=VERSION,
                              storage_plugin=plugin)
        self._writer.open()
        return self

    def write(self, topic, msgtype, receive_ns, cdr, typestore=None):
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

    def _write(self, topic, msgtype, receive_ns, cdr, typestore):
        connection = self._topics.get(topic)
        if connection is None:
            qos = self._qos(topic) if self._qos else None
            connection = self._topics[topic] = self._writer.add_connection(
                topic, msgtype, typestore=typestore or self._store, offered_qos_profiles=[qos] if qos else ())
            self.counts[topic] = 0
        self._writer.write(connection, receive_ns, cdr)
        self.counts[topic] += 1

    def __exit__(self, kind, error, trace):
        """Close it, and give it its name; after an error, leave nothing.

        :raises OSError: if the disk does not take it.
        """
        if kind is not None:
            self.discard()
            return
        try:
            with self._named_errors():
                self._writer.close()
                if os.path.exists(self.path):
                    shutil.rmtree(self.path)
                finish(os.path.join(self._part, os.path.basename(self.path)), self.path)
                os.rmdir(self._part)
        except BaseException:
            self.discard()
            raise

    @contextmanager
    def _named_errors(self):
        """Name the recording in errors of the disk, which SQLite has a kind of its own for."""
        try:
            yield
        except sqlite3.OperationalError as error:
            number = errno.ENOSPC if 'full' in str(error) else errno.EIO
            raise OSError(number, f'{os.strerror(number)} ({error})', self.path) from error
        except OSError as error:
            raise OSError(error.errno or errno.EIO, error.strerror or str(error), self.path) from error

    def discard(self):
        """Delete what was written."""
        try:
            self._writer.close()
        except Exception:  # what a full disk or the like left of it is deleted anyway
            pass
        shutil.rmtree(self._part, ignore_errors=True)


def reliable_qos(depth=10, latched=False):
    """Give the quality of service that our node publishes with, as a recording notes it.

    :param depth: messages kept for a reader that is late.
    :param latched: whether the last one is kept for later readers.
    :returns: rosbags' Qos.
    """
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    for_ever = QosTime(2147483647, 4294967295)
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(QosHistory.KEEP_LAST, depth, QosReliability.RELIABLE, durability, for_ever, for_ever,
               QosLiveliness.AUTOMATIC, for_ever, False)
