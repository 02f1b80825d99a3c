"""Real processes on a real graph: a ROS domain of this test run's own, processes that must end cleanly, a peer node.

A plugin of test/ros, test/fault and test/soak, which share its fixtures: one domain, one node of all for each process
of pytest.
"""

import ctypes
import functools
import os
import re
import signal
import subprocess
import sys
import time
import weakref

import pytest

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
#: By this variable a process knows that its coverage is measured. It comes and goes with the tests.
MEASURED = 'COVERAGE_PROCESS_CONFIG'
#: Numbers that Python does not name. Source: linux/sched.h, linux/mount.h.
CLONE_NEWNS, MS_REC, MS_PRIVATE = 0x20000, 0x4000, 0x40000
#: Files of test/ros whose processes are not measured: those of others run the same modules.
UNMEASURED = ('backends', 'benchmark_streams', 'demo', 'ending', 'lifecycle_loading', 'live_bag', 'providers', 'stream')


@functools.lru_cache()
def what_is_absent():
    """Return what a test of the graph lacks here, as a reason to skip it; '' where nothing does."""
    try:
        import rclpy  # noqa: F401

        import facial_emotion_ros.system.subprocesses  # noqa: F401
        import graph_peer  # noqa: F401
    except ImportError as absent:
        return '%s: run scripts/test, or source a ROS 2 installation with vision_msgs and hri_msgs' % absent
    return ''


class ModuleWithoutRos(pytest.Module):
    """Stands for a test module that cannot even be imported."""

    def collect(self):
        """Say what is missing."""
        pytest.skip(what_is_absent(), allow_module_level=True)


def pytest_pycollect_makemodule(module_path, parent):
    """Skip every module of these folders where ROS is absent."""
    if module_path.parent.name in ('ros', 'fault', 'soak') and what_is_absent():
        return ModuleWithoutRos.from_parent(parent, path=module_path)
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Measure the coverage of processes that files of test/ros start, which run all executables, and of no others.

    It costs a process a tenth of a second at its start, and a third of its pace.
    """
    config = item.config
    config.measured = getattr(config, 'measured', None) or os.environ.get(MEASURED)
    if config.measured and item.path.parent.name == 'ros' and item.path.stem[len('test_') :] not in UNMEASURED:
        os.environ[MEASURED] = config.measured
    else:
        os.environ.pop(MEASURED, None)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Show what the processes of a test that failed have written, and whether they live."""
    made = yield
    report = made.get_result()
    if report.failed:
        for process in list(Process.known):
            name = '%s (%s)' % (process.log.name, 'status %s' % process.process.poll())
            report.sections.append((name, process.log.read_text(errors='replace')[-6000:]))


def take_own_shared_memory():
    """Mount a /dev/shm for this process and its children alone, where that is allowed (to root).

    A domain does not separate Fast DDS's shared memory: each participant on the machine, in whatever domain, listens
    for the names of nodes at the first free one of the ports 7000 to 7399. Participants that begin and end at the same
    moment can take a port's file from its owner, who then hears no names, for good (docs/troubleshooting.md).
    """
    libc = ctypes.CDLL(None)
    if not libc.unshare(CLONE_NEWNS) and not libc.mount(b'none', b'/', None, MS_REC | MS_PRIVATE, None):
        libc.mount(b'tests', b'/dev/shm', b'tmpfs', 0, b'mode=1777')


@pytest.fixture(scope='session')
def ros_domain():
    """Hold a ROS domain that no other test run on this machine uses; share no memory with those either."""
    from facial_emotion_ros.system.subprocesses import take_free_domain

    take_own_shared_memory()
    domain, claim = take_free_domain()
    with claim:
        yield domain


@pytest.fixture(scope='session')
def ros_environment(ros_domain, tmp_path_factory):
    """Return the environment of every process of this run: our domain, this machine only."""
    from facial_emotion_ros.system.subprocesses import private_environment

    before = {name: value for name, value in os.environ.items() if name != MEASURED}
    ours = private_environment(before, ros_domain)
    ours.update(
        {
            'ROS_LOG_DIR': str(tmp_path_factory.mktemp('ros_log')),
            'RCUTILS_COLORIZED_OUTPUT': '0',
            'PYTHONUNBUFFERED': '1',
            'PYTHONPATH': os.pathsep.join([REPOSITORY] + [p for p in [before.get('PYTHONPATH')] if p]),
        }
    )
    changed = {name for name in set(before) | set(ours) if before.get(name) != ours.get(name)}
    _set_variables(changed, ours)
    yield dict(ours)
    _set_variables(changed, before)


def _set_variables(names, values):
    """Give variables of this process the values that a dict has for them; take out those that it lacks."""
    for name in names:
        os.environ.pop(name, None)
        if name in values:
            os.environ[name] = values[name]


class Process:
    """A process under test; its output goes to a file, so that it never blocks."""

    #: Those that have not been ended, for the report of a test that fails.
    known: 'weakref.WeakSet[Process]' = weakref.WeakSet()

    def __init__(self, command, environment, log):
        """Start it; it ends with the tests' process, however that ends: its domain may be taken by others then.

        :param command: list of str.
        :param environment: dict.
        :param log: pathlib.Path of the file for both streams.
        """
        from facial_emotion_ros.system.subprocesses import die_with_parent

        self.log, self._skipped = log, 0
        self.known.add(self)
        measured = {name: value for name, value in os.environ.items() if name == MEASURED}
        with open(str(log), 'wb') as stream:
            self.process = subprocess.Popen(
                command,
                env=dict(environment, **measured),
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=REPOSITORY,
                preexec_fn=die_with_parent,
            )

    def output(self):
        """Return what it has written so far, or since `skip_output`."""
        return self.log.read_text(errors='replace')[self._skipped :]

    def skip_output(self):
        """Leave out of `output` what it has written until now."""
        self._skipped += len(self.output())

    def wait_for(self, pattern, timeout_s=60.0):
        """Wait until its output matches.

        :param pattern: regular expression.
        :param timeout_s: float.
        :returns: the match.
        """
        end = time.monotonic() + timeout_s
        while True:
            over = self.process.poll() is not None or time.monotonic() > end
            match = re.search(pattern, self.output())
            if match:
                return match
            assert not over, 'no %r in %s s; it wrote:\n%s' % (pattern, timeout_s, self.output())
            time.sleep(0.02)

    def end(self, number=signal.SIGINT, timeout_s=30.0):
        """Ask it to end.

        :returns: (exit status, seconds that it took).
        """
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            status = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.send_signal(signal.SIGALRM)  # a frozen node dumps its stacks; see watchdog.py
            time.sleep(1.0)
            self.process.kill()
            self.process.wait()
            pytest.fail('it did not end within %g s; it wrote:\n%s' % (timeout_s, self.output()))
        return status, time.monotonic() - started


def check_clean_end(*processes):
    """End processes one by one, all of them; then fail unless that went well for each."""
    faults = []
    for process in processes:
        try:
            status, _ = process.end()
        except pytest.fail.Exception as fault:
            faults.append(str(fault))
            continue
        if status != 0 or 'Traceback' in process.output():
            faults.append('it ended with status %d; it wrote:\n%s' % (status, process.output()))
    assert not faults, '\n'.join(faults)


@pytest.fixture
def start(ros_environment, tmp_path):
    """Start processes that must end with status 0 and without a traceback when the test is over."""
    started = []

    def launch(*command):
        log = tmp_path / ('process_%d.log' % len(started))
        started.append(Process([sys.executable] + [str(word) for word in command], ros_environment, log))
        return started[-1]

    yield launch
    check_clean_end(*reversed(started))


def node_command(*ros_arguments, **parameters):
    """Return the command of emotion_node: parameters as keywords with __ for the dot, other words for --ros-args."""
    # On a busy machine two seconds may pass between two images: only tests of silence shall hear of it.
    settings = {'diagnostics__period_s': 0.1, 'input__timeout_s': 30.0}
    settings.update(parameters)
    return ['-m', 'facial_emotion_ros.ros.emotion_node', '--ros-args', *ros_arguments, *parameter_words(**settings)]


def parameter_words(**parameters):
    """Return the words of a command line for parameters as keywords with __ for the dot."""
    texts = {name: str(value).lower() if isinstance(value, bool) else value for name, value in parameters.items()}
    return [word for name, text in texts.items() for word in ('-p', '%s:=%s' % (name.replace('__', '.'), text))]


def has_lost_a_port(pid):
    """Return whether the file of a port that a process listens at was taken from it: see `take_own_shared_memory`."""
    try:
        links = [os.readlink(entry.path) for entry in os.scandir('/proc/%d/fd' % pid)]
    except OSError:  # it has just closed one, or ended
        return False
    locks = [link for link in links if re.search('/fast[a-z]+_port[0-9]+_el', link)]
    return any(not os.path.exists(lock.partition('_el')[0]) for lock in locks)


@pytest.fixture(scope='session')
def shared_process(ros_environment, tmp_path_factory):
    """Hold the node that tests share which leave it as they found it; never beside a test's own node."""
    running = []

    def start():
        if running and has_lost_a_port(running[0].process.pid):
            end()
        if not running:
            log = tmp_path_factory.mktemp('shared_node') / 'node.log'
            running.append(Process([sys.executable] + node_command(tracker__max_age_s=3.0), ros_environment, log))
            running[0].wait_for('Active: ')
        return running[0]

    def end():
        if running:
            check_clean_end(running.pop())

    yield start, end
    end()


@pytest.fixture
def shared_node(shared_process):
    """Return a node that is active; it keeps ids longer than by default, so that a busy machine does not lose them."""
    return shared_process[0]()


@pytest.fixture
def start_node(shared_process, start):
    """Start emotion_node; arguments as `node_command` takes them."""
    shared_process[1]()
    return lambda *ros_arguments, **parameters: start(*node_command(*ros_arguments, **parameters))


@pytest.fixture(scope='session')
def ros_context(ros_environment):
    """Return an rclpy context of this process, in the domain of the run."""
    from rclpy.context import Context

    context = Context()
    context.init(domain_id=int(ros_environment['ROS_DOMAIN_ID']))
    yield context
    context.try_shutdown()


@pytest.fixture
def peer(ros_context):
    """Return a node of this process that plays camera, subscriber and operator."""
    from graph_peer import Peer

    peer = Peer(ros_context)
    yield peer
    peer.close()
