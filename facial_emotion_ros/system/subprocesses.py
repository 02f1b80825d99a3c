"""Start and stop a group of child processes, in a private ROS domain. Does not import ROS."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.system.dds_environment import (
    LOCALHOST_VARIABLES,
    OLD_DISTRIBUTIONS,
    PROFILE_VARIABLES,
    localhost_environment,
)

#: Domain ids whose ports are not ephemeral on any system. Source: ROS 2 documentation, "The ROS_DOMAIN_ID".
DOMAINS = range(1, 102)

#: In one domain on one machine. Source: as above.
_MAX_PARTICIPANTS = 120

#: Time for a process to end after each signal.
_STOP_STEPS = ((signal.SIGINT, 6.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))

_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1


class Child:
    """A process in its own session, so that a terminal's Ctrl-C does not reach it."""

    def __init__(
        self, name: str, command: Sequence[str], environ: Mapping[str, str], log_path: str, shows_lines: bool = False
    ) -> None:
        """Start it.

        :param name: for messages.
        :param command: program and arguments.
        :param environ: its complete environment.
        :param log_path: file for its stderr and stdout.
        :param shows_lines: let it write to this process's stdout instead.
        """
        self.name, self._log_path = name, log_path
        with open(log_path, 'wb') as log:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=None if shows_lines else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> Optional[int]:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def signal(self, number: int) -> None:
        """Send a signal to it and its children."""
        if self.exit_code is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass

    def wait(self, timeout_s: float) -> Optional[int]:
        """Wait for its end; return its exit code, or None if it still runs."""
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """Stop it by SIGINT, SIGTERM or SIGKILL, and return its exit code."""
        for number, patience_s in _STOP_STEPS:
            self.signal(number)
            if self.wait(patience_s) is not None:
                break
        return self._process.wait()

    def last_lines(self, count: int = 12) -> List[str]:
        """Return the last lines of its log that are not blank."""
        with open(self._log_path, 'rb') as log:
            text = log.read().decode('utf-8', 'replace')
        return [line for line in text.splitlines() if line.strip()][-count:]


class ProcessGroup:
    """Children in the order of their start; they are stopped in reverse order."""

    def __init__(self) -> None:
        self._children: 'OrderedDict[str, Child]' = OrderedDict()

    def add(self, child: Child) -> None:
        """Add a started child."""
        self._children[child.name] = child

    def __getitem__(self, name: str) -> Child:
        """Return a child by its name."""
        return self._children[name]

    def wait_for_any(self, names: Sequence[str], timeout_s: Optional[float] = None) -> Optional[Child]:
        """Wait until a child has ended.

        :param names: the children to wait for.
        :param timeout_s: at most this long; None: no limit.
        :returns: the first of them that has ended; None after the timeout.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            for name in names:
                if self._children[name].exit_code is not None:
                    return self._children[name]
            if until_s is not None and time.monotonic() >= until_s:
                return None
            time.sleep(_POLL_S)

    def stop(self) -> None:
        """Stop all children."""
        for child in reversed(list(self._children.values())):
            child.signal(signal.SIGINT)
        for child in reversed(list(self._children.values())):
            child.stop()


def describe_exit(code: int) -> str:
    """Describe an exit code, negative for a signal."""
    if code >= 0:
        return 'exit code %d' % code
    try:
        return 'killed by %s' % signal.Signals(-code).name
    except ValueError:
        return 'killed by signal %d' % -code


def take_free_domain() -> Tuple[int, socket.socket]:
    """Find a ROS domain that is unused on this machine.

    :returns: the domain id, and a socket that reserves it for callers of this function until it is closed.
    :raises FacialEmotionError: if none is free.
    """
    start = os.getpid() % len(DOMAINS)
    for domain in list(DOMAINS[start:]) + list(DOMAINS[:start]):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract socket, not a file: safe from symlink attacks, shared within the network namespace as the
            # domain is, and removed by the kernel with the process.
            claim.bind('\0facial_emotion_ros_domain_%d' % domain)
            if _is_silent(domain):
                return domain, claim
        except OSError:
            pass  # another process reserved it
        claim.close()
    raise FacialEmotionError(
        'expected a free ROS domain between %d and %d, but all are in use on this machine; '
        'end some ROS processes' % (DOMAINS[0], DOMAINS[-1])
    )


def _is_silent(domain: int) -> bool:
    """Return whether the domain's discovery ports are free. Source: DDSI-RTPS 2.2, 9.6.1, default port numbers.

    The ports of all participants are checked: with discovery on this machine only, there is no multicast port, and the
    first participant may have ended before the others.
    """
    base = 7400 + 250 * domain
    for port in [base] + [base + 10 + 2 * participant for participant in range(_MAX_PARTICIPANTS)]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', port))
            except OSError:
                return False
    return True


def private_environment(environ: Mapping[str, str], domain: int) -> Dict[str, str]:
    """Return a child's environment with ROS on this machine only.

    :param environ: the environment so far; its network settings are replaced.
    :param domain: ROS domain id.
    """
    dropped: Tuple[str, ...] = LOCALHOST_VARIABLES + ('ROS_STATIC_PEERS',)
    if environ.get('ROS_DISTRO') in OLD_DISTRIBUTIONS:
        dropped += PROFILE_VARIABLES
    private = {name: value for name, value in environ.items() if name not in dropped}
    private.update(localhost_environment(private), ROS_DOMAIN_ID=str(domain))
    return private


def die_with_parent() -> None:
    """Have the kernel end this child when its parent dies."""
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
