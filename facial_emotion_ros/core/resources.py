"""Find the package's files in a source checkout, or in the share folder of a colcon or pip installation."""

import os
import tempfile

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError

PACKAGE = 'facial_emotion_ros'


def find_shared(*parts: str) -> str:
    """Return the absolute path of one of the package's files or folders.

    :param parts: its path in the package's share folder, such as ('config', 'demo.yaml').
    :raises FacialEmotionError: if it does not exist; the message lists where it was looked for.
    """
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    checkout = os.path.dirname(here)
    # Outside a checkout, a folder called samples beside the package may be another package's.
    candidates = [os.path.join(checkout, *parts)] if os.path.isfile(os.path.join(checkout, 'package.xml')) else []
    folder = here
    while os.path.dirname(folder) != folder:
        folder = os.path.dirname(folder)
        candidates.append(os.path.join(folder, 'share', PACKAGE, *parts))
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    candidates += [os.path.join(prefix, 'share', PACKAGE, *parts) for prefix in prefixes if prefix]
    for path in candidates:
        if os.path.exists(path):
            return path
    raise FacialEmotionError(
        'expected %s among the installed files of %s, but it is in none of: %s; install the '
        'package again' % (os.path.join(*parts), PACKAGE, ', '.join(candidates))
    )


def expect_file(path: str, argument: str) -> None:
    """Refuse a parameter file that does not exist: launch_ros would ignore it and start with the defaults.

    :param argument: name of the launch argument.
    :raises BadParameter: if there is no such file.
    """
    if not os.path.isfile(path):
        raise BadParameter('%s: expected a file of parameters, got %r, which is not a file' % (argument, path))


def find_executable(name: str) -> str:
    """Return the absolute path of an installed executable, such as 'emotion_node'; '' in a plain source checkout."""
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = os.path.join(prefix, 'lib', PACKAGE, name)
        if prefix and os.access(path, os.X_OK):
            return path
    return ''


def cache_folder(name: str) -> str:
    """Return this package's folder `name` in the user's cache (XDG_CACHE_HOME, else ~/.cache); it may not exist."""
    caches = os.environ.get('XDG_CACHE_HOME', '')
    if not os.path.isabs(caches):  # the specification ignores a relative one
        home = os.path.expanduser('~')
        # Without HOME and a user record, '~' stays as it is.
        caches = os.path.join(home, '.cache') if os.path.isabs(home) else tempfile.gettempdir()
    return os.path.join(caches, PACKAGE, name)
