"""A recording while it grows: readable whatever ends it. Needs the rosbags library, and nothing of rclpy."""

import glob
import os
import shutil

from facial_emotion_ros.bags.message_types import require_rosbags, typestore
from facial_emotion_ros.bags.writer import VERSION
from facial_emotion_ros.errors import BadBag


class RecordingFile:
    """A folder as `ros2 bag record` makes it: an mcap file, and metadata.yaml when it is closed.

    What has been written is lost by no crash of the process but for what came since the last :meth:`settle`; the file
    then lacks its index, and is read by :class:`.bags.bag_file.BagFile` as far as it goes.
    """

    def __init__(self, path, keep_free_mb):
        """Make the folder.

        :param path: of the folder; it must not be there.
        :param keep_free_mb: MiB of the disk that are left to others.
        :raises BadBag: if it cannot be made, or rosbags is not installed.
        """
        require_rosbags()
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.rosbag2.errors import WriterError
        self.path, self._keep_free = os.path.abspath(path), int(keep_free_mb * 2 ** 20)
        self._connections = {}
        #: Bytes that may be written before the disk is looked at again.
        self._room = 0
        #: Messages of each topic.
        self.counts = {}
        self._writer = None
        writer = None
        try:
            writer = Writer(self.path, version=VERSION, storage_plugin=StoragePlugin.MCAP)
            writer.open()
        except WriterError:
            raise BadBag('expected a folder to be made, got %s, which is there already; delete it or name another'
                         % path) from None
        except OSError as error:
            raise BadBag('expected a folder that can be written, but %s cannot be made (%s); name another' % (
                path, error.strerror or error)) from None
        self._writer = writer

    @property
    def is_open(self):
        """Whether more can be written."""
        return self._writer is not None

    def add(self, topic, msgtype, qos):
        """Take a topic in.

        :param topic: its name.
        :param msgtype: such as 'sensor_msgs/msg/Image'.
        :param qos: list of rosbags' Qos that are noted for it.
        :raises BadBag: if no definition of the message is found; or as write does, and is_open is False then.
        """
        if topic in self._connections:
            return
        definitions = definitions_of(msgtype)
        if self._writer is None:
            raise BadBag('expected %s to be open, it is closed' % self.path)
        try:
            self._connections[topic] = self._writer.add_connection(
                topic, msgtype, typestore=definitions, offered_qos_profiles=qos)
        except OSError as error:
            self.close(failed=True)
            raise BadBag(_ended(self.path, error.strerror or str(error))) from None
        self.counts[topic] = 0

    def write(self, topic, receive_ns, cdr):
        """Append a message.

        :param topic: one that was added.
        :param receive_ns: when it came.
        :param cdr: bytes.
        :raises BadBag: if the disk is full or fails; close then keeps what is written.
        """
        try:
            self._check_room(len(cdr))
            self._writer.write(self._connections[topic], receive_ns, cdr)
        except OSError as error:
            self.close(failed=True)
            raise BadBag(_ended(self.path, error.strerror or str(error))) from None
        self.counts[topic] += 1

    def settle(self):
        """Hand all that came so far to the system, in a form that can be read.

        :raises BadBag: as write does.
        """
        storage = None if self._writer is None else self._writer.storage
        try:
            # rosbags gathers a MiB, which of a face's scores are minutes.
            if storage is not None and getattr(storage.chunk, 'msgs', None):
                storage.close_chunk()
                storage.bio.flush()
        except OSError as error:
            self.close(failed=True)
            raise BadBag(_ended(self.path, error.strerror or str(error))) from None

    def close(self, failed=False):
        """Write index and metadata; where the disk has failed, leave them out."""
        writer, self._writer = self._writer, None
        if writer is None:
            return
        try:
            if failed:
                writer.abort()
            else:
                writer.close()
        except OSError as error:
            if not failed:
                raise BadBag(_ended(self.path, error.strerror or str(error))) from None

    def _check_room(self, size):
        """End in time: a full disk takes no index either, and harms others than us."""
        self._room -= size
        if self._room > 0:
            return
        free = shutil.disk_usage(self.path).free
        if free - size < self._keep_free:
            self.close()
            raise BadBag('the disk is nearly full (%d MiB are free, %d are left to others: --keep-free); %s is whole, '
                         'and holds all that came before; make room, and name another folder' % (
                             free >> 20, self._keep_free >> 20, self.path))
        self._room = (free - size - self._keep_free) // 8


def _ended(path, reason):
    return ('%s could not be written any further (%s); what came before can be read, though it lacks its index; make '
            'room, and name another folder' % (path, reason))


def definitions_of(msgtype):
    """Find the definition of a message and of those in it, as this machine has them installed.

    :param msgtype: such as 'sensor_msgs/msg/Image'.
    :returns: rosbags' Typestore that knows it.
    :raises BadBag: if there is none.
    """
    from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore
    found, wanted = {}, [msgtype]
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
    raise BadBag('expected the definition of %s, which is not among the installed packages; source the workspace that '
                 'has the package %s' % (msgtype, msgtype.partition('/')[0]))


def _definition_file(msgtype):
    """Give the path of an installed .msg file.

    :raises FileNotFoundError: there is none.
    """
    package, _, name = msgtype.partition('/msg/')
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        for path in glob.glob(os.path.join(prefix, 'share', package, 'msg', name + '.msg')) if prefix else ():
            return path
    raise FileNotFoundError(msgtype)


def _parts_of(definition):
    """List the types of messages that a parsed definition names."""
    _, fields = definition
    named = []
    for _, (kind, details) in fields:
        while kind.name in ('ARRAY', 'SEQUENCE'):
            kind, details = details[0]
        if kind.name == 'NAME':
            named.append(details)
    return named
