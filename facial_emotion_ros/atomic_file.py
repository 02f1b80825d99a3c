"""Files that are there whole or not at all."""
import os


def write_whole(path: str, content: bytes):
    """
    Write a file so that a crash leaves either the former one or the new one.

    :param path: of the file; its folder exists.
    :param content: what it shall hold.
    """
    folder, name = os.path.split(os.path.abspath(path))
    part = os.path.join(folder, '.%s.part' % name)
    with open(part, 'wb') as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(part, path)
    settle(folder)


def settle(folder: str):
    """
    Make the names in a folder durable, not the contents alone.

    :param folder: path of the folder.
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
