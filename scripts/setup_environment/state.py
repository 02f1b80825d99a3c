"""What .venv holds, in one small file that is written after each stage: the reason why an interruption is harmless."""

import hashlib
import json
import os

import messages
from system import STATE_FILE

#: Value of a stage that began and has not ended.
BEGUN = 'begun'

#: Files of the checkout's root that the installed package is made from, and folders of which the names matter: the
#: installation links to them.
_PACKAGE_FILES = ('package.xml', 'setup.py', 'setup.cfg')
_LINKED_FOLDERS = ('facial_emotion_ros', 'launch', 'config', 'models', 'samples', 'resource')


class State:
    """The stages that are complete, by name, each with the key of what it was made from.

    :param venv: the environment that the file lies in.
    """

    def __init__(self, venv):
        self._path = os.path.join(venv, STATE_FILE)

    def read(self):
        """Give what is written.

        :returns: dict; empty where there is no environment or an unreadable file.
        """
        try:
            with open(self._path, encoding='utf-8') as file:
                content = json.load(file)
        except (OSError, ValueError):
            return {}
        return content if isinstance(content, dict) else {}

    def write(self, **changes):
        """Change some stages, all or none.

        :param changes: stage -> key, BEGUN, or None to take it out.
        """
        content = {name: key for name, key in dict(self.read(), **changes).items() if key is not None}
        temporary = self._path + '.new'
        with open(temporary, 'w', encoding='utf-8') as file:
            json.dump(content, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._path)


def base_key(root, lock_paths, venv, ros):
    """Hash what ROS, the robot's packages and the messages in .venv depend on.

    :param root: this checkout.
    :param lock_paths: of the distribution.
    :param venv: where the environment lies: it cannot be moved.
    :param ros: SourcedRos or None.
    :returns: sha256 in hexadecimal.
    """
    code = os.path.dirname(os.path.abspath(__file__))
    paths = sorted(os.path.join(code, name) for name in os.listdir(code) if name.endswith('.py'))
    paths.extend(lock_paths)
    paths.extend(messages.message_files(os.path.join(root, 'messages')))
    where = [venv] + ([ros.distribution] + ros.prefixes if ros else [])
    return hashlib.sha256('\n'.join(where + [messages.hash_files(paths, root)]).encode()).hexdigest()


def tests_key(root, names):
    """Hash what the tests' packages depend on.

    :param names: of their lock files.
    """
    return messages.hash_files([os.path.join(root, 'requirements', name) for name in names], root)


def package_key(root):
    """Hash what the installed package depends on: the text of its description, the names of what it links to."""
    names = []
    for folder in _LINKED_FOLDERS:
        for path, folders, files in os.walk(os.path.join(root, folder)):
            folders[:] = [each for each in folders if each != '__pycache__']
            names.extend(os.path.relpath(os.path.join(path, name), root) for name in files if not name.endswith('.pyc'))
    described = messages.hash_files([os.path.join(root, name) for name in _PACKAGE_FILES], root)
    return hashlib.sha256('\n'.join([described] + sorted(names)).encode()).hexdigest()
