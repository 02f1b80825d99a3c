"""Remove Fast DDS shared memory of killed processes, which is only freed when a process ends regularly.

A killed process leaves its segment in /dev/shm, 64 MiB with our Fast DDS profile; a node that is respawned again and
again would fill the machine's memory.
"""

import fcntl
import os
import re
import time

#: Lock file beside a segment, locked by its owner; Fast DDS 3 (from Kilted on) has another prefix.
#: Source: Fast DDS's SharedMemSegment and RobustExclusiveLock; `fastdds shm clean` uses the same lock.
_LOCK_FILE = re.compile(r'(fast(?:rtps|dds)_[0-9a-f]{16})_el\Z')

#: Newer files are not touched: their owner may not have locked them yet.
_MIN_AGE_S = 10.0


def remove_stale_segments(folder: str = '/dev/shm') -> int:
    """Remove this user's Fast DDS segments that no running process owns.

    :param folder: of POSIX shared memory.
    :returns: bytes that were freed; 0 without such a folder.
    """
    freed = 0
    try:
        names = os.listdir(folder)
    except OSError:
        return 0
    for match in filter(None, map(_LOCK_FILE.match, names)):
        try:
            freed += _remove_if_stale(os.path.join(folder, match.group(1)))
        except OSError:  # of another user, locked, or gone meanwhile
            continue
    return freed


def _remove_if_stale(segment):
    lock = os.open(segment + '_el', os.O_RDWR | os.O_NOFOLLOW)
    try:
        status = os.fstat(lock)
        if status.st_uid != os.getuid() or time.time() - status.st_mtime < _MIN_AGE_S:
            return 0
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        size = os.lstat(segment).st_size
        os.unlink(segment)
        os.unlink(segment + '_el')
        return size
    finally:
        os.close(lock)
