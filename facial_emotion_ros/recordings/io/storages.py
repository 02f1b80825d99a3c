"""Opens the files of a recording: with rosbags where they are complete, by salvage where they are not."""

import errno
import fcntl
import itertools
import os
import re
import signal
import time
from typing import Any

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.film_file import FILM, open_film
from facial_emotion_ros.recordings.io.salvage import CutSqlite, McapStream
from facial_emotion_ros.recordings.io.scratch import is_unfinished, readable_copy
from facial_emotion_ros.recordings.io.storage import Storage, StoredTopic, ros2_name, words_of

#: A recorder writes more often.
_JUST_WRITTEN_S = 60.0


def open_storage(path: str, faults: list[str]) -> list[Storage]:
    """Open all files of a recording.

    :param path: folder or file.
    :param faults: takes what is damaged.
    :returns: in the order of recording.
    :raises BadBag: if it is not there, or nothing can be read.
    """
    if not os.path.exists(path):
        raise BadBag(
            f'expected a recording, got {path!r}, which is not there; give the folder that `ros2 bag record` '
            'made, a .mcap, .db3 or .bag file, or a video'
        )
    files = [path] if os.path.isfile(path) else _files_in(path)
    for each in files:
        if _is_being_written(each):
            raise BadBag(
                f'expected a complete recording, got {os.path.basename(each)}, which is still being written; evaluate '
                'it when the recorder has ended'
            )
    if os.path.isfile(path):
        return [_open_file(path, faults)]
    # rosbags does not look into logs.
    if os.path.exists(os.path.join(path, 'metadata.yaml')) and not any(map(is_unfinished, files)):
        try:
            return [_by_rosbags(path)]
        except BadBag as error:
            faults.append(f'metadata.yaml does not lead to the messages ({error}); the files beside it are read')
    if not files:
        raise BadBag(f'expected a recording, but the folder {path!r} holds no .mcap, .db3 or .bag file')
    if not os.path.exists(os.path.join(path, 'metadata.yaml')):
        faults.append(
            f'metadata.yaml is missing; {len(files)} file{"s are" if len(files) > 1 else " is"} read in the '
            'order of their names'
        )
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


def _is_being_written(path):
    """Tell whether a process holds a file open for writing, where Linux tells: it grants no read lease then."""
    try:
        with open(path, 'rb') as file:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # in place of SIGIO, which would end this process
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as fault:
        # Network file systems may grant no lease at all: there, only a file that was just written counts.
        return fault.errno == errno.EAGAIN and time.time() - os.path.getmtime(path) < _JUST_WRITTEN_S
    except AttributeError:  # another system
        pass
    return False


def _files_in(folder):
    """List the files of messages in order; compressed ones only without an uncompressed one."""
    names = [
        name
        for name in sorted(os.listdir(folder), key=_by_number)
        if name.removesuffix('.zstd').endswith(('.mcap', '.db3', '.bag')) and os.path.isfile(os.path.join(folder, name))
    ]
    return [
        os.path.join(folder, name)
        for name in names
        if name.removesuffix('.zstd') == name or name.removesuffix('.zstd') not in names
    ]


def _by_number(name):
    """Sort key of natural order: part_10 comes after part_9."""
    return [int(word) if word.isdecimal() else word for word in re.split('([0-9]+)', name)]


def _open_file(path, faults):
    """Open a single file: a copy where it needs one, by salvage where it is not complete."""
    name = os.path.basename(path)
    if not os.path.getsize(path):
        raise BadBag(f'expected a recording, got {name}, which is empty')
    if FILM.search(name):
        return open_film(path, name)
    readable, scratch = readable_copy(path, faults)
    try:
        storage = _open_readable(readable, name, faults)
    except BaseException:
        if scratch is not None:
            scratch.cleanup()
        raise
    storage.scratch = scratch
    return storage


def _open_readable(path, name, faults):
    kind = os.path.splitext(path)[1]
    salvage = {'.mcap': McapStream, '.db3': CutSqlite}.get(kind)
    try:
        return _by_rosbags(path)
    except BadBag as error:
        if salvage is None:
            raise BadBag(f'expected a recording, got {name}, which cannot be read ({error})') from error
        reason = str(error)
    try:
        salvaged = salvage(path)
    except Exception as fault:  # whatever damaged bytes lead the library into
        raise BadBag(f'expected a recording, got {name}, of which nothing can be read ({words_of(fault)})') from fault
    if kind != '.mcap' or not _has_its_end(path):
        faults.append(f'{name} is not whole ({reason}); it is read as far as it goes')
    return salvaged


def _has_its_end(path):
    """Check whether an mcap file is complete: one that rosbags refuses may be of ROS 1, or by another tool."""
    try:
        from mcap.reader import make_reader

        with open(path, 'rb') as file:
            return make_reader(file).get_summary() is not None
    except Exception:  # it is damaged, or mcap is not installed
        return False


def _by_rosbags(path):
    """Open a folder or file with rosbags; a BadBag has the reason if it cannot."""
    try:
        return _Whole(path)
    except Exception as fault:  # whatever damaged bytes lead the library into
        # The path is not part of the fault.
        text = str(fault).replace(path + os.sep, '').replace(path, os.path.basename(path))
        raise BadBag(words_of(text or fault)) from fault


class _Whole(Storage):
    """A recording that rosbags reads."""

    def __init__(self, path):
        super().__init__(path)
        from rosbags.rosbag1 import Reader as Reader1
        from rosbags.rosbag2 import Reader as Reader2

        is_ros1 = path.endswith('.bag') and os.path.isfile(path)
        self._reader: Any = (Reader1 if is_ros1 else Reader2)(path)
        self._reader.open()
        counts: dict[tuple[str, str], StoredTopic] = {}
        for connection in self._reader.connections:
            msgtype = ros2_name(connection.msgtype)
            key = connection.topic, msgtype
            known = counts.get(key)
            qos = next(iter(getattr(connection.ext, 'offered_qos_profiles', ())), None)
            counts[key] = StoredTopic(
                connection.topic,
                msgtype,
                connection.msgcount + (known.count if known else 0),
                known.qos if known else qos,
            )
            definition = connection.msgdef
            self._definitions[msgtype] = (definition.format.name.lower(), definition.data)
            if is_ros1:
                self._of_ros1.add(msgtype)
        self.topics = list(counts.values())
        if self._reader.message_count:
            self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def messages(self, wanted, start_ns):
        """See Storage."""
        connections = [each for each in self._reader.connections if each.topic in wanted]
        taken = 0
        try:
            read = self._reader.messages(connections, start=start_ns) if connections else ()
            for connection, receive_ns, raw in read:
                taken += 1
                yield connection.topic, ros2_name(connection.msgtype), receive_ns, raw
        except Exception as fault:
            # rosbags stops in an mcap file without an index at a message that is older than the one before.
            if 'not in timestamp order' not in str(fault):
                raise
            files = getattr(self._reader.storage, 'storages', None) or [self._reader.storage]
            yield from itertools.islice(
                itertools.chain.from_iterable(McapStream(str(each.path)).messages(wanted, start_ns) for each in files),
                taken,
                None,
            )

    def close(self):
        """Close the files."""
        self._reader.close()
        super().close()
