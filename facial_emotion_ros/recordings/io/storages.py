"""Open the files of a recording: with rosbags, or with the readers of `salvage` if rosbags rejects them."""

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

#: A file that a recorder still writes was modified less than this ago.
_JUST_WRITTEN_S = 60.0


def open_storage(path: str, faults: list[str]) -> list[Storage]:
    """Open all files of a recording.

    :param path: folder or file.
    :param faults: descriptions of damage are appended here.
    :returns: storages in recording order.
    :raises BadBag: if it does not exist, is still being written, or nothing can be read.
    """
    if not os.path.exists(path):
        raise BadBag(
            f'expected a recording, got {path!r}, which does not exist; name a folder made by `ros2 bag record`, '
            'a .mcap, .db3 or .bag file, or a video'
        )
    files = [path] if os.path.isfile(path) else _files_in(path)
    for each in files:
        if _is_being_written(each):
            raise BadBag(
                f'expected a complete recording, got {os.path.basename(each)}, which is still being written; stop '
                'the recorder first'
            )
    if os.path.isfile(path):
        return [_open_file(path, faults)]
    # rosbags does not read SQLite's logs.
    if os.path.exists(os.path.join(path, 'metadata.yaml')) and not any(map(is_unfinished, files)):
        try:
            return [_by_rosbags(path)]
        except BadBag as error:
            faults.append(f'metadata.yaml is unusable ({error}); the message files of the folder are read without it')
    if not files:
        raise BadBag(f'expected a recording, but the folder {path!r} holds no .mcap, .db3 or .bag file')
    if not os.path.exists(os.path.join(path, 'metadata.yaml')):
        faults.append(
            f'metadata.yaml is missing; {len(files)} file{"s are" if len(files) > 1 else " is"} read in name order'
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
    """Return whether a process has a file open for writing: Linux then grants no read lease."""
    try:
        with open(path, 'rb') as file:
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # instead of SIGIO, which would end this process
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as fault:
        # Network file systems may grant no lease at all, so the file must also have been modified recently.
        return fault.errno == errno.EAGAIN and time.time() - os.path.getmtime(path) < _JUST_WRITTEN_S
    except AttributeError:  # not Linux
        pass
    return False


def _files_in(folder):
    """List the message files in natural order; a compressed one only if its uncompressed form is missing."""
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
    """Return a key for natural order: part_10 comes after part_9."""
    return [int(word) if word.isdecimal() else word for word in re.split('([0-9]+)', name)]


def _open_file(path, faults):
    """Open a single file, or a temporary copy if it cannot be read in place."""
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
    except Exception as fault:  # damaged bytes can raise anything in the library
        raise BadBag(f'expected a recording, got {name}, of which nothing can be read ({words_of(fault)})') from fault
    if kind != '.mcap' or not _has_its_end(path):
        faults.append(f'{name} is damaged ({reason}); it is read as far as possible')
    return salvaged


def _has_its_end(path):
    """Return whether an mcap file is complete: rosbags also rejects complete ones, of ROS 1 or from other tools."""
    try:
        from mcap.reader import make_reader

        with open(path, 'rb') as file:
            return make_reader(file).get_summary() is not None
    except Exception:  # damaged, or mcap is not installed
        return False


def _by_rosbags(path):
    """Open a folder or file with rosbags; raise BadBag with the reason if that fails."""
    try:
        return _Whole(path)
    except Exception as fault:  # damaged bytes can raise anything in the library
        # The caller names the file: drop its path from the reason.
        text = str(fault).replace(path + os.sep, '').replace(path, os.path.basename(path))
        raise BadBag(words_of(text or fault)) from fault


class _Whole(Storage):
    """A recording that rosbags can read."""

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
            # In an mcap file without an index, rosbags stops at a message older than the one before it.
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
