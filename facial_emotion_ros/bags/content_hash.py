"""What a recording is, whatever it is called and wherever it lies: the hash of its content."""

import hashlib
import os
import re

from facial_emotion_ros.errors import BadBag

_PIECE = 1 << 20

#: What a folder of ROS 2 holds: a file about the others, and those of messages.
METADATA = 'metadata.yaml'
MESSAGES = re.compile(r'\.(mcap|db3|bag)(\.zstd)?$')


def hash_of(path):
    """Hash a recording's files.

    :param path: folder or file.
    :returns: sha256 in hex: of the file, or of the names and sha256 of the folder's metadata and files of messages, in
        the order of names; what else lies there is not the recording.
    :raises BadBag: if it is not there or cannot be read.
    """
    try:
        if os.path.isfile(path):
            return _hash_file(path)
        names = sorted(name for name in os.listdir(path) if name == METADATA or MESSAGES.search(name)
                       ) if os.path.isdir(path) else []
        if not names:
            state = 'holds none of its files' if os.path.isdir(path) else 'is not there'
            raise BadBag(f'expected a recording, got {path!r}, which {state}')
        whole = hashlib.sha256()
        for name in names:
            whole.update(f'{name}\0{_hash_file(os.path.join(path, name))}\n'.encode('utf-8', 'surrogateescape'))
        return whole.hexdigest()
    except OSError as error:
        raise BadBag(f'expected a recording that can be read, got {path!r}: {error}') from error


def _hash_file(path):
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for piece in iter(lambda: file.read(_PIECE), b''):
            digest.update(piece)
    return digest.hexdigest()
