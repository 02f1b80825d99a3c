"""Where the package's own files lie: in a source checkout, or in the share folder of a colcon or pip installation."""
import os

from facial_emotion_ros.errors import FacialEmotionError

PACKAGE = 'facial_emotion_ros'


def find_shared(*parts: str) -> str:
    """
    Find one of the package's own files or folders.

    :param parts: its path from the package's share folder, such as ('config', 'demo.yaml').
    :returns: the absolute path of the first that exists.
    :raises FacialEmotionError: it is nowhere; the text lists where it was looked for.
    """
    here = os.path.dirname(os.path.abspath(__file__))
    checkout = os.path.dirname(here)
    # Elsewhere the package's neighbours are other packages, and a folder called samples may be anybody's.
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
    raise FacialEmotionError('expected %s among the installed files of %s, but it is in none of: %s; install the '
                             'package again' % (os.path.join(*parts), PACKAGE, ', '.join(candidates)))


def expect_file(path: str, argument: str):
    """
    Refuse a path that is no file: launch_ros would leave a missing parameter file away and start on the defaults.

    :param path: what was given.
    :param argument: the name of what it was given for.
    :raises FacialEmotionError: where there is no such file.
    """
    if not os.path.isfile(path):
        raise FacialEmotionError('%s: expected a file of parameters, got %r, which is none' % (argument, path))


def find_executable(name: str) -> str:
    """
    Find one of the package's installed executables.

    :param name: its name, such as 'emotion_node'.
    :returns: its absolute path, or '' where the package is not installed (a plain source checkout).
    """
    for prefix in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep):
        path = os.path.join(prefix, 'lib', PACKAGE, name)
        if prefix and os.access(path, os.X_OK):
            return path
    return ''
