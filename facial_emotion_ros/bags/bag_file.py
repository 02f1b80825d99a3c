"""A recording as a sequence of messages, whatever its kind, and as far as it can be read."""

import os
import re
from typing import NamedTuple

from facial_emotion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE, require_rosbags, typestore
from facial_emotion_ros.bags.scratch import unpacked
from facial_emotion_ros.bags.storage import FAULTS, words_of
from facial_emotion_ros.bags.storages import open_storage

#: Images that show no colours of a scene, by words in their topics.
_NO_CAMERA = re.compile(r'(?:^|[/_])(depth|disparity|mask|masks|segmentation|thermal|label|labels|heatmap|debug|'
                        r'compressedDepth|theora|cropped|annotated|confidence|infrared|infra\d*|ir\d*|nir)(?:[/_]|$)',
                        re.IGNORECASE)


class Topic(NamedTuple):
    """A topic of a recording.

    msgtype: such as 'sensor_msgs/msg/Image'; count: of its messages, as far as they can be read; qos: rosbags' Qos of
    its first publisher, None where none was recorded.
    """

    name: str
    msgtype: str
    count: int
    qos: object


class BagMessage:
    """One recorded message: topic, msgtype, receive_ns (when it was recorded)."""

    __slots__ = ('_raw', '_reader', 'msgtype', 'receive_ns', 'topic')

    def __init__(self, topic, msgtype, receive_ns, raw, reader):
        """Wrap it; nothing is decoded yet."""
        self.topic, self.msgtype, self.receive_ns = topic, msgtype, receive_ns
        self._raw, self._reader = raw, reader

    @property
    def cdr(self):
        """The message as ROS 2 serializes it, bytes.

        :raises BadBag: a message of ROS 1 that ROS 2 has no counterpart of.
        """
        if not self._reader.is_ros1(self.msgtype):
            return bytes(unpacked(self._raw))
        return bytes(typestore().serialize_cdr(self.read(), self.msgtype))

    def read(self):
        """Decode it.

        :returns: a message of rosbags, its fields named as in ROS.
        :raises BadBag: if its bytes are no such message.
        """
        is_ros1 = self._reader.is_ros1(self.msgtype)
        return self._reader.decode(self._raw if is_ros1 else unpacked(self._raw), self.msgtype, self.topic)


class BagFile:
    """A recording that is open.

    >>> with BagFile('my_bag') as bag:
    ...     for message in bag.messages(bag.cameras()):
    ...         print(message.topic, message.receive_ns, message.read().header.stamp)

    name: of its folder or file; topics: {name: Topic}; start_ns: when it begins; duration_s; faults: list of texts,
    what was found to be wrong and lost, which grows while messages are read.
    """

    def __init__(self, path):
        """Name the recording; it is opened by `with`.

        :param path: folder of ROS 2, single .mcap or .db3 file, or .bag file of ROS 1.
        :raises BadBag: if rosbags is not installed.
        """
        require_rosbags()
        self.path = os.path.abspath(path)
        name = os.path.basename(self.path)
        name = os.path.splitext(name.removesuffix('.zstd'))[0] if os.path.isfile(self.path) else name
        self.name = name.encode('utf-8', 'backslashreplace').decode('utf-8')
        self.topics, self.faults, self._ends = {}, [], {}
        self.start_ns, self.duration_s = 0, 0.0
        self._storages = []

    def __enter__(self):
        """Open it.

        :raises BadBag: if it is not there, or nothing of it can be read.
        """
        self._storages = open_storage(self.path, self.faults)
        starts, ends = [], []
        for storage in self._storages:
            for topic in storage.topics:
                known = self.topics.get(topic.name)
                if known is not None and known.msgtype != topic.msgtype:
                    self.faults.append(f'{topic.name} is recorded as {known.msgtype} and as {topic.msgtype}: only the '
                                       'former is read')
                    continue
                count = topic.count + (known.count if known else 0)
                self.topics[topic.name] = Topic(topic.name, topic.msgtype, count, topic.qos)
            if storage.end_ns > storage.start_ns:
                starts.append(storage.start_ns)
                ends.append(storage.end_ns)
        if starts:
            self.start_ns, self.duration_s = min(starts), (max(ends) - min(starts)) / 1e9
        return self

    def __exit__(self, *error):
        """Close it."""
        storages, self._storages = self._storages, []
        for storage in storages:
            storage.close()

    def cameras(self):
        """List the topics that show what a camera saw: colour images; where one is there raw and compressed, raw.

        :returns: list of str, in the order of their names; topics without a message only where none has any.
        """
        images = [topic for topic in self._images() if not _NO_CAMERA.search(topic.name)]
        images = [topic for topic in images if topic.count] or images
        raw = {topic.name for topic in images if topic.msgtype == IMAGE}
        return sorted(topic.name for topic in images
                      if topic.msgtype == IMAGE or os.path.dirname(topic.name) not in raw)

    def left_out(self):
        """List the topics of images that are no cameras, as far as their names tell, and have messages: sorted str."""
        return sorted(topic.name for topic in self._images() if topic.count and _NO_CAMERA.search(topic.name))

    def _images(self):
        return [topic for topic in self.topics.values() if topic.msgtype in (IMAGE, COMPRESSED_IMAGE)]

    def messages(self, topics=(), start_s=0.0):
        """Read messages in the order of recording.

        :param topics: only of these; empty: of all.
        :param start_s: only those that were recorded so many seconds after the recording's begin, or later.
        :returns: iterator of BagMessage. Where the recording cannot be read any further it ends, and says so in
            `faults`.
        """
        wanted = {name for name in (topics or self.topics) if name in self.topics}
        start_ns = self.start_ns + round(start_s * 1e9) if start_s > 0 else None
        for storage in self._storages:
            last = None
            try:
                for topic, msgtype, receive_ns, raw in storage.messages(wanted, start_ns):
                    if self.topics[topic].msgtype != msgtype:
                        continue
                    last = receive_ns
                    yield BagMessage(topic, msgtype, receive_ns, raw, storage)
            except FAULTS as fault:
                self._tell_end(storage, last, fault)

    def _tell_end(self, storage, last_ns, fault):
        """Say how far a file can be read: once, however often and for whichever topics that is tried."""
        reached_s = max(((last_ns or self.start_ns) - self.start_ns) / 1e9, 0.0)
        before_s, place = self._ends.get(storage.path, (-1.0, len(self.faults)))
        if reached_s > before_s:
            self._ends[storage.path] = reached_s, place
            self.faults[place:place + 1] = [
                f'{os.path.basename(storage.path)}: it cannot be read beyond {reached_s:.1f} s after its begin; what '
                f'lies behind is lost ({words_of(fault)})']
