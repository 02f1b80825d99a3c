"""scripts/setup: ROS 2, the robot's packages and, for tests, the tests' packages into .venv of this checkout."""

import argparse
import fcntl
import os
import shutil
import signal
import sys
from contextlib import contextmanager

import messages
import prefix
import state
import system
from console import CommandFailed, Progress, SetupStopped, clean_environment, complain, say
from python_packages import KEPT_FROM_ROS, PACKAGES_OF_MODULE, Installer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: ROS distributions that exist as wheels -> their locks, the one with the ROS packages first.
DISTRIBUTIONS = {'jazzy': ('run.lock',), 'kilted': ('kilted.lock', 'run.lock')}
DEFAULT_DISTRIBUTION = 'jazzy'

#: On the default distribution; on others test/ros alone runs, which needs the first.
TEST_LOCKS = ('test.lock', 'synthetic.lock', 'torch.lock')

DESCRIPTION = """\
Sets up the environment of this checkout in its folder .venv, or checks that it is complete.

If a ROS 2 installation is sourced in this shell, .venv adds only the Python packages that it lacks. Otherwise .venv
gets ROS 2 Jazzy from Python wheels, with checksums, and the messages without wheels are generated there. Either
way, colcon installs this package, as on a robot.

Another distribution than Jazzy (--distro kilted) goes into a folder of its own, .venv-kilted, whatever is sourced.

Takes one to three minutes the first time (600 MB; the tests add 1200 MB, and 420 MB for Chromium if apt may install
it), and less than two seconds when nothing has changed. It may be interrupted, or run twice at once. scripts/demo and
scripts/test call it themselves."""


class Setup:
    """One run of the set-up.

    :param venv: where the environment goes.
    :param wants_tests: whether the tests' packages are wanted too.
    :param python: the Python to use, or None to look for one.
    :param distribution: of the wheels.
    """

    def __init__(self, venv, wants_tests, python, distribution=DEFAULT_DISTRIBUTION):
        self.venv = venv
        self.wants_tests = wants_tests
        self.python = python
        self.distribution = distribution
        self.locks = [os.path.join(ROOT, 'requirements', name) for name in DISTRIBUTIONS[distribution]]
        self.ros, self.others = None, []
        if distribution == DEFAULT_DISTRIBUTION:
            self.ros, self.others = system.find_sourced_ros(venv)
        self.state = state.State(venv)
        self.progress = None

    def stale_stages(self):
        """List the stages that have to run, in their order.

        :returns: list of 'base', 'tests', 'package'; empty when all is complete.
        """
        written = self.state.read()
        if (
            written.get('base') != self._base_key()
            or written.get('tests') == state.BEGUN
            or not os.path.exists(self.venv_python)
        ):
            return ['base', 'package'] + (['tests'] if self.wants_tests else [])
        stale = []
        if written.get('package') != state.package_key(ROOT):
            stale.append('package')
        if self.wants_tests and written.get('tests') != state.tests_key(ROOT, self._test_locks):
            stale.append('tests')
        return stale

    def _base_key(self):
        return state.base_key(ROOT, self.locks, self.venv, self.ros)

    @property
    def _test_locks(self):
        return TEST_LOCKS if self.distribution == DEFAULT_DISTRIBUTION else TEST_LOCKS[:1]

    @property
    def venv_python(self):
        """Give the environment's Python."""
        return os.path.join(self.venv, 'bin', 'python')

    def run(self, stages):
        """Run stages.

        :param stages: as stale_stages gives them.
        :raises SetupStopped: with the cause and the next step.
        """
        steps = {'base': 3 if self.ros else 4, 'package': 1, 'tests': 3 if 'torch.lock' in self._test_locks else 1}
        self.progress = Progress(self.venv + '.log', sum(steps[stage] for stage in stages))
        if 'base' in stages:
            with self._replacing():
                self._make_base()
                self._install_package()
        elif 'package' in stages:
            self._install_package()
        if 'tests' in stages:
            self._install_tests()
        say('      {} is complete after {:.0f} s.'.format(os.path.basename(self.venv), self.progress.total_s()))

    @contextmanager
    def _replacing(self):
        """Keep the previous environment until the new one is complete, and restore it if that fails."""
        previous = self.venv + '.previous'
        if os.path.lexists(self.venv):
            if self._is_complete(self.venv):
                shutil.rmtree(previous, ignore_errors=True)
                os.rename(self.venv, previous)
            else:
                shutil.rmtree(self.venv)
        try:
            yield
        except BaseException:
            shutil.rmtree(self.venv, ignore_errors=True)
            if os.path.isdir(previous):
                os.rename(previous, self.venv)
            raise
        shutil.rmtree(previous, ignore_errors=True)

    @staticmethod
    def _is_complete(venv):
        written = state.State(venv).read()
        return bool(written.get('base')) and state.BEGUN not in written.values()

    def _make_base(self):
        if self.ros:
            self._make_base_on_ros()
        else:
            self._make_base_of_wheels()
        prefix.hide_from_colcon(self.venv)
        self.state.write(base=self._base_key())

    def _make_base_of_wheels(self):
        self.progress.begin('Looking for Python and a compiler')
        interpreter = self._interpreter()
        cache = messages.MessageCache(self.distribution, interpreter.minor, os.path.join(ROOT, 'messages'), self.locks)
        archive = cache.read()
        missing = system.missing_packages(interpreter, needs_compiler=archive is None)
        if missing:
            system.install_packages(missing, self.progress)
        self.progress.end('Python {}'.format('.'.join(map(str, interpreter.version))))

        self.progress.begin('Making the environment {}'.format(self.venv))
        self._make_venv(interpreter, clean_environment(), [])
        self.progress.end()

        self.progress.begin("Installing ROS 2 {} and the robot's packages".format(self.distribution.capitalize()))
        Installer(self.venv_python, clean_environment(), self.progress).install_robot_locks(self.locks)
        self.progress.end()

        self.progress.begin('Messages {}'.format(', '.join(messages.PACKAGES)))
        self._name_own_headers()
        if archive is None:
            archive = messages.generate(self.venv, os.path.join(ROOT, 'messages'), self.progress)
            cache.write(archive)
            self.progress.end('generated')
        else:
            self.progress.end('taken from {}'.format(cache.path))
        messages.unpack(archive, self.venv)
        prefix.write_setup_files(self.venv, interpreter.minor, self.distribution)
        prefix.write_startup(self.venv, interpreter.minor, with_wheels=True)

    def _make_base_on_ros(self):
        self.progress.begin('Using ROS 2 {} from {}'.format(self.ros.distribution, self.ros.prefixes[-1]))
        interpreter = None
        for name in (self.python,) if self.python else ('python3', '/usr/bin/python3'):
            interpreter = system.describe_interpreter(name, self._ros_environment(), ask_ros=True)
            if interpreter and interpreter.has_rclpy:
                break
        else:
            raise SetupStopped(
                'ROS 2 {} is sourced, but python3 does not import rclpy.'.format(self.ros.distribution),
                'Source its setup file in a new shell where python3 is the one that it was made for.',
            )
        absent = [name for name in messages.PACKAGES if not self.ros.has_package(name)]
        if absent:
            raise SetupStopped(
                'The sourced ROS 2 {} lacks {}.'.format(self.ros.distribution, ' and '.join(absent)),
                'Type this, then start again:\n    sudo apt install '
                + ' '.join(
                    'ros-{}-{}'.format(self.ros.distribution, name.replace('_', '-')) for name in messages.PACKAGES
                ),
            )
        if not interpreter.has_venv:
            system.install_packages(system.missing_packages(interpreter, needs_compiler=False), self.progress)
        self.progress.end('Python {}'.format('.'.join(map(str, interpreter.version))))

        self.progress.begin('Making the environment {} on top of it'.format(self.venv))
        self._make_venv(interpreter, self._ros_environment(), ['--system-site-packages'])
        self.progress.end()

        self.progress.begin('Installing what it lacks')
        installer = Installer(self.venv_python, self._ros_environment(), self.progress)
        absent = installer.missing_modules(PACKAGES_OF_MODULE)
        if absent:
            installer.install_entries(
                os.path.join(ROOT, 'requirements', 'run.lock'),
                [name for module in absent for name in PACKAGES_OF_MODULE[module]],
            )
        self.progress.end('{} installed'.format(', '.join(absent) or 'nothing'))
        prefix.write_startup(self.venv, interpreter.minor, with_wheels=False)

    def _interpreter(self):
        if not self.python:
            return system.find_interpreter()
        interpreter = system.describe_interpreter(self.python, clean_environment())
        if not interpreter or interpreter.version[:2] not in system.WHEEL_PYTHONS:
            raise SetupStopped('{} is no CPython 3.10 to 3.13 that runs.'.format(self.python), 'Name another one.')
        return interpreter

    def _make_venv(self, interpreter, env, options):
        try:
            self.progress.run([interpreter.executable, '-m', 'venv', *options, self.venv], env)
        except CommandFailed as error:
            raise SetupStopped(
                'Python could not make {}: {}.'.format(self.venv, system.last_line(error.output)),
                'See {}'.format(self.progress.log_path),
            ) from error
        self.state.write(base=state.BEGUN)

    def _name_own_headers(self):
        code = 'import sysconfig, numpy; print(sysconfig.get_path("include")); print(numpy.get_include())'
        include_folder, numpy_include_folder = self.progress.run(
            [self.venv_python, '-c', code], clean_environment()
        ).split('\n')[:2]
        messages.name_own_headers(self.venv, include_folder, numpy_include_folder)

    def _ros_environment(self):
        """Copy the shell's variables as sourced, less what scripts/setup has made here or in another checkout."""
        env = clean_environment(drop=('VIRTUAL_ENV', 'PYTHONHOME'))
        for name in ('AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH', 'COLCON_PREFIX_PATH', 'PYTHONPATH', 'PATH'):
            kept = [
                part
                for part in env.get(name, '').split(os.pathsep)
                if part
                and not os.path.realpath(part).startswith(os.path.realpath(self.venv) + os.sep)
                and not system.environment_of(part)
            ]
            if name in env:
                env[name] = os.pathsep.join(kept)
        return env

    def _install_package(self):
        self.progress.begin('Installing this package with colcon')
        self.state.write(package=state.BEGUN)
        env = (
            self._ros_environment()
            if self.ros
            else clean_environment(
                {
                    'AMENT_PREFIX_PATH': self.venv,
                    'CMAKE_PREFIX_PATH': self.venv,
                    'PATH': os.path.join(self.venv, 'bin') + os.pathsep + os.environ.get('PATH', os.defpath),
                }
            )
        )
        key = state.package_key(ROOT)
        prefix.install_package(ROOT, self.venv, env, self.progress)
        self.state.write(package=key)
        self.progress.end()

    def _install_tests(self):
        self.progress.begin("Installing the tests' packages")
        installer = Installer(
            self.venv_python, self._ros_environment() if self.ros else clean_environment(), self.progress
        )
        self.state.write(tests=state.BEGUN)
        key = state.tests_key(ROOT, self._test_locks)  # of what is installed now, should a lock change meanwhile
        try:
            for lock in self._test_locks[:2]:
                installer.install_entries(
                    os.path.join(ROOT, 'requirements', lock),
                    without=KEPT_FROM_ROS if self.ros else (),
                    options=('--no-compile',),
                )
            self.progress.end()
            if 'torch.lock' not in self._test_locks:
                self.state.write(tests=key)
                return
            self.progress.begin('Installing torch')
            why_not = installer.install_torch(os.path.join(ROOT, 'requirements', 'torch.lock'))
        except SetupStopped:
            # pip installs nothing before everything is there and checked: the robot's part is as it was.
            self.state.write(tests=None)
            raise
        self._end_with_note(why_not)
        self.progress.begin('Looking for Chromium, which one test needs for report pages')
        self._end_with_note(system.install_browser(self.progress))
        self.state.write(tests=key)

    def _end_with_note(self, why_not):
        self.progress.end('done' if not why_not else 'not installed')
        if why_not:
            say('      Note: ' + why_not)


@contextmanager
def only_one(path):
    """Let one set-up of this checkout run at a time; the others wait.

    :param path: file that is locked; the lock goes with the process and its children, however these end.
    """
    with open(path, 'w', encoding='utf-8') as file:
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say('Another set-up of this checkout is running: waiting for it.')
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def parse(arguments):
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='scripts/setup', description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--tests', action='store_true', help='also install what scripts/test needs: pytest, ruff, torch...'
    )
    parser.add_argument('--fresh', action='store_true', help='delete .venv and start over')
    parser.add_argument(
        '--distro',
        choices=sorted(DISTRIBUTIONS),
        default=DEFAULT_DISTRIBUTION,
        help='the ROS distribution of the wheels (default: %(default)s)',
    )
    parser.add_argument(
        '--python',
        metavar='FILE',
        help='the Python to use: CPython 3.10 to 3.13 (default: the first complete one on PATH); together with --fresh',
    )
    return parser.parse_args(arguments)


def main(arguments):
    """Run the set-up.

    :param arguments: command line without the program's name.
    :returns: exit code.
    """
    options = parse(arguments)
    venv = os.path.join(ROOT, '.venv' if options.distro == DEFAULT_DISTRIBUTION else '.venv-{}'.format(options.distro))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        system.check_processor()
        setup = Setup(venv, options.tests, options.python, options.distro)
        for other in setup.others:
            say(
                'Sourced in this shell: {}, made by scripts/setup of another checkout: left aside, since it is no ROS '
                'installation.'.format(other)
            )
        if not options.fresh and not setup.stale_stages():
            return 0
        with only_one(venv + '.lock'):
            stages = setup.stale_stages()
            if options.fresh:
                stages = ['base', 'package'] + (['tests'] if options.tests else [])
            if stages:
                setup.run(stages)
    except SetupStopped as stopped:
        complain('\nscripts/setup stopped. {}'.format(stopped))
        return 1
    except OSError as error:
        complain(
            '\nscripts/setup stopped. The system refused: {}. Check the rights and the free space of {}, then '
            'start again.'.format(error, ROOT)
        )
        return 1
    except KeyboardInterrupt:
        complain('\nInterrupted. Nothing half-installed is left in use: start again when you like.')
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
