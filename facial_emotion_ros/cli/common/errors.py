"""Errors of commands: one line on stderr and an exit code, no traceback."""

import functools
import sys
from typing import Callable  # noqa: UP035, seal_bundle runs on the Pythons of robots

from facial_emotion_ros.core.errors import BadParameter, FacialEmotionError
from facial_emotion_ros.core.text import show


def report_errors(command: str, needs: str, usage: int = 1) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Make a decorator of a command's main that prints errors which the user can fix.

    :param command: name that the line begins with.
    :param needs: which packages are needed for what: 'reading sets of faces needs torch'.
    :param usage: exit code for a BadParameter; it is 1 for other errors.
    :returns: decorator of a main(argv=None) that returns the exit code; packages are imported inside it.
    """

    def decorated(main):
        @functools.wraps(main)
        def reported(argv=None):
            try:
                return main(argv)
            except ImportError as error:
                show(f'{command}: {error}; {needs}: scripts/setup --tests', file=sys.stderr)
            except (FacialEmotionError, OSError) as error:
                show(f'{command}: {error}', file=sys.stderr)
                return usage if isinstance(error, BadParameter) else 1
            return 1

        return reported

    return decorated
