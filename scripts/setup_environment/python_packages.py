"""Installs Python packages into .venv: from lock files with checksums, without resolving dependencies."""

import os
import re
import tempfile

from console import CommandFailed, SetupStopped
from system import last_line

#: PyTorch's own index of CPU builds, used only if pip's configured sources have none.
TORCH_CPU_INDEX = 'https://download.pytorch.org/whl/cpu'

#: For a sourced ROS installation: module that must import -> the packages of run.lock that bring it.
PACKAGES_OF_MODULE = {
    'numpy': ('numpy',),
    'cv2': ('opencv-python-headless',),
    'yaml': ('pyyaml',),
    'onnxruntime': (
        'onnxruntime',
        'flatbuffers',
        'protobuf',
        'packaging',
        'coloredlogs',
        'humanfriendly',
        'sympy',
        'mpmath',
    ),
    'catkin_pkg': ('catkin-pkg', 'docutils', 'pyparsing', 'python-dateutil', 'six', 'tzdata'),
    'colcon_ros': (
        'colcon-core',
        'colcon-ros',
        'colcon-bash',
        'colcon-cmake',
        'colcon-library-path',
        'colcon-package-information',
        'colcon-pkg-config',
        'colcon-python-setup-py',
        'colcon-recursive-crawl',
        'colcon-test-result',
        'distlib',
        'empy',
        'packaging',
    ),
}

#: Compiled against by a ROS installation's own message packages: never replaced in one.
KEPT_FROM_ROS = ('numpy', 'setuptools')

_PIP = ('-m', 'pip', '--disable-pip-version-check', '--no-input', '--retries', '2')

#: What pip prints -> what is wrong, what to do. The first that fits is told; pip installs nothing before all is there.
_PIP_FAILURES = (
    (
        r'DO NOT MATCH THE HASHES|Hash mismatch|Hashes are required',
        'A downloaded package does not have the checksum that the lock file records ({detail}): the file was changed '
        'on '
        'its way, or a package index of your own offers another build under the same name.',
        "Do not use it; check pip's configured indexes (`pip config list`) and start again.",
    ),
    (r'No space left on device', 'The disk is full.', 'Make about 3 GB free and start again.'),
    (
        r'NewConnectionError|Name or service not known|name resolution|Network is unreachable|Connection refused|'
        r'ConnectTimeout|Read timed out|ProxyError|SSLError|No route to host',
        'The Python package index cannot be reached ({detail}).',
        'Check the network and the proxy (variables https_proxy, PIP_INDEX_URL) and start again: downloads that were '
        "finished are kept in pip's cache.",
    ),
    (
        r'No matching distribution found|Could not find a version',
        'The Python package index does not offer what the lock file asks for ({detail}).',
        "Check the network and pip's configured indexes (`pip config list`), update this checkout, and start again.",
    ),
)


def explain_pip_failure(output, log_path):
    """Turn what pip printed into one paragraph.

    :param output: everything that pip printed.
    :param log_path: where all of it is kept.
    :returns: SetupStopped.
    """
    for pattern, cause, next_step in _PIP_FAILURES:
        if re.search(pattern, output):
            return SetupStopped(
                cause.format(detail=_detail(output)), '{} All that pip said: {}'.format(next_step, log_path)
            )
    return SetupStopped('pip failed: {}.'.format(last_line(output)), 'All that it said: {}'.format(log_path))


def _detail(output):
    package = re.search(r'^\s+(\S+==\S+|\S+) from .*:$', output, re.MULTILINE)
    if package:
        return package.group(1)
    errors = [line for line in output.splitlines() if line.startswith('ERROR')]
    return errors[-1][len('ERROR: ') :][:160] if errors else last_line(output)[:160]


def read_lock(path):
    """Split a lock file into its entries.

    :param path: a lock file as pip reads it.
    :returns: list of (name, text of the entry with its checksums).
    """
    with open(path, encoding='utf-8') as lines:
        text = ''.join(line for line in lines if not line.startswith('#'))
    entries = re.split(r'\n(?=[A-Za-z0-9])', text.strip())
    return [(re.match(r'[A-Za-z0-9._-]+', entry).group(0).lower(), entry) for entry in entries]


def read_robot_locks(paths):
    """Put together what a robot gets of a distribution.

    :param paths: lock files; ROS packages are taken from the first alone.
    :returns: as read_lock.
    """
    entries = [entry for path in paths[1:] for entry in read_lock(path) if not entry[0].startswith('ros-')]
    return read_lock(paths[0]) + entries


class Installer:
    """pip of one environment.

    :param python: the environment's Python.
    :param env: variables that pip runs with.
    :param progress: Progress.
    """

    def __init__(self, python, env, progress):
        self._python = python
        self._env = dict(env, PIP_USER='0', PIP_REQUIRE_VIRTUALENV='0')
        self._progress = progress

    def install_robot_locks(self, paths):
        """Install what a robot gets.

        :param paths: as read_robot_locks takes them.
        :raises SetupStopped: no network, a wrong checksum...
        """
        entries = read_robot_locks(paths)
        # What is published as source alone (empy) is built by the locked setuptools, not by one fetched on the side.
        self._install([text for name, text in entries if name == 'setuptools'])
        self._install([text for _, text in entries])

    def install_entries(self, lock_path, names=None, without=(), options=()):
        """Install a part of a lock file.

        :param lock_path: lock file.
        :param names: names to take; None takes all.
        :param without: names to leave out.
        :param options: of pip. '--no-compile': Python compiles what is imported, a tenth of the tests' packages.
        :raises SetupStopped: no network, a wrong checksum...
        """
        self._install(
            [text for name, text in read_lock(lock_path) if (names is None or name in names) and name not in without],
            options,
        )

    def install_torch(self, lock_path):
        """Install torch's CPU build, wherever it is to be had.

        :param lock_path: torch.lock.
        :returns: '' when it is there, else why not, as a sentence.
        :raises SetupStopped: a file with a wrong checksum.
        """
        why_not = ''
        for options in ((), ('--index-url', TORCH_CPU_INDEX, '--retries', '0', '--timeout', '20')):
            try:
                self._pip(lock_path, *options)
                why_not = ''
                break
            except CommandFailed as error:
                if re.search('DO NOT MATCH THE HASHES', error.output):
                    raise explain_pip_failure(error.output, self._progress.log_path) from error
                why_not = why_not or _detail(error.output)
        if not why_not and not self.missing_modules(('torch',)):
            return ''
        return (
            "torch's CPU build for this Python is neither where pip looks nor to be had from {} ({}): tests that "
            'need torch will be skipped.'.format(TORCH_CPU_INDEX, why_not or 'no checksum of one is recorded')
        )

    def missing_modules(self, modules):
        """Tell which modules the environment does not find.

        :param modules: top-level module names.
        :returns: those that are missing.
        """
        code = (
            'import importlib.util, sys\n'
            'print(" ".join(name for name in sys.argv[1:] if importlib.util.find_spec(name) is None))'
        )
        try:
            return self._progress.run([self._python, '-c', code] + list(modules), self._env).split()
        except CommandFailed as error:
            raise SetupStopped(
                "The new environment's Python does not run: {}.".format(last_line(error.output)),
                'See {}.'.format(self._progress.log_path),
            ) from error

    def _install(self, entries, options=()):
        with tempfile.NamedTemporaryFile('w', suffix='.lock', encoding='utf-8') as lock:
            lock.write('\n'.join(entries) + '\n')
            lock.flush()
            try:
                self._pip(lock.name, '--no-build-isolation', *options)
            except CommandFailed as error:
                raise explain_pip_failure(error.output, self._progress.log_path) from error

    def _pip(self, lock_path, *options):
        env = dict(self._env)
        if '--index-url' in options:
            env = {name: value for name, value in env.items() if name not in ('PIP_EXTRA_INDEX_URL', 'PIP_FIND_LINKS')}
            env['PIP_CONFIG_FILE'] = os.devnull
        self._progress.run(
            [
                self._python,
                *_PIP,
                'install',
                '--no-deps',
                '--require-hashes',
                '--progress-bar',
                'off',
                *options,
                '-r',
                lock_path,
            ],
            env,
        )
