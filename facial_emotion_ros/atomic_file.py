"""Files that are there whole or not at all."""
import json
import os
import shutil
import tempfile


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
    except OSError as error:
        if error.filename is None:
            error.filename = path  # a full disk names nothing
        raise
    finally:
        if os.path.exists(part):
            os.remove(part)


def write_together(folder: str, files, unwanted=()):
    """
    Write files that belong together: all of them, or, when one cannot be written, none.

    All are on the disk before the first gets its name, so that a full disk costs nothing. Where the power fails while
    they get their names, some are new and some are not: let the last one hold digests of the others.

    :param folder: path; made where it is missing.
    :param files: dict of name to content, bytes; they get their names in this order.
    :param unwanted: names of files that are removed at the end, if they exist.
    :raises OSError: when something cannot be written; what was there before is as it was.
    """
    os.makedirs(folder, exist_ok=True)
    aside = tempfile.mkdtemp(prefix='.saving.', dir=folder)
    moved = []
    try:
        for name, content in files.items():
            with open(os.path.join(aside, name), 'wb') as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        try:
            for name in list(files) + list(unwanted):
                place, fresh = os.path.join(folder, name), os.path.join(aside, name)
                if os.path.lexists(place):
                    os.rename(place, fresh + '.former')
                    moved.append((fresh + '.former', place))
                if name in files:
                    os.rename(fresh, place)
                    moved.append((place, fresh))
        except OSError:
            for now, before in reversed(moved):
                os.rename(now, before)
            raise
        settle(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def read_cached(path: str):
    """
    Read a JSON object that was kept to save time; whatever is wrong with the file, the time is all that is lost.

    :param path: of the file.
    :returns: dict; None where there is no file, or it is damaged: make it anew.
    """
    try:
        with open(path, encoding='utf-8') as stream:
            kept = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None
    return kept if isinstance(kept, dict) else None


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
