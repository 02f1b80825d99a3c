"""Report errors of commands as one line on stderr and an exit code, without traceback."""

import argparse
import functools
import sys
from typing import Callable  # noqa: UP035, seal_bundle runs on Python 3.6

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.core.files import file_advice
from facial_emotion_ros.core.text import CAMERA_ENDS, public_file, public_text, show

#: Extra of setup.py to install, by command, or by package if several commands use it; otherwise 'train'.
_OF_COMMANDS = {'adapt': 'adapt', 'evaluate_recording': 'recordings', 'make_sample_bag': 'recordings'}
_OF_PACKAGES = {
    **dict.fromkeys(('av', 'imageio_ffmpeg', 'mcap', 'pyarrow', 'rosbags'), 'recordings'),
    **dict.fromkeys(('fsspec', 'ray'), 'fleet'),
    'anny': 'synthetic',
    'openvino': 'openvino',
}


class UrlParser(argparse.ArgumentParser):
    """An argument parser that hides secrets in URLs and camera addresses in its errors."""

    def parse_known_args(self, args=None, namespace=None):
        """Parse, and store the arguments, which errors may quote."""
        self._given = sys.argv[1:] if args is None else list(args)
        return super().parse_known_args(self._given, namespace)

    def error(self, message):
        """Print the usage and the error, and exit with 2."""
        for each in self._given:
            message = message.replace(each, public_file(each, CAMERA_ENDS))
        super().error(public_text(message))


def how_to_install(command: str, module: str) -> str:
    """Return how to install a missing module.

    :param command: command that needs it.
    :param module: name of the module.
    """
    package = module.partition('.')[0]
    if package.endswith('_msgs') or package.startswith(('rcl', 'ament', 'launch', 'ros2', 'rosidl')):
        return 'source the setup.bash of ROS 2'
    extra = _OF_PACKAGES.get(package) or _OF_COMMANDS.get(command, 'train')
    return "pip install '.[%s]' in the sources of this package, or scripts/setup --tests there" % extra


def report_errors(command: str, needs: str) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return a decorator for a command's main that prints errors the user can fix, instead of a traceback.

    :param command: name of the command, printed first.
    :param needs: packages that the command needs, such as 'training needs torch'.
    :returns: decorator of main(argv=None); it returns the exit code: 2 for a BadParameter, 1 for other errors.
    """

    def decorated(main):
        @functools.wraps(main)
        def reported(argv=None):
            try:
                return main(argv)
            except ImportError as error:
                show(f'{command}: {error}; {needs}: {how_to_install(command, error.name or "")}', file=sys.stderr)
            except (FacialEmotionError, OSError, MemoryError, RuntimeError) as error:
                text, is_ours = str(error), isinstance(error, FacialEmotionError)
                no_thread = isinstance(error, RuntimeError) and "can't start new thread" in text and not is_ours
                if no_thread or isinstance(error, (MemoryError, BlockingIOError)):
                    text = (
                        f'the system refuses more memory, processes or threads ({type(error).__name__}: {text}); end '
                        'other programs, or raise the limits on processes and memory (ulimit -u, -v)'
                    )
                elif isinstance(error, RuntimeError) and not is_ours:
                    raise
                elif isinstance(error, OSError) and file_advice(error) and not is_ours:
                    text = f'{text}; {file_advice(error)}'
                show(f'{command}: {text}', file=sys.stderr)
                return 2 if isinstance(error, BadParameter) else 1
            return 1

        return reported

    return decorated
