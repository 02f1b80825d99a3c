"""Check the environment of a process with a ROS node, before ROS fails with a traceback."""

import os
import resource
import tempfile
from typing import Mapping, Sequence, Tuple

from facial_emotion_ros.core.errors import FacialEmotionError

#: Minimum for the limit of open files. emotion_node has about 25 open, and more while it starts.
LEAST_OPEN_FILES = 64

#: With this argument ROS writes no log file.
_WITHOUT_LOG_FILE = '--disable-external-lib-logs'


def check_startup(arguments: Sequence[str] = ()) -> None:
    """Run all checks.

    :param arguments: the command line for ROS.
    :raises FacialEmotionError: with the cause and what to do.
    """
    check_open_files()
    if _WITHOUT_LOG_FILE not in arguments:
        _check_log_folder(*_log_folder(os.environ))


def check_open_files() -> None:
    """Check the limit of open files.

    :raises FacialEmotionError: if it is too low.
    """
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if limit != resource.RLIM_INFINITY and limit < LEAST_OPEN_FILES:
        raise FacialEmotionError(
            'expected a limit of at least %d open files, got %d; raise it, for example by '
            '`ulimit -n 1024`' % (LEAST_OPEN_FILES, limit)
        )


def _log_folder(environ: Mapping[str, str]) -> Tuple[str, str]:
    """Return the folder of ROS's log ('' for none), and the variable that names it.

    Source: rcl_logging_interface, rcl_logging_get_logging_directory.
    """
    for variable, below in (('ROS_LOG_DIR', ()), ('ROS_HOME', ('log',)), ('HOME', ('.ros', 'log'))):
        if environ.get(variable):
            return os.path.join(os.path.expanduser(environ[variable]), *below), variable
    return '', ''


def _check_log_folder(path: str, variable: str) -> None:
    if not path:
        raise FacialEmotionError(
            'expected a folder for the log of ROS, but HOME is not set; set HOME, or set '
            'ROS_LOG_DIR to a writable folder'
        )
    try:
        os.makedirs(path, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise FacialEmotionError(
            'expected a writable folder for the log of ROS, but %s (from %s) is not: '
            '%s; make it writable, or set ROS_LOG_DIR to another folder' % (path, variable, error.strerror)
        ) from None
