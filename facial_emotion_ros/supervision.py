"""A few processes that live and die together, in a ROS domain of their own. Nothing of ROS is imported."""
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from facial_emotion_ros.demo_graph import (
    LOCALHOST_VARIABLES,
    OLD_DISTRIBUTIONS,
    PROFILE_VARIABLES,
    localhost_environment,
)
from facial_emotion_ros.errors import FacialEmotionError

#: Domain ids whose ports are not ephemeral on any system. Source: ROS 2 documentation, "The ROS_DOMAIN_ID".
DOMAINS = range(1, 102)

#: How long a process is given after SIGINT, SIGTERM and SIGKILL.
_STOP_STEPS = ((signal.SIGINT, 6.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0))

_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1


class Child:
    """One process in a session of its own, so that a terminal's Ctrl-C reaches it only through us."""

    def __init__(self, name: str, command: Sequence[str], environ: Mapping[str, str], log_path: str,
                 shows_lines: bool = False):
        """
        Start it.

        :param name: what it is called in messages.
        :param command: program and arguments.
        :param environ: its whole environment.
        :param log_path: file for its stderr, and for its stdout too unless that is shown.
        :param shows_lines: its stdout is ours.
        """
        self.name, self._log_path = name, log_path
        with open(log_path, 'wb') as log:
            self._process = subprocess.Popen(
                list(command), env=dict(environ), stdin=subprocess.DEVNULL, stdout=None if shows_lines else log,
                stderr=log, start_new_session=True, preexec_fn=_die_with_parent)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> Optional[int]:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def tell(self, number: int):
        """
        Send a signal to it and what it started.

        :param number: of the signal.
        """
        if self.exit_code is None:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                pass

    def wait(self, timeout_s: float) -> Optional[int]:
        """
        Wait for its end.

        :param timeout_s: at most this long.
        :returns: exit code, or None when it still runs.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self) -> int:
        """
        End it, politely at first.

        :returns: exit code.
        """
        for number, patience_s in _STOP_STEPS:
            self.tell(number)
            if self.wait(patience_s) is not None:
                break
        return self._process.wait()

    def last_lines(self, count: int = 12) -> List[str]:
        """
        Read the end of its log.

        :param count: number of lines at most.
        """
        with open(self._log_path, 'rb') as log:
            text = log.read().decode('utf-8', 'replace')
        return [line for line in text.splitlines() if line.strip()][-count:]


class Family:
    """Children in the order of their start; stopped in the opposite one."""

    def __init__(self):
        """Start with none."""
        self._children: 'OrderedDict[str, Child]' = OrderedDict()

    def add(self, child: Child):
        """
        Take a child in.

        :param child: one that has been started.
        """
        self._children[child.name] = child

    def __getitem__(self, name: str) -> Child:
        """
        Find a child.

        :param name: of the child.
        """
        return self._children[name]

    def wait_for_any(self, names: Sequence[str], timeout_s: Optional[float] = None) -> Optional[Child]:
        """
        Wait until one of some children has ended.

        :param names: of those that are watched.
        :param timeout_s: at most this long; None for ever.
        :returns: the first in the order of names that has ended, or None after the time.
        """
        until_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            for name in names:
                if self._children[name].exit_code is not None:
                    return self._children[name]
            if until_s is not None and time.monotonic() >= until_s:
                return None
            time.sleep(_POLL_S)

    def stop(self):
        """End all that still run."""
        for child in reversed(list(self._children.values())):
            child.tell(signal.SIGINT)
        for child in reversed(list(self._children.values())):
            child.stop()


def describe_exit(code: int) -> str:
    """
    Say how a process ended.

    :param code: exit code, negative for a signal.
    """
    if code >= 0:
        return 'exit code %d' % code
    try:
        return 'killed by %s' % signal.Signals(-code).name
    except ValueError:
        return 'killed by signal %d' % -code


def take_free_domain() -> Tuple[int, socket.socket]:
    """
    Choose a ROS domain in which nobody on this machine speaks.

    :returns: the domain id, and what keeps it ours against others who choose by this function, until it is closed.
    :raises FacialEmotionError: none is free.
    """
    start = os.getpid() % len(DOMAINS)
    for domain in list(DOMAINS[start:]) + list(DOMAINS[:start]):
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # An abstract name instead of a file: nobody can plant a link there, it holds for all users of this network
            # and for no other one, as the domain itself does, and the kernel drops it with the process.
            claim.bind('\0facial_emotion_ros_domain_%d' % domain)
            if _is_silent(domain):
                return domain, claim
        except OSError:
            pass  # another process has it
        claim.close()
    raise FacialEmotionError('expected a free ROS domain between %d and %d, but all are in use on this machine; '
                             'end some ROS processes' % (DOMAINS[0], DOMAINS[-1]))


def _is_silent(domain: int) -> bool:
    """Whether nobody holds the domain's discovery ports. Source: DDSI-RTPS 2.2, section 9.6.1, default port numbers."""
    for port in (7400 + 250 * domain, 7410 + 250 * domain):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(('', port))
            except OSError:
                return False
    return True


def private_environment(environ: Mapping[str, str], domain: int) -> Dict[str, str]:
    """
    Keep a family of ROS processes to this machine, whatever the user's other programs may do.

    :param environ: the environment so far; what it says of the network does not count.
    :param domain: ROS domain id.
    :returns: the whole environment of a child.
    """
    dropped = LOCALHOST_VARIABLES + ('ROS_STATIC_PEERS',)
    if environ.get('ROS_DISTRO') in OLD_DISTRIBUTIONS:
        dropped += PROFILE_VARIABLES
    private = {name: value for name, value in environ.items() if name not in dropped}
    private.update(localhost_environment(private), ROS_DOMAIN_ID=str(domain))
    return private


def _die_with_parent():
    """Have the kernel end a child whose parent was killed and could not do it."""
    if sys.platform.startswith('linux'):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
