"""How a command ends for bad input: one line on stderr and exit code 1, no traceback."""

import functools
import sys

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.plain_text import show


def tells_errors(command, needs):
    """Have a command's main tell errors that its user can mend, in place of raising them.

    :param command: name that the line begins with.
    :param needs: what a package that is missing is for: 'reading sets of faces needs torch'.
    :returns: decorator of a main(argv=None) that returns the exit code; packages are imported inside it.
    """
    def decorated(main):
        @functools.wraps(main)
        def told(argv=None):
            try:
                return main(argv)
            except ImportError as error:
                show(f'{command}: {error}; {needs}: scripts/setup --tests', file=sys.stderr)
            except (FacialEmotionError, OSError) as error:
                show(f'{command}: {error}', file=sys.stderr)
            return 1
        return told
    return decorated
