"""A disk that really is full: a small file system in memory, of a size that can be changed."""

import contextlib
import subprocess

import pytest


class SmallDisk:
    """A mounted file system; path: where."""

    def __init__(self, path, kilobytes):
        self.path = path
        self._mount('size=%dk' % kilobytes)

    def resize(self, kilobytes):
        """Let it hold so much."""
        self._mount('remount,size=%dk' % kilobytes)

    def unmount(self):
        subprocess.run(['umount', '--lazy', str(self.path)], check=True)

    def _mount(self, options):
        subprocess.run(
            ['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', str(self.path)],
            check=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@contextlib.contextmanager
def small_disk(path, kilobytes):
    """Mount one, or skip with the reason.

    :param path: folder for it, made where it is missing.
    :param kilobytes: how much it holds.
    """
    path.mkdir(exist_ok=True)
    try:
        disk = SmallDisk(path, kilobytes)
    except (OSError, subprocess.CalledProcessError) as error:
        said = (getattr(error, 'stdout', None) or b'').decode().strip() or error
        pytest.skip(f'a small file system cannot be mounted here, which takes root and CAP_SYS_ADMIN: {said}')
    try:
        yield disk
    finally:
        disk.unmount()
