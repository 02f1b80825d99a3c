"""How this process's malloc keeps memory and gives it back, which is nothing where the C library is not glibc; and how
much memory and processor time a process has.
"""

import ctypes
import os

#: Parameters of mallopt. Source: glibc's malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_big_buffers() -> bool:
    """Let malloc keep buffers of image size rather than fetch fresh pages from the kernel for each image.

    Page faults of such buffers are more than half of what a Python node spends on receiving images. All threads share
    one arena: glibc gives back the free end of the main arena alone, and models are loaded in a thread. To be called
    before there is a second thread.

    :returns: whether the C library took the setting; false on one that is not glibc.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, 32 << 20), (_M_TRIM_THRESHOLD, 128 << 20))
    return all([mallopt(name, value) for name, value in settings])


def give_memory_back() -> bool:
    """Hand freed memory to the kernel: after the models have gone, a hundred megabytes that malloc would keep.

    :returns: whether the C library can; false on one that is not glibc.
    """
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (OSError, AttributeError):
        return False
    return True


def resident_mb(pid='self') -> float:
    """Return how much memory a process holds, in MiB; 0 where the kernel does not say.

    :param pid: its process id; 'self' for this one.
    """
    try:
        with open('/proc/%s/status' % pid, encoding='ascii', errors='replace') as lines:
            return next((int(line.split()[1]) / 1024.0 for line in lines if line.startswith('VmRSS')), 0.0)
    except OSError:
        return 0.0


def processor_s(pid='self') -> float:
    """Return how much time a process has had on processors so far, all its threads together, in seconds.

    :param pid: its process id; 'self' for this one.
    :raises OSError: there is no such process.
    """
    with open('/proc/%s/stat' % pid, encoding='ascii', errors='replace') as file:
        fields = file.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
