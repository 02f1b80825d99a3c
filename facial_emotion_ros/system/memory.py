"""Tune glibc's malloc, and read the memory and CPU time of a process."""

import ctypes
import os
from typing import Union

#: Parameters of mallopt. Source: glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_big_buffers() -> bool:
    """Let malloc reuse buffers of image size instead of fetching new pages from the kernel for each image.

    The page faults would take more than half of the CPU time that a Python node needs to receive images. All threads
    share one arena, since glibc only gives back the end of the main arena, and models are loaded in a thread. Call this
    before a second thread starts.

    :returns: whether the C library accepted the settings; False without glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 128 << 20))
    return all([mallopt(name, value) for name, value in settings])


def give_memory_back() -> bool:
    """Return freed memory to the kernel: about 100 MB after models were unloaded.

    :returns: whether the C library can; False without glibc.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return False
    return True


def resident_mb(pid: Union[int, str] = 'self') -> float:
    """Return the resident memory of a process, this one by default, in MiB; 0 where it is unknown."""
    try:
        with open('/proc/%s/status' % pid, encoding='ascii', errors='replace') as lines:
            return next((int(line.split()[1]) / 1024.0 for line in lines if line.startswith('VmRSS')), 0.0)
    except OSError:
        return 0.0


def processor_s(pid: Union[int, str] = 'self') -> float:
    """Return the CPU time of all threads of a process, this one by default, in seconds.

    :raises OSError: if there is no such process.
    """
    with open('/proc/%s/stat' % pid, encoding='ascii', errors='replace') as file:
        fields = file.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
