"""Temporary copies of files that cannot be read in place: compressed ones, and SQLite databases with a log."""

import errno
import os
import shutil
import sqlite3
import tempfile
from types import ModuleType
from typing import Any

from facial_emotion_ros.core.errors import BadBag

#: Suffixes of SQLite's logs; after a crash they hold the newest messages.
LOGS = ('-wal', '-journal')

#: First bytes of Zstandard data; a serialized ROS 2 message begins with 0.
ZSTD = b'\x28\xb5\x2f\xfd'

#: Size of SQLite's log index (-shm, 32 KiB) and some pages.
_SHARED_BYTES = 40 << 10

#: Maximum size of a decompressed message, in bytes.
_MAX_MESSAGE = 1 << 29


def is_unfinished(path: str) -> bool:
    """Return whether a database was not closed: it has an SQLite log that is not empty."""
    for log in LOGS:
        if os.path.isfile(os.fspath(path) + log):
            with open(os.fspath(path) + log, 'rb') as file:
                if any(file.read(8)):  # a completed log is empty or begins with zeros
                    return True
    return False


def readable_copy(path: str, faults: list[str]) -> tuple[str, tempfile.TemporaryDirectory[str] | None]:
    """Copy a file to a temporary folder if it cannot be read in place; the recording is not changed.

    :param path: path of the file.
    :param faults: descriptions of damage are appended here.
    :returns: path to read, and the TemporaryDirectory of the copy; None if the file itself can be read.
    :raises BadBag: if the copy cannot be written.
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
            f'{name} is {"compressed" if is_packed else "a database that was not closed"}, and its copy '
            f'in {tempfile.gettempdir()} cannot be written ({error.strerror or error}); set the environment variable '
            'TMPDIR to a folder with more space'
        ) from error
    return target, folder


def unpacked(raw: Any) -> bytes:
    """Decompress a Zstandard-compressed message; return others unchanged.

    :raises BadBag: if it cannot be decompressed.
    """
    if bytes(raw[:4]) != ZSTD:
        return raw
    zstd = zstandard()
    unpacker = zstd.ZstdDecompressor()
    try:
        content = unpacker.decompress(bytes(raw), max_length=_MAX_MESSAGE)
    except zstd.ZstdError as error:
        raise BadBag(f'expected a zstd-compressed message, got {len(raw)} bytes of something else ({error})') from error
    if not unpacker.eof:
        raise BadBag(
            f'expected a complete zstd-compressed message of at most {_MAX_MESSAGE >> 20} MiB, got a truncated or '
            'larger one'
        )
    return content


def _unpack(path, target, faults):
    """Decompress a file, up to its damage."""
    zstd = zstandard()
    try:
        with zstd.open(path, 'rb') as packed, open(target, 'wb') as file:
            shutil.copyfileobj(packed, file, 1 << 20)
    except (EOFError, zstd.ZstdError) as error:
        faults.append(f'{os.path.basename(path)} is truncated ({error}); it is decompressed as far as possible')


def _replay_log(path, target, faults):
    """Copy a database with its log, and let SQLite merge the log into the copy."""
    for ending in ('', *LOGS):
        if os.path.isfile(path + ending):
            shutil.copyfile(path + ending, target + ending)
    # SQLite reports a full disk as "disk I/O error", like a damaged log.
    logged = sum(os.path.getsize(target + log) for log in LOGS if os.path.isfile(target + log))
    if shutil.disk_usage(os.path.dirname(target)).free < logged + _SHARED_BYTES:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    name = os.path.basename(path)
    try:
        connection = sqlite3.connect(target)
        try:
            # The first read applies the log; the checkpoint removes it.
            connection.execute('SELECT count(*) FROM sqlite_master').fetchall()
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchall()
        finally:
            connection.close()
        faults.append(f'{name} was not closed; its log is read too, from a copy')
    except sqlite3.Error as error:
        faults.append(f'{name} was not closed, and its log cannot be read ({error}); messages in the log are lost')
        shutil.copyfile(path, target)
    for log in LOGS:
        if os.path.exists(target + log):
            os.remove(target + log)


def zstandard() -> ModuleType:
    """Import zstd: Python's own from 3.14 on, else the backport that rosbags depends on."""
    try:
        from compression import zstd
    except ImportError:
        from backports import zstd
    return zstd
