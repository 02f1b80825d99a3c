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
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    part = part_of(path)
    try:
        write(part)
        finish(part, path)
    finally:
        if os.path.exists(part):
            os.remove(part)


def part_of(path: str) -> str:
    """
    Give the hidden name under which a file is written until it is complete.

    :param path: what it shall be called.
    """
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, '.%s.part' % name)


def finish(part: str, path: str):
    """
    Give a complete file, or a folder of such, its name, when it is on the disk.

    :param part: file or folder.
    :param path: what it shall be called, in a folder that exists; a file there is replaced.
    """
    for written in [part] if os.path.isfile(part) else sorted(
            os.path.join(folder, name) for folder, _, names in os.walk(part) for name in names):
        with open(written, 'rb') as file:
            os.fsync(file.fileno())
    os.replace(part, path)
    settle(os.path.dirname(os.path.abspath(path)))


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
