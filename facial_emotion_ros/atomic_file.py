"""Files that are there whole or not at all."""
import os


def write_whole(path: str, content: bytes):
    """
    Write a file so that a crash leaves either the former one or the new one.

    :param path: of the file; its folder is made where it is missing.
    :param content: what it shall hold.
    """
    def write(part):
        with open(part, 'wb') as stream:
            stream.write(content)
    replace_whole(path, write)


def replace_whole(path: str, write):
    """
    Have a file written beside its place, and move it there in one step when it is on the disk.

    :param path: of the file; its folder is made where it is missing.
    :param write: called with the path to write to; when it raises, the former file stays and the new one goes.
    """
    folder, name = os.path.split(os.path.abspath(path))
    os.makedirs(folder, exist_ok=True)
    part = os.path.join(folder, '.%s.part' % name)
    try:
        write(part)
        with open(part, 'rb') as written:
            os.fsync(written.fileno())
        os.replace(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)
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
