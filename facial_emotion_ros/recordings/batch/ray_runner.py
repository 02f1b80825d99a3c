"""Evaluate many recordings on a Ray cluster: one task per recording, retried if its node or process crashes."""

import contextlib
import logging
import os
import re
import secrets
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from typing import Any

from facial_emotion_ros.core.errors import FacialEmotionError, one_line
from facial_emotion_ros.recordings.batch.task import FleetTask, Record, evaluate_task, failed_record

#: Maximum number of attempts if nodes or processes crash; an error of the recording itself is final.
TRIES = 4
#: Maximum number of attempts if memory runs out: retries rarely help.
_TRIES_MEMORY = 2

#: Timeout for reaching the cluster; Ray itself would try for ten minutes without a message.
_ANSWER_S = 5.0

#: Maximum length of the temporary folder's path: socket names are limited to 107 bytes, of which Ray needs about 66 and
#: our folder 23.
_LONGEST_FOLDER = 18

#: Tasks in flight per CPU of the cluster, so that none is idle.
_AHEAD = 3


def run_on_ray(tasks: Sequence[FleetTask], address: str, take: Callable[[int, Record], None]) -> None:
    """Evaluate recordings on a Ray cluster.

    Ray's own retries are disabled: if memory runs out, it would retry for ever.

    :param tasks: the recordings; output, bundles and the package have the same paths on all nodes.
    :param address: 'auto', 'local' (a temporary cluster on this machine), ray://HOST:PORT or HOST:PORT.
    :param take: called with (index in tasks, record) as each task ends, in any order.
    :raises FacialEmotionError: if Ray is not installed, or there is no cluster at the address.
    """
    ray = _import_ray()
    with contextlib.ExitStack() as undo:
        _join(ray, address, undo)
        try:
            _run(ray, tasks, take)
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise FacialEmotionError(
                f'lost the Ray cluster at {address}: {one_line(error)}; complete results are kept, '
                'and the same command resumes'
            ) from error


def _run(ray, tasks, take):
    remote = ray.remote(max_retries=0)(evaluate_task)
    waiting = [(number, 1) for number in reversed(range(len(tasks)))]
    flying: dict[Any, tuple[int, int]] = {}
    warned = False
    try:
        while waiting or flying:
            every, largest = _processors(ray)
            if not every and not warned:
                warned = True
                print(
                    'expected a Ray cluster with CPUs, got one without; waiting for a node with CPUs '
                    '(ray start --address=... --num-cpus=N); Ctrl-C to stop',
                    file=sys.stderr,
                    flush=True,
                )
            for _ in range(min(_AHEAD * max(every, 1) - len(flying), len(waiting))):
                number, attempt = waiting.pop()
                # A task that requests more CPUs than any node has would wait for ever.
                threads = min(tasks[number].options.threads, largest)
                flying[remote.options(num_cpus=threads).remote(tasks[number])] = number, attempt
            done, _ = ray.wait(list(flying), num_returns=1, timeout=10.0)
            for reference in done:
                number, attempt = flying.pop(reference)
                record = _result(ray, reference, tasks[number], attempt)
                if record is None:
                    waiting.append((number, attempt + 1))
                else:
                    take(number, dict(record, attempts=attempt))
    finally:
        for reference in flying:
            ray.cancel(reference, force=True)


def _processors(ray):
    """Return the number of CPUs of the cluster (0 if none yet), and of its largest node (at least 1)."""
    counts = [int(node['Resources'].get('CPU', 0)) for node in ray.nodes() if node['Alive']]
    return sum(counts), max([1, *counts])


def _result(ray, reference, task, attempt):
    """Return a task's record; None if it should be retried."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # our function raises nothing, so it could not be loaded
        return failed_record(
            task,
            f'a node could not start the task: {str(error).strip().splitlines()[-1].strip()}; expected the same '
            'version of facial_emotion_ros on all nodes',
        )
    except ray.exceptions.RayError as error:  # a node, process or network failure
        tries = _TRIES_MEMORY if isinstance(error, ray.exceptions.OutOfMemoryError) else TRIES
        if attempt < tries:
            return None
        reason = one_line(error).split('. ')[0]
        return failed_record(task, f'its process or node died {attempt} times, the last time: {reason}')


def _import_ray():
    try:
        import ray
    except ImportError as error:
        raise FacialEmotionError(
            f'--ray needs Ray, which is not installed ({error}); pip install ray, or use --workers N on this machine'
        ) from error
    return ray


def _join(ray, address, undo):
    """Connect to the cluster, unless already connected; `undo` disconnects."""
    if ray.is_initialized():
        return
    _expect_answer(ray, address)
    settings = {'log_to_driver': False, 'logging_level': logging.ERROR}
    try:
        with contextlib.ExitStack() as meanwhile:
            if address == 'local':
                settings.update(_settings_of_own(undo, meanwhile))
            if threading.current_thread() is threading.main_thread():  # Ray replaces the handler
                meanwhile.callback(signal.signal, signal.SIGTERM, signal.getsignal(signal.SIGTERM))
            ray.init(address, **settings)
    except Exception as error:  # Ray raises many types
        raise FacialEmotionError(
            f'expected a Ray cluster at {address}, got {one_line(error)}; start one with `ray '
            'start --head`, or use --ray local'
        ) from error
    undo.callback(ray.shutdown)


def _settings_of_own(undo, meanwhile):
    """Return settings for a cluster of this process that leaves no files behind and contacts no other host.

    :param undo: ExitStack of the cluster.
    :param meanwhile: ExitStack of its start.
    """
    # By default, logs and sockets stay below the world-writable /tmp/ray, and the password in the home folder.
    place = undo.enter_context(
        tempfile.TemporaryDirectory(prefix='facial_emotion_', dir=_short_folder(), ignore_cleanup_errors=True)
    )
    os.environ.setdefault('RAY_AUTH_TOKEN', secrets.token_hex(32))
    # Even without usage statistics, Ray queries the metadata servers of three clouds unless this file is in the home
    # folder. Workers get the user's home back, which may hold keys for storage.
    with open(os.path.join(place, 'ray_bootstrap_config.yaml'), 'w') as file:
        file.write('{}\n')
    home = os.path.expanduser('~')
    meanwhile.callback(os.environ.__setitem__, 'HOME', home)
    os.environ['HOME'] = place
    return {'include_dashboard': False, '_temp_dir': place, 'runtime_env': {'env_vars': {'HOME': home}}}


def _short_folder():
    """Return a temporary folder whose path is short enough for Ray's socket names."""
    folder = tempfile.gettempdir()
    return folder if len(folder) < _LONGEST_FOLDER else '/tmp'


def _expect_answer(ray, address):
    """Refuse an address where nothing listens."""
    there = re.fullmatch(r'(?:ray://)?\[?([^\[\]/]+)\]?:(\d+)', _automatic() if address == 'auto' else address)
    if not there:
        return
    hosts = [there[1]]
    if there[1] in ('localhost', '127.0.0.1', '::1') and '://' not in address:
        hosts.append(ray.util.get_node_ip_address())  # Ray uses this address instead of the loopback
    for host in hosts:
        try:
            socket.create_connection((host, int(there[2])), _ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise FacialEmotionError(
                f'expected a Ray cluster at {address}, but {host}:{there[2]} does not answer: '
                f'{error}; start one with `ray start --head`, or use --ray local'
            ) from error


def _automatic():
    """Return the address where Ray will look for this machine's cluster; '' if unknown."""
    try:
        from ray._private.utils import read_ray_address
    except ImportError:  # it is private and may move
        return os.environ.get('RAY_ADDRESS', '')
    return os.environ.get('RAY_ADDRESS') or read_ray_address() or ''
