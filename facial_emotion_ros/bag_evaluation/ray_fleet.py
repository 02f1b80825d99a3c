"""Many recordings on a cluster of Ray: one task each, given again when its node or process dies."""

import contextlib
import logging
import os
import re
import secrets
import socket
import sys
import tempfile

from facial_emotion_ros.bag_evaluation.fleet_task import evaluate_task, failed_record, one_line
from facial_emotion_ros.errors import FacialEmotionError

#: How often a recording is tried when nodes or processes die. What a recording itself is to blame for comes back as a
#: record and is not tried again.
TRIES = 4
#: The same where there was too little memory: it will hardly be more the next time.
_TRIES_MEMORY = 2

#: How long a cluster may take to answer at all. Ray itself would try for ten minutes without a word.
_ANSWER_S = 5.0

#: The kernel takes 107 bytes for the name of a socket, and Ray wants some 66 of them below a folder that has 23.
_LONGEST_FOLDER = 18

#: Tasks in flight for each processor of the cluster: enough that none waits for work.
_AHEAD = 3


def run_on_ray(tasks, address, take):
    """Evaluate recordings on a cluster.

    Ray's own retries are off: it would try for ever where memory is short, and would not tell how often.

    :param tasks: list of FleetTask; output, bundles and the package are at the same places on all nodes.
    :param address: 'auto', 'local' (a cluster of this machine alone, for as long as this takes), ray://HOST:PORT or
        HOST:PORT.
    :param take: called with (place in tasks, record) as each of them ends, in whatever order.
    :raises FacialEmotionError: if Ray is not installed, or there is no cluster at the address.
    """
    ray = _import_ray()
    with contextlib.ExitStack() as undo:
        _join(ray, address, undo)
        try:
            _run(ray, tasks, take)
        except (ray.exceptions.RayError, ConnectionError) as error:
            raise FacialEmotionError(f'lost the cluster of Ray at {address}: {one_line(error)}; what is done is kept, '
                                     'and the same command goes on') from error


def _run(ray, tasks, take):
    remote = ray.remote(max_retries=0)(evaluate_task)
    waiting = [(number, 1) for number in reversed(range(len(tasks)))]
    flying, told = {}, False
    try:
        while waiting or flying:
            every, largest = _processors(ray)
            if not every and not told:
                told = True
                print('expected a cluster of Ray with processors, got one without; waiting for a node that has some '
                      '(ray start --address=... --num-cpus=N), Ctrl-C ends it', file=sys.stderr, flush=True)
            for _ in range(min(_AHEAD * max(every, 1) - len(flying), len(waiting))):
                number, attempt = waiting.pop()
                # A task that wants more than any node has would wait for ever.
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
    """Count the processors of the cluster, 0 where there are none yet, and of its largest node, at least 1."""
    counts = [int(node['Resources'].get('CPU', 0)) for node in ray.nodes() if node['Alive']]
    return sum(counts), max([1, *counts])


def _result(ray, reference, task, attempt):
    """Return a task's record; None where it shall be tried again."""
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:  # the function itself raises nothing: it could not be loaded there
        return failed_record(task, f'a node could not begin: {_last_line(error)}; expected the same version of '
                                   'facial_emotion_ros on all nodes')
    except ray.exceptions.RayError as error:  # of a node, a process, or what was between
        tries = _TRIES_MEMORY if isinstance(error, ray.exceptions.OutOfMemoryError) else TRIES
        if attempt < tries:
            return None
        said = one_line(error).split('. ')[0]
        return failed_record(task, f'its process or node died {attempt} times, the last time: {said}')


def _last_line(error):
    return [line.strip() for line in str(error).splitlines() if line.strip()][-1]


def _import_ray():
    try:
        import ray
    except ImportError as error:
        raise FacialEmotionError(f'expected Ray for --ray, but it is not installed ({error}); pip install ray, or use '
                                 '--workers N on this machine') from error
    return ray


def _join(ray, address, undo):
    """Connect to the cluster, unless this process is connected to one.

    :param undo: contextlib.ExitStack that gets what undoes it.
    """
    if ray.is_initialized():
        return
    _expect_answer(ray, address)
    settings = {'log_to_driver': False, 'logging_level': logging.ERROR}
    try:
        with contextlib.ExitStack() as meanwhile:
            if address == 'local':
                settings.update(_settings_of_own(undo, meanwhile))
            ray.init(address, **settings)
    except Exception as error:  # each way of failing has its own kind
        raise FacialEmotionError(f'expected a cluster of Ray at {address}, got {one_line(error)}; start one by `ray '
                                 'start --head`, or say --ray local') from error
    undo.callback(ray.shutdown)


def _settings_of_own(undo, meanwhile):
    """Return settings for a cluster of this process alone, which leaves nothing behind and asks nobody.

    :param undo: ExitStack of the cluster.
    :param meanwhile: ExitStack of its start.
    """
    # Its logs and sockets would stay below /tmp/ray, which everybody may write to, and its password in the home folder.
    place = undo.enter_context(tempfile.TemporaryDirectory(prefix='facial_emotion_', dir=_short_folder(),
                                                           ignore_cleanup_errors=True))
    os.environ.setdefault('RAY_AUTH_TOKEN', secrets.token_hex(32))
    # Even without usage statistics Ray asks the metadata servers of three clouds where it runs, unless this file in the
    # home folder says so. Workers have the user's home, where keys for storage may lie.
    with open(os.path.join(place, 'ray_bootstrap_config.yaml'), 'w') as file:
        file.write('{}\n')
    home = os.path.expanduser('~')
    meanwhile.callback(os.environ.__setitem__, 'HOME', home)
    os.environ['HOME'] = place
    return {'include_dashboard': False, '_temp_dir': place, 'runtime_env': {'env_vars': {'HOME': home}}}


def _short_folder():
    """Return a folder for temporary files in which the names of Ray's sockets are not too long for the kernel."""
    folder = tempfile.gettempdir()
    return folder if len(folder) < _LONGEST_FOLDER else '/tmp'


def _expect_answer(ray, address):
    """Refuse an address where nobody listens."""
    there = re.fullmatch(r'(?:ray://)?\[?([^\[\]/]+)\]?:(\d+)', _automatic() if address == 'auto' else address)
    if not there:
        return
    hosts = [there[1]]
    if there[1] in ('localhost', '127.0.0.1', '::1') and '://' not in address:
        hosts.append(ray.util.get_node_ip_address())  # Ray looks there in place of the loopback
    for host in hosts:
        try:
            socket.create_connection((host, int(there[2])), _ANSWER_S).close()
        except (OSError, OverflowError) as error:
            raise FacialEmotionError(f'expected a cluster of Ray at {address}, but {host}:{there[2]} does not answer: '
                                     f'{error}; start one by `ray start --head`, or say --ray local') from error


def _automatic():
    """Return where Ray will look for this machine's cluster, which may be gone; '' where that is not known."""
    try:
        from ray._private.utils import read_ray_address
    except ImportError:  # it is Ray's own affair, and may move
        return os.environ.get('RAY_ADDRESS', '')
    return os.environ.get('RAY_ADDRESS') or read_ray_address() or ''
