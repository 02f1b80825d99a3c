"""Copies of the checkout in which the set-up under test may do what it wants."""

import os
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

#: What a copy of the checkout needs so that the set-up can work in it: all but the models.
COPIED = (
    'scripts',
    'requirements',
    'messages',
    'facial_emotion_ros',
    'launch',
    'config',
    'resource',
    'package.xml',
    'setup.py',
    'setup.cfg',
)

#: Left by the shell that runs the tests; a user's fresh shell has none of it.
LEFT_BY_SHELLS = (
    'AMENT_PREFIX_PATH',
    'CMAKE_PREFIX_PATH',
    'COLCON_PREFIX_PATH',
    'ROS_DISTRO',
    'ROS_VERSION',
    'ROS_PYTHON_VERSION',
    'PYTHONPATH',
    'LD_LIBRARY_PATH',
    '_ROS_WHEELS_BOOTSTRAP_COMPLETE',
    'VIRTUAL_ENV',
)


class Checkout:
    """A copy of this checkout.

    :param folder: where it lies.
    """

    def __init__(self, folder):
        self.folder = folder
        self.venv = folder / '.venv'
        for name in COPIED:
            source = os.path.join(ROOT, name)
            copy = shutil.copytree if os.path.isdir(source) else shutil.copy
            copy(source, str(folder / name))

    def environment(self, **variables):
        """Give the variables of a fresh shell, with some more; None takes one out."""
        own_bin = os.path.join(ROOT, '.venv', 'bin')
        env = {
            name: value
            for name, value in os.environ.items()
            if name not in LEFT_BY_SHELLS and not name.startswith(('COVERAGE_', 'COV_CORE_'))
        }
        env['PATH'] = os.pathsep.join(part for part in env.get('PATH', '').split(os.pathsep) if part != own_bin)
        env.update(variables)
        return {name: value for name, value in env.items() if value is not None}

    def setup(self, *arguments, before=(), **variables):
        """Run scripts/setup to its end.

        :param arguments: of scripts/setup.
        :param before: a command that starts it.
        :param variables: on top of a fresh shell's.
        :returns: CompletedProcess with stdout and stderr as text.
        """
        return subprocess.run(
            [*before, str(self.folder / 'scripts' / 'setup'), *arguments],
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=240,
        )
