"""What a recording is, whatever it is called and wherever it lies: the hash of its content."""

import hashlib
import os

from facial_emotion_ros.errors import BadBag

_PIECE = 1 << 20


def hash_of(path):
    """Hash a recording's files.

    :param path: folder or file.
    :returns: sha256 in hex: of the file, or of the names and sha256 of all files of the folder, in the order of names.
    :raises BadBag: if it is not there or cannot be read.
    """
    try:
        if os.path.isfile(path):
            return _hash_file(path)
        names = sorted(os.path.relpath(os.path.join(folder, name), path)
                       for folder, _, files in os.walk(path) for name in files)
        if not names:
            state = 'is empty' if os.path.isdir(path) else 'is not there'
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
