"""What the machine has: processor, Python, compiler, a sourced ROS installation; apt installs what is missing."""

import os
import platform
import shutil
import subprocess
import sys

from console import CommandFailed, SetupStopped, clean_environment, say

#: CPython versions that the ROS wheels exist for.
WHEEL_PYTHONS = ((3, 10), (3, 11), (3, 12), (3, 13))

#: In each environment that scripts/setup makes: which of its stages are complete.
STATE_FILE = 'facial_emotion_setup.json'

ROS_WAY = (
    'Use the ROS way: put this checkout into the src folder of a colcon workspace on a machine with ROS 2, then '
    '`rosdep install --from-paths src --ignore-src`, `pip install onnxruntime`, `colcon build`.'
)

_DESCRIBE = """
import json, os, sys, sysconfig
def importable(name):
    try:
        __import__(name)
    except Exception:
        return False
    return True
header = os.path.join(sysconfig.get_path("include"), "Python.h")
print(json.dumps({
    "executable": getattr(sys, "_base_executable", None) or sys.executable, "version": sys.version_info[:3],
    "implementation": sys.implementation.name, "venv": importable("venv") and importable("ensurepip"),
    "headers": os.path.exists(header), "prefix": sys.prefix, "rclpy": importable("rclpy") if ASK_ROS else None}))
"""


class Interpreter:
    """A Python that was run and described itself.

    :param description: dict: executable, version (three ints), implementation, venv, headers, prefix, rclpy.
    """

    def __init__(self, description):
        self.executable = description['executable']
        self.version = tuple(description['version'])
        self.has_venv = description['venv']
        self.has_headers = description['headers']
        self.has_rclpy = description['rclpy']
        self.implementation = description['implementation']

    @property
    def minor(self):
        """Name the version as the folders of site-packages do, like '3.11'."""
        return '{}.{}'.format(*self.version[:2])

    @property
    def is_the_distributions(self):
        """Tell whether apt can add to it."""
        return os.path.realpath(self.executable).startswith('/usr/bin/')


def describe_interpreter(command, env, ask_ros=False):
    """Run a Python and let it describe itself.

    :param command: path or name of the executable.
    :param env: the environment to run it in.
    :param ask_ros: also try whether it imports rclpy.
    :returns: Interpreter, or None where it does not run.
    """
    import json

    code = _DESCRIBE.replace('ASK_ROS', str(ask_ros))
    try:
        printed = subprocess.check_output([command, '-c', code], env=env, stderr=subprocess.DEVNULL, timeout=60)
        return Interpreter(json.loads(printed.decode()))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def check_processor():
    """Stop on processors that the wheels do not exist for.

    :raises SetupStopped: not x86_64 Linux.
    """
    machine = platform.machine()
    if sys.platform != 'linux' or machine != 'x86_64':
        raise SetupStopped(
            'scripts/setup supports only x86_64 Linux, for which ROS 2 exists as Python wheels; this is {} {}.'.format(
                platform.system(), machine
            ),
            ROS_WAY,
        )


def find_interpreter():
    """Find the Python that .venv is made with: the machine's own python3 first, complete ones before others.

    :returns: Interpreter of CPython 3.10 to 3.13.
    :raises SetupStopped: there is none.
    """
    env = clean_environment()
    found = []
    for name in ('python3', 'python3.12', 'python3.11', 'python3.13', 'python3.10', '/usr/bin/python3'):
        interpreter = describe_interpreter(name, env)
        if interpreter and interpreter.implementation == 'cpython' and interpreter.version[:2] in WHEEL_PYTHONS:
            if interpreter.has_venv and interpreter.has_headers:
                return interpreter
            found.append(interpreter)
    if found:
        return sorted(found, key=lambda each: not each.is_the_distributions)[0]
    raise SetupStopped(
        'ROS 2 Jazzy exists as wheels for CPython 3.10 to 3.13; the python3 here is {}, and there is no python3.10 to '
        'python3.13 that runs.'.format(platform.python_version()),
        'Install one of them together with its venv and dev packages and start again, or go the ROS way. ' + ROS_WAY,
    )


def missing_packages(interpreter, needs_compiler):
    """List the distribution's packages that are missing.

    :param interpreter: the Python that .venv is made with.
    :param needs_compiler: whether messages have to be generated.
    :returns: names for apt-get, sorted; empty when all is there.
    """
    missing = set()
    if not interpreter.has_venv:
        missing.add('python{}-venv'.format(interpreter.minor))
    if needs_compiler and not interpreter.has_headers:
        missing.add('python{}-dev'.format(interpreter.minor))
    if needs_compiler and not (os.environ.get('CXX') or shutil.which('g++') or shutil.which('c++')):
        missing.add('g++')
    return sorted(missing)


def install_packages(names, progress):
    """Install packages of the distribution, or say the one command that does.

    :param names: names for apt-get.
    :param progress: Progress.
    :raises SetupStopped: not allowed to, or it failed.
    """
    by_hand = 'sudo apt-get update && sudo apt-get install -y ' + ' '.join(names)
    if not shutil.which('apt-get'):
        raise SetupStopped(
            'Missing here: {} (names of Debian packages), and there is no apt-get.'.format(' '.join(names)),
            'Install them and start again.',
        )
    prefix = _privilege()
    if prefix is None:
        raise SetupStopped(
            'Missing system packages: {}.'.format(' '.join(names)), 'Type this, then start again:\n    ' + by_hand
        )
    env = clean_environment({'DEBIAN_FRONTEND': 'noninteractive'})
    install = prefix + ['apt-get', 'install', '-y', '--no-install-recommends'] + list(names)
    say('      apt-get install {}'.format(' '.join(names)))
    try:
        try:
            progress.run(install, env)
        except CommandFailed:
            progress.run(prefix + ['apt-get', 'update'], env)
            progress.run(install, env)
    except CommandFailed as error:
        raise SetupStopped(
            'apt-get could not install {}: {}'.format(' '.join(names), last_line(error.output)),
            'See {}; put it right with\n    {}\nand start again.'.format(progress.log_path, by_hand),
        ) from error


def missing_browser():
    """List the distribution's packages that are missing for the browser of the tests.

    :returns: names for apt-get; empty when all is there.
    """
    wanted = (('chromium', ('chromium', 'chromium-browser', 'google-chrome')), ('chromium-driver', ('chromedriver',)))
    return [name for name, commands in wanted if not any(shutil.which(command) for command in commands)]


def install_browser(progress):
    """Install the browser that one test looks at pages with, if that needs no question; do without it otherwise.

    :param progress: Progress.
    :returns: '' when it is there, or a sentence that says why not and what to do.
    """
    missing = missing_browser()
    if not missing:
        return ''
    try:
        install_packages(missing, progress)
    except SetupStopped as stopped:
        return 'No Chromium for the test of report pages; it will be skipped. {}'.format(stopped)
    return ''


def _privilege():
    if os.geteuid() == 0:
        return []
    if (
        shutil.which('sudo')
        and subprocess.call(
            ['sudo', '-n', 'true'], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        == 0
    ):
        return ['sudo', '-n']
    return None


def last_line(output):
    """Give the last line of a command's output that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1] if lines else 'it said nothing'


class SourcedRos:
    """A ROS 2 installation whose setup file was sourced in this shell.

    :param distribution: like 'jazzy'.
    :param prefixes: its AMENT_PREFIX_PATH without the parts that belong to this checkout.
    """

    def __init__(self, distribution, prefixes):
        self.distribution = distribution
        self.prefixes = prefixes

    def has_package(self, name):
        """Tell whether a prefix of it holds a package."""
        marker = os.path.join('share', 'ament_index', 'resource_index', 'packages', name)
        return any(os.path.exists(os.path.join(prefix, marker)) for prefix in self.prefixes)


def environment_of(path):
    """Tell which environment a path belongs to that scripts/setup has made, in this checkout or another one.

    :param path: a folder, such as a part of AMENT_PREFIX_PATH.
    :returns: the environment's folder, '' where the path belongs to none.
    """
    folder = os.path.realpath(path)
    while folder != os.path.dirname(folder):
        if os.path.isfile(os.path.join(folder, STATE_FILE)):
            return folder
        folder = os.path.dirname(folder)
    return ''


def find_sourced_ros(own_folder):
    """Look whether a ROS 2 installation is sourced, other than what this checkout or another one has made itself.

    :param own_folder: .venv of this checkout: sourced or not, it is no foreign installation.
    :returns: (SourcedRos or None, list of other checkouts' environments, which are left aside).
    """
    own = os.path.realpath(own_folder)
    prefixes, others = [], []
    for prefix in filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        real, made = os.path.realpath(prefix), environment_of(prefix)
        if real == own or real.startswith(own + os.sep):
            continue
        if not made:
            prefixes.append(prefix)
        elif made not in others:
            others.append(made)
    ros = SourcedRos(os.environ.get('ROS_DISTRO', ''), prefixes)
    return (ros if ros.distribution and ros.has_package('rclpy') else None), others
