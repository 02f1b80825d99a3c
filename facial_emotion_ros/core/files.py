"""Write files atomically: after a crash, each file is complete, either the old or the new one."""

import errno
import fcntl
import json
import os
import shutil
import tempfile
from typing import Any, BinaryIO, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Set, Tuple

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError

#: errno -> what to do about the error.
_ADVICE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), 'change the permissions, or choose another path'),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), 'free some space, then run the same command again'),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST), 'check the path, or choose another'),
}


def file_advice(error: OSError) -> str:
    """Return what to do about a file error; '' if unknown."""
    return _ADVICE.get(error.errno or 0, '')


def write_atomic(path: str, content: bytes) -> None:
    """Write a file atomically; its folder is created if missing."""

    def write(part: str) -> None:
        with open(part, 'wb') as stream:
            stream.write(content)

    replace_atomic(path, write)


def replace_atomic(path: str, write: Callable[[str], None]) -> None:
    """Replace a file atomically: write a temporary file beside it, sync it to the disk, and rename it.

    :param path: of the file; its folder is created if missing.
    :param write: called with the temporary path; if it raises, the old file stays and the temporary one is removed.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
    try:
        with _open_part(path) as file:
            try:
                write(file.name)
                move_into_place(file.name, path)
            finally:
                if _is_at(file, file.name):
                    os.remove(file.name)
    except OSError as error:
        if error.filename is None:
            error.filename = path  # missing, for example, when the disk is full
        raise


def _open_part(path: str) -> BinaryIO:
    """Open the first hidden file beside a path that no other writer has locked; one of a killed writer is used again.

    Without locks, on some network file systems, two writers at once share one, and one of them fails.
    """
    part = part_path(path)
    while True:
        file = open(part, 'ab')
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            is_own = _is_at(file, part)  # another writer may just have moved it into place
        except OSError as error:
            is_own = not isinstance(error, BlockingIOError)
        if is_own:
            return file
        file.close()
        part += '_'


def _is_at(file: BinaryIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def write_all_or_none(folder: str, files: Mapping[str, bytes], unwanted: Sequence[str] = ()) -> None:
    """Write several files: all of them, or none if one cannot be written.

    All are synced to the disk before the first is renamed, so a full disk does no harm. If the power fails during the
    renames, only the first files are new: the last one should contain digests of the others.

    :param folder: path; created if missing.
    :param files: name -> content; renamed in this order.
    :param unwanted: names of files to remove at the end, if they exist.
    :raises OSError: if something cannot be written; the old files are unchanged then.
    """
    os.makedirs(folder, exist_ok=True)
    aside = tempfile.mkdtemp(prefix='.saving.', dir=folder)
    moved: List[Tuple[str, str]] = []
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
        fsync_folder(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def present(folder: str, names: Iterable[str]) -> Set[str]:
    """Return which of the names exist in a folder, which may be missing."""
    return {name for name in names if os.path.lexists(os.path.join(folder, name))}


def refuse_foreign(folder: str, names: Iterable[str], or_else: str = '') -> None:
    """Refuse to overwrite files that the same command did not write.

    :param folder: path or URL of the command's output.
    :param names: of the existing files that would be lost; if empty, nothing happens.
    :param or_else: another option for the error's text, like ', or give --force'.
    :raises BadParameter: naming up to three of them.
    """
    found = sorted(names)
    if found:
        raise BadParameter(
            '%s: expected a new folder or earlier results of this command, got %s, which would be lost; choose another '
            'folder, or move the files away%s' % (folder, ', '.join(found[:3] + ['...'] * (len(found) > 3)), or_else)
        )


def expect_own_files(folder: str, names: Iterable[str], record: str, fields: Iterable[str]) -> None:
    """Refuse to overwrite files (:func:`refuse_foreign`) unless a JSON file shows that the same command wrote them.

    :param folder: of the output; it may be missing.
    :param names: of the files that will be written.
    :param record: the JSON file among them.
    :param fields: keys that identify it.
    """
    if not set(fields) <= set(read_cached(os.path.join(folder, record)) or ()):
        refuse_foreign(folder, present(folder, names))


def lock_alone(file: Any, output: str) -> None:
    """Lock an open file exclusively for as long as it is open.

    :param file: the file or its descriptor.
    :param output: the output folder, for the error's text.
    :raises FacialEmotionError: if another process has locked it.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FacialEmotionError(
            'expected %s for this run only, but another run is writing there now; wait for its end, or choose another '
            'folder' % output
        ) from None


def read_or_none(path: str) -> Optional[bytes]:
    """Read a file; None where there is none."""
    try:
        with open(path, 'rb') as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_cached(path: str) -> Optional[Dict[str, Any]]:
    """Read a JSON object from a cache file; None if it is missing or damaged."""
    if not os.path.isfile(path):  # reading a named pipe would block
        return None
    try:
        with open(path, encoding='utf-8') as stream:
            cached = json.load(stream)
    except (OSError, ValueError, RecursionError):
        return None
    return cached if isinstance(cached, dict) else None


def part_path(path: str) -> str:
    """Return the hidden path of a file while it is being written."""
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(folder, '.%s.part' % name)


def move_into_place(part: str, path: str) -> None:
    """Sync a complete file or folder to the disk, and rename it.

    :param part: file or folder.
    :param path: its new path, in an existing folder; a file there is replaced.
    """
    written = [os.path.join(folder, name) for folder, _, names in os.walk(part) for name in names]
    for each in [part] if os.path.isfile(part) else sorted(written):
        with open(each, 'rb') as file:
            os.fsync(file.fileno())
    os.replace(part, path)
    fsync_folder(os.path.dirname(os.path.abspath(path)))


def fsync_folder(folder: str) -> None:
    """Sync a folder's entries to the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
