"""Files of a recording that cannot be read where they lie: compressed ones, and databases with an unfinished log."""

import errno
import os
import shutil
import sqlite3
import tempfile
from types import ModuleType
from typing import Any

from facial_emotion_ros.core.errors import BadBag

#: Logs of SQLite beside an open database; after a power cut they hold the newest messages.
LOGS = ('-wal', '-journal')

#: First bytes of Zstandard data; a message of ROS 2 begins with 0.
ZSTD = b'\x28\xb5\x2f\xfd'

#: Size of SQLite's index of a log, and a page more.
_SHARED_BYTES = 40 << 10

#: No message is larger than this.
_MAX_MESSAGE = 1 << 29


def is_unfinished(path: str) -> bool:
    """Check whether a database has a log beside it: it was not closed."""
    for log in LOGS:
        if os.path.isfile(os.fspath(path) + log):
            with open(os.fspath(path) + log, 'rb') as file:
                if any(file.read(8)):  # a log that is done with is empty, or begins with zeros
                    return True
    return False


def readable_copy(path: str, faults: list[str]) -> tuple[str, tempfile.TemporaryDirectory[str] | None]:
    """Copy a file to a temporary folder where it cannot be read otherwise; the recording is not changed.

    :param path: of the file.
    :param faults: takes what is damaged.
    :returns: path to read, and the TemporaryDirectory of the copy; None for the file itself.
    :raises BadBag: if there is no room for a copy.
    """
    is_packed = path.endswith('.zstd')
    if not is_packed and not is_unfinished(path):
        return path, None
    name = os.path.basename(path)
    folder = tempfile.TemporaryDirectory(prefix='recording_')
    try:
        target = os.path.join(folder.name, name.removesuffix('.zstd'))
        if is_packed:
            _unpack(path, target, faults)
        else:
            _replay_log(path, target, faults)
    except OSError as error:
        folder.cleanup()
        raise BadBag(
            f'{name} is {"compressed" if is_packed else "a database with an unfinished log"}, and the copy of '
            f'it in {tempfile.gettempdir()} cannot be made ({error.strerror or error}); name a folder with '
            'more room by the environment variable TMPDIR'
        ) from error
    return target, folder


def unpacked(raw: Any) -> bytes:
    """Decompress a message that was recorded compressed; others stay as they are.

    :param raw: bytes-like.
    :raises BadBag: if it cannot be decompressed.
    """
    if bytes(raw[:4]) != ZSTD:
        return raw
    zstd = zstandard()
    unpacker = zstd.ZstdDecompressor()
    try:
        content = unpacker.decompress(bytes(raw), max_length=_MAX_MESSAGE)
    except zstd.ZstdError as error:
        raise BadBag(f'expected a message compressed by zstd, got {len(raw)} bytes that are none ({error})') from error
    if not unpacker.eof:
        raise BadBag(f'expected a whole message compressed by zstd, of up to {_MAX_MESSAGE >> 20} MiB, got another')
    return content


def _unpack(path, target, faults):
    """Decompress a file, as far as it is complete."""
    zstd = zstandard()
    try:
        with zstd.open(path, 'rb') as packed, open(target, 'wb') as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (EOFError, zstd.ZstdError) as error:
        faults.append(f'{os.path.basename(path)} is not whole ({error}); it is decompressed as far as it goes')


def _replay_log(path, target, faults):
    """Copy a database with its log, and have SQLite merge the log there."""
    for ending in ('', *LOGS):
        if os.path.isfile(path + ending):
            shutil.copyfile(path + ending, target + ending)
    # SQLite says "disk I/O error" where there is no room, as of a log that is damaged.
    logged = sum(os.path.getsize(target + log) for log in LOGS if os.path.isfile(target + log))
    if shutil.disk_usage(os.path.dirname(target)).free < logged + _SHARED_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    name = os.path.basename(path)
    try:
        connection = sqlite3.connect(target)
        try:
            # Whoever reads first takes the log in; the last one to close removes it.
            connection.execute('SELECT count(*) FROM sqlite_master').fetchall()
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()
        finally:
            connection.close()
        faults.append(f'{name} was not closed; what its log holds is read too, from a copy')
    except sqlite3.Error as error:
        faults.append(f'{name} was not closed, and its log cannot be read ({error}); what is in there is lost')
        shutil.copyfile(path, target)
    for log in LOGS:
        if os.path.exists(target + log):
            os.remove(target + log)


def zstandard() -> ModuleType:
    """Import Zstandard: Python's own from 3.14 on, else the backport that rosbags depends on."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd
