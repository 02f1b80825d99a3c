"""What Linux tells of a running process."""

import os
import re
import time

TICKS = os.sysconf('SC_CLK_TCK')


def threads(pid):
    """Return the number of its threads."""
    return len(os.listdir('/proc/%d/task' % pid))


def descriptors(pid):
    """Return the number of its open files, sockets and pipes."""
    return len(os.listdir('/proc/%d/fd' % pid))


def memory_kib(pid):
    """Return its own memory: neither files nor what it shares with others for transport."""
    with open('/proc/%d/status' % pid) as file:
        return int(re.search(r'RssAnon:\s+(\d+) kB', file.read()).group(1))


def cpu_s(pid):
    """Return the processor time that all its threads have taken, in seconds."""
    with open('/proc/%d/stat' % pid) as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


class CpuShare:
    """Share of one core from its making on."""

    def __init__(self, pid):
        """Begin now."""
        self._pid, self._cpu_s, self._since_s = pid, cpu_s(pid), time.monotonic()

    def now(self):
        """Return the share, 1 for one whole core."""
        return (cpu_s(self._pid) - self._cpu_s) / (time.monotonic() - self._since_s)
