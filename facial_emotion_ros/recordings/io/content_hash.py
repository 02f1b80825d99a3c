"""Hash a recording's content, which identifies it independently of its name and path."""

import hashlib
import os
import re

from facial_emotion_ros.core.errors import BadBag
from facial_emotion_ros.recordings.io.scratch import LOGS, is_unfinished

_PIECE = 1 << 20

#: Bytes that :func:`state_of` reads at the start and at the end of a file.
_BLOCK = 64 << 10

#: Files of a ROS 2 recording: metadata, messages, and SQLite logs of databases that were not closed.
METADATA = 'metadata.yaml'
MESSAGES = re.compile(r'\.(mcap|db3|bag)(\.zstd)?$')
_LOG = re.compile(r'\.db3-(wal|journal)$')


def hash_of(path: str) -> str:
    """Compute the SHA-256 of a recording.

    :param path: folder or file.
    :returns: hex digest of the file, or of the names and digests of the folder's metadata and message files in name
        order; other files are ignored. A database with an SQLite log is hashed like a folder.
    :raises BadBag: if it does not exist or cannot be read.
    """
    try:
        folder, names = _files_of(path)
        if len(names) == 1 and os.path.isfile(path):
            return _hash_file(path)
        whole = hashlib.sha256()
        for name in names:
            whole.update(f'{name}\0{_hash_file(os.path.join(folder, name))}\n'.encode('utf-8', 'surrogateescape'))
        return whole.hexdigest()
    except OSError as error:
        raise BadBag(f'expected a recording that can be read, got {path!r}: {error}') from error


def state_of(path: str) -> tuple[int, str]:
    """Fingerprint a recording's files without reading them completely.

    :param path: folder or file.
    :returns: total size in bytes, and a hex digest of each file's name, size, modification time, first and last block;
        a change in the middle of a file whose modification time is then reset goes unnoticed.
    :raises BadBag: if it does not exist.
    :raises OSError: if it cannot be read.
    """
    size_bytes, whole = 0, hashlib.sha256()
    folder, names = _files_of(path)
    for name in names:
        with open(os.path.join(folder, name), 'rb') as file:
            state = os.fstat(file.fileno())
            whole.update(f'{name}\0{state.st_size} {state.st_mtime_ns}\n'.encode('utf-8', 'surrogateescape'))
            whole.update(file.read(_BLOCK))
            file.seek(max(0, state.st_size - _BLOCK))
            whole.update(file.read(_BLOCK))
            size_bytes += state.st_size
    return size_bytes, whole.hexdigest()


def _files_of(path):
    """List the files that are hashed: (folder, names)."""
    folder, names = path, []
    if os.path.isfile(path):
        if not is_unfinished(path):
            return os.path.split(path)[0], [os.path.split(path)[1]]
        folder, name = os.path.split(os.path.abspath(path))
        names = [name, *(name + log for log in LOGS if os.path.isfile(os.path.join(folder, name + log)))]
    elif os.path.isdir(path):
        names = sorted(
            name
            for name in os.listdir(path)
            if name == METADATA
            or MESSAGES.search(name)
            or _LOG.search(name)
            and os.path.getsize(os.path.join(path, name))
        )
    if not names:
        state = 'holds no files of a recording' if os.path.isdir(path) else 'does not exist'
        raise BadBag(f'expected a recording, got {path!r}, which {state}')
    return folder, names


def _hash_file(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for piece in iter(lambda: file.read(_PIECE), b''):
            digest.update(piece)
    return digest.hexdigest()
