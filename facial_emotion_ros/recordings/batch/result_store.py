"""Atomic storage for results: a local folder, or any URL that fsspec opens."""

import os
import re
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from facial_emotion_ros.core.errors import one_line
from facial_emotion_ros.core.files import fsync_folder, lock_alone, read_or_none, write_atomic
from facial_emotion_ros.core.text import public_file, without_secrets
from facial_emotion_ros.recordings.batch.recording_discovery import is_url, local_path, open_url
from facial_emotion_ros.recordings.evaluation.results_folder import disk_errors

_PART = re.compile(r'\..+\.[0-9a-f]{12}\.part$')


class LocalStore:
    """A local folder; files and results folders appear atomically. written: names of the files written; is_local:
    whether reading whole files is cheap.
    """

    is_local = True

    def __init__(self, folder: str):
        """Set the folder, which need not exist."""
        self.folder = os.path.abspath(folder)
        self.written: set[str] = set()

    def read(self, name: str) -> bytes | None:
        """Read a file; None if it does not exist."""
        return read_or_none(os.path.join(self.folder, name))

    def open(self, name: str) -> IO[bytes]:
        """Open a file for partial reads; OSError if it does not exist."""
        return open(os.path.join(self.folder, name), 'rb')

    def write(self, name: str, content: bytes) -> None:
        """Write a file; if that fails, the previous one stays."""
        write_atomic(os.path.join(self.folder, name), content)
        self.written.add(name)

    def names(self, folder: str) -> list[str]:
        """List the content of a folder; empty if it does not exist."""
        try:
            return sorted(os.listdir(os.path.join(self.folder, folder)))
        except FileNotFoundError:
            return []

    def files(self, folder: str) -> list[str]:
        """List the files in a folder recursively, as relative paths; empty if it does not exist."""
        home = os.path.join(self.folder, folder)
        found = (os.path.join(each, name) for each, _, names in os.walk(home) for name in names)
        return sorted(os.path.relpath(path, home) for path in found)

    def remove(self, name: str) -> None:
        """Delete a file and any folders this leaves empty."""
        os.remove(os.path.join(self.folder, name))
        with suppress(OSError):
            while name := os.path.dirname(name):
                os.rmdir(os.path.join(self.folder, name))

    @contextmanager
    def new_folder(self, name: str, last: str) -> Iterator[str]:
        """Yield an empty temporary folder, which is renamed after the block, or deleted after an error.

        An existing folder of that name is replaced as a whole.

        :param name: final name.
        :param last: ignored, as the files appear together.
        """
        target = os.path.join(self.folder, name)
        home, last = os.path.split(target)
        part = os.path.join(home, f'.{last}.{_unique()}.part')
        os.makedirs(part)
        try:
            yield part
            _put_in_place(part, target, home, last)
            fsync_folder(home)
        finally:
            shutil.rmtree(part, ignore_errors=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the store against other runs, and delete unfinished folders of killed runs.

        :raises FacialEmotionError: if another run is writing here, or the folder is not writable.
        """
        with disk_errors('the results', self.folder, 'nothing was evaluated'):
            os.makedirs(self.folder, exist_ok=True)
            lock = open(os.path.join(self.folder, '.lock'), 'w')
        with lock:
            lock_alone(lock, self.folder)
            self._sweep()
            try:
                yield
            finally:
                self._sweep()

    def _sweep(self):
        for name in self.names('bags'):
            if _PART.match(name):
                shutil.rmtree(os.path.join(self.folder, 'bags', name), ignore_errors=True)


class UrlStore:
    """A URL. A results folder is complete when its last file exists. written, is_local: see LocalStore."""

    is_local = False

    def __init__(self, url: str):
        """Open the URL.

        :raises FacialEmotionError: if fsspec, or its backend for this kind of URL, is not installed.
        """
        files, self._path = open_url(url)
        self._files = _Files(files, url)
        self.written: set[str] = set()

    def read(self, name: str) -> bytes | None:
        """Read a file; None if it does not exist."""
        try:
            return self._files.cat_file(f'{self._path}/{name}')
        except FileNotFoundError:
            return None

    def open(self, name: str) -> IO[bytes]:
        """Open a file for partial reads, without downloading all of it; OSError if it does not exist."""
        return self._files.open(f'{self._path}/{name}', 'rb')

    def write(self, name: str, content: bytes) -> None:
        """Write a file; atomic in object stores."""
        path = f'{self._path}/{name}'
        try:
            self._files.pipe_file(path, content)
        except FileNotFoundError:  # a store with real folders
            self._files.makedirs(path.rpartition('/')[0], exist_ok=True)
            self._files.pipe_file(path, content)
        self.written.add(name)

    def names(self, folder: str) -> list[str]:
        """List the content of a folder; empty if it does not exist."""
        try:
            return sorted(
                each.rstrip('/').rpartition('/')[2] for each in self._files.ls(f'{self._path}/{folder}', detail=False)
            )
        except FileNotFoundError:
            return []

    def files(self, folder: str) -> list[str]:
        """List the files in a folder recursively, as relative paths; empty if it does not exist."""
        home = f'{self._path}/{folder}/'
        try:
            return sorted(each[len(home) :] for each in self._files.find(home) if each.startswith(home))
        except FileNotFoundError:
            return []

    def remove(self, name: str) -> None:
        """Delete a file."""
        self._files.rm_file(f'{self._path}/{name}')

    @contextmanager
    def new_folder(self, name: str, last: str) -> Iterator[str]:
        """Yield an empty temporary folder, whose files are uploaded after the block and replace the previous ones.

        :param name: final name.
        :param last: file that is uploaded last and marks the folder as complete.
        """
        with tempfile.TemporaryDirectory(prefix='fleet_results_') as part:
            yield part
            if self.names(name):
                self._files.rm(f'{self._path}/{name}', recursive=True)
            written = [os.path.join(folder, file) for folder, _, files in os.walk(part) for file in files]
            for path in sorted(written, key=lambda each: (os.path.relpath(each, part) == last, each)):
                with open(path, 'rb') as file:
                    self.write(f'{name}/{os.path.relpath(path, part)}', file.read())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Do nothing: most such stores have no locks, and two runs write identical files."""
        yield


class _Files:
    """An fsspec file system that raises all errors as OSError, without secrets of the URL."""

    def __init__(self, files, url):
        self._files, self._url = files, url

    def __getattr__(self, name):
        def called(*args, **options):
            try:
                return getattr(self._files, name)(*args, **options)
            except Exception as error:
                place = public_file(self._url)
                if isinstance(error, OSError) and error.errno:
                    words = without_secrets(error.strerror or '', self._url)
                    raise OSError(
                        error.errno, words, without_secrets(str(error.filename or place), self._url)
                    ) from error
                # Callers handle missing files.
                kind = FileNotFoundError if isinstance(error, FileNotFoundError) else OSError
                raise kind(f'{place}: {one_line(error, self._url)}; check the address and the access rights') from error

        return called


#: Names in a store are relative, with /.
Store = LocalStore | UrlStore


def open_store(output: str) -> Store:
    """Open a results store.

    :param output: path or URL of a folder, created by the first write.
    :raises FacialEmotionError: if fsspec, or its backend for this kind of URL, is not installed.
    """
    return UrlStore(output) if is_url(output) else LocalStore(local_path(output))


def _put_in_place(part, target, home, last):
    """Rename a folder to its final name; another process may do the same concurrently."""
    while True:
        try:
            os.rename(part, target)
            return
        except OSError:
            if not os.path.isdir(target):
                raise
        former = os.path.join(home, f'.{last}.{_unique()}.part')
        try:
            os.rename(target, former)
        except FileNotFoundError:
            continue
        shutil.rmtree(former, ignore_errors=True)


def _unique():
    return uuid.uuid4().hex[:12]
