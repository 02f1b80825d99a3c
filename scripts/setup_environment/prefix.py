""".venv as a ROS prefix: its setup files, and our own package on top of it, installed by colcon as on a robot."""

import os
import shutil

from console import CommandFailed, SetupStopped
from system import last_line

PACKAGE = 'facial_emotion_ros'

_SETUP_SH = """\
# Written by scripts/setup. Source it as one sources /opt/ros/{distribution}/setup.{shell}.
_facial_emotion_prepend() {{  # _facial_emotion_prepend VARIABLE FOLDER: put it in front, once
    eval "_facial_emotion_value=\\"\\${{$1-}}\\""
    case ":$_facial_emotion_value:" in
        *":$2:"*) ;;
        *) export "$1=$2${{_facial_emotion_value:+:$_facial_emotion_value}}" ;;
    esac
    unset _facial_emotion_value
}}
export ROS_VERSION=2
export ROS_PYTHON_VERSION=3
export ROS_DISTRO={distribution}
_facial_emotion_prepend AMENT_PREFIX_PATH "{venv}"
_facial_emotion_prepend CMAKE_PREFIX_PATH "{venv}"
_facial_emotion_prepend PATH "{venv}/bin"
_facial_emotion_prepend PYTHONPATH "{site_packages}"
{libraries}
unset -f _facial_emotion_prepend
"""

_STARTUP = '''\
"""Written by scripts/setup: a plain .venv/bin/python finds the prefixes that a sourced shell would name."""
import os
import sys

if not os.environ.get('AMENT_PREFIX_PATH'):  # else a shell has named them, in its own order
    os.environ['AMENT_PREFIX_PATH'] = os.pathsep.join({prefixes!r})
if os.path.isdir({package_folder!r}):
    sys.path.append({package_folder!r})
'''


class Overlay:
    """Where colcon builds our package and installs it.

    :param venv: the environment.
    """

    def __init__(self, venv):
        self.folder = os.path.join(venv, 'overlay')
        self.build_base = os.path.join(self.folder, 'build')
        self.install_base = os.path.join(self.folder, 'install')
        self.prefix = os.path.join(self.install_base, PACKAGE)


def site_packages_of(venv, minor):
    """Give the folder of an environment's packages."""
    return os.path.join(venv, 'lib', 'python' + minor, 'site-packages')


def write_setup_files(venv, minor, distribution):
    """Make the environment a prefix that can be sourced, like a ROS installation.

    :param venv: the environment, filled with the wheels.
    :param minor: Python's version.
    :param distribution: like 'jazzy'.
    """
    packages = site_packages_of(venv, minor)
    # The wheels bring libraries of their own beside their packages. In one order, always.
    folders = [
        os.path.join(packages, name)
        for name in sorted(os.listdir(packages), reverse=True)
        if name.startswith('ros_') and name.endswith('.libs')
    ] + [os.path.join(venv, 'lib')]
    libraries = '\n'.join('_facial_emotion_prepend LD_LIBRARY_PATH "{}"'.format(folder) for folder in folders)
    for shell in ('sh', 'bash'):
        text = _SETUP_SH.format(
            distribution=distribution, shell=shell, venv=venv, site_packages=packages, libraries=libraries
        )
        for name in ('setup.', 'local_setup.'):
            with open(os.path.join(venv, name + shell), 'w', encoding='utf-8') as file:
                file.write(text)


def write_startup(venv, minor, with_wheels):
    """Let a plain `.venv/bin/python` find ROS and our package without a sourced shell.

    :param venv: the environment.
    :param minor: Python's version.
    :param with_wheels: whether ROS itself lies in the environment.
    """
    overlay = Overlay(venv)
    text = _STARTUP.format(
        prefixes=[overlay.prefix] + ([venv] if with_wheels else []),
        package_folder=os.path.join(overlay.build_base, PACKAGE),
    )
    packages = site_packages_of(venv, minor)
    with open(os.path.join(packages, 'facial_emotion_startup.py'), 'w', encoding='utf-8') as file:
        file.write(text)
    # Sorted before ros_wheels_bootstrapper.pth, which starts Python again and hands the variables on.
    with open(os.path.join(packages, 'facial_emotion_startup.pth'), 'w', encoding='utf-8') as file:
        file.write('import facial_emotion_startup\n')


def hide_from_colcon(venv):
    """Keep colcon from taking the wheels' packages for sources."""
    with open(os.path.join(venv, 'COLCON_IGNORE'), 'w', encoding='utf-8'):
        pass


def install_package(root, venv, env, progress):
    """Install our package by `colcon build --symlink-install`.

    :param root: this checkout.
    :param venv: the environment.
    :param minor: Python's version.
    :param env: variables as in a shell where ROS is sourced.
    :param progress: Progress.
    :raises SetupStopped: colcon failed.
    """
    overlay = Overlay(venv)
    shutil.rmtree(overlay.folder, ignore_errors=True)
    # This environment's Python runs colcon, so that it stands in the executables' first lines.
    command = [
        os.path.join(venv, 'bin', 'python'),
        '-c',
        'import sys; from colcon_core.command import main; sys.exit(main())',
        '--log-base',
        os.devnull,
        'build',
        '--paths',
        root,
        '--build-base',
        overlay.build_base,
        '--install-base',
        overlay.install_base,
        '--symlink-install',
    ]
    try:
        progress.run(command, env, cwd=venv)
    except CommandFailed as error:
        shutil.rmtree(overlay.folder, ignore_errors=True)
        raise SetupStopped(
            'colcon could not install the package: {}.'.format(last_line(error.output)),
            'All that it said: {}'.format(progress.log_path),
        ) from error
    if not os.path.isdir(os.path.join(overlay.prefix, 'share', PACKAGE)):
        raise SetupStopped(
            'colcon installed no {}.'.format(PACKAGE),
            'Check with `colcon list` that package.xml is read; see {}'.format(progress.log_path),
        )
