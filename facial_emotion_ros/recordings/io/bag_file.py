"""Read a recording of any supported format as a stream of messages; damaged files are read as far as possible."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from facial_emotion_ros.recordings.io.message_types import IMAGE, IMAGE_TYPES, require_rosbags, typestore
from facial_emotion_ros.recordings.io.scratch import unpacked
from facial_emotion_ros.recordings.io.storage import Storage, StoredTopic, words_of
from facial_emotion_ros.recordings.io.storages import open_storage

#: Words in the names of topics whose images are not from a colour camera.
_NO_CAMERA = re.compile(
    r'(?:^|[/_])(depth|disparity|mask|masks|segmentation|thermal|label|labels|heatmap|debug|'
    r'compressedDepth|cropped|annotated|confidence|infrared|infra\d*|ir\d*|nir)(?:[/_]|$)',
    re.IGNORECASE,
)

#: Suffixes that image_transport plugins append to a camera's topic.
_TRANSPORTS = ('compressed', 'ffmpeg', 'foxglove', 'theora')


class BagMessage:
    """One recorded message: topic, msgtype, receive_ns (time of recording)."""

    __slots__ = ('_raw', '_reader', 'msgtype', 'receive_ns', 'topic')

    def __init__(self, topic: str, msgtype: str, receive_ns: int, raw: Any, reader: Storage):
        """Wrap a recorded message without decoding it."""
        self.topic, self.msgtype, self.receive_ns = topic, msgtype, receive_ns
        self._raw, self._reader = raw, reader

    @property
    def cdr(self) -> bytes:
        """The message in ROS 2's serialization (CDR).

        :raises BadBag: if it is a ROS 1 message without a counterpart in ROS 2.
        """
        if not self._reader.needs_conversion(self.msgtype):
            return bytes(unpacked(self._raw))
        return bytes(typestore().serialize_cdr(self.read(), self.msgtype))

    def read(self) -> Any:
        """Decode the message.

        :returns: rosbags message, with ROS's field names.
        :raises BadBag: if its bytes cannot be decoded as its type.
        """
        raw = self._raw if self._reader.needs_conversion(self.msgtype) else unpacked(self._raw)
        return self._reader.decode(raw, self.msgtype, self.topic)


class BagFile:
    """An open recording.

    >>> with BagFile('my_bag') as bag:
    ...     for message in bag.messages(bag.cameras()):
    ...         print(message.topic, message.receive_ns, message.read().header.stamp)

    name: folder or file name without extension; topics: {name: StoredTopic}; start_ns: receive time of the first
    message; duration_s; faults: descriptions of damage, which grow while messages are read.
    """

    def __init__(self, path: str):
        """Set the path; `with` opens the recording.

        :param path: rosbag2 folder, single .mcap or .db3 file, ROS 1 .bag file, or video file.
        :raises BadBag: if rosbags is not installed.
        """
        require_rosbags()
        self.path = os.path.abspath(path)
        name = os.path.basename(self.path)
        name = os.path.splitext(name.removesuffix('.zstd'))[0] if os.path.isfile(self.path) else name
        self.name = name.encode('utf-8', 'backslashreplace').decode('utf-8')
        self.topics: dict[str, StoredTopic] = {}
        self.faults: list[str] = []
        self.start_ns, self.duration_s = 0, 0.0
        self._ends: dict[str, tuple[float, int]] = {}
        self._storages: list[Storage] = []

    def __enter__(self) -> 'BagFile':
        """Open the recording.

        :raises BadBag: if it does not exist, or nothing of it can be read.
        """
        self._storages = open_storage(self.path, self.faults)
        starts, ends = [], []
        for storage in self._storages:
            for topic in storage.topics:
                known = self.topics.get(topic.name)
                if known is not None and known.msgtype != topic.msgtype:
                    self.faults.append(
                        f'{topic.name} is recorded as {known.msgtype} and as {topic.msgtype}: only the former is read'
                    )
                    continue
                count = topic.count + (known.count if known else 0)
                self.topics[topic.name] = replace(topic, count=count)
            if storage.end_ns > storage.start_ns:
                starts.append(storage.start_ns)
                ends.append(storage.end_ns)
        if starts:
            self.start_ns, self.duration_s = min(starts), (max(ends) - min(starts)) / 1e9
        return self

    def __exit__(self, *error: Any) -> None:
        """Close the recording."""
        storages, self._storages = self._storages, []
        for storage in storages:
            storage.close()

    def cameras(self) -> list[str]:
        """List the topics of colour images, one per camera: raw before compressed before other transports.

        :returns: sorted topic names; topics without messages are included only if no topic has any.
        """
        images = [topic for topic in self._images() if not _NO_CAMERA.search(topic.name)]
        images = [topic for topic in images if topic.count] or images
        raw = {topic.name for topic in images if topic.msgtype == IMAGE}
        chosen: dict[str, str] = {}
        for topic in sorted(images, key=lambda topic: (IMAGE_TYPES.index(topic.msgtype), topic.name)):
            camera, transport = os.path.split(topic.name)
            is_transport = topic.msgtype != IMAGE and (camera in raw or transport in _TRANSPORTS)
            chosen.setdefault(camera if is_transport else topic.name, topic.name)
        return sorted(chosen.values())

    def left_out(self) -> list[str]:
        """List the image topics with messages whose names say they are not colour cameras, sorted."""
        return sorted(topic.name for topic in self._images() if topic.count and _NO_CAMERA.search(topic.name))

    def _images(self):
        return [topic for topic in self.topics.values() if topic.msgtype in IMAGE_TYPES]

    def messages(self, topics: Sequence[str] = (), start_s: float = 0.0) -> Iterator[BagMessage]:
        """Iterate over messages in recording order; where the recording becomes unreadable, stop and add to `faults`.

        :param topics: topic names; empty for all.
        :param start_s: skip messages recorded earlier than this, in seconds after the start.
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
            except Exception as fault:  # damaged bytes can raise anything in the library
                self._note_end(storage, last, fault)

    def _note_end(self, storage, last_ns, fault):
        """Record how far a file can be read: one entry per file, however often and for whichever topics it is read."""
        reached_s = max(((last_ns or self.start_ns) - self.start_ns) / 1e9, 0.0)
        before_s, place = self._ends.get(storage.path, (-1.0, len(self.faults)))
        if reached_s > before_s:
            self._ends[storage.path] = reached_s, place
            self.faults[place : place + 1] = [
                f'{os.path.basename(storage.path)}: cannot be read beyond {reached_s:.1f} s after its start; the '
                f'rest is lost ({words_of(fault)})'
            ]
