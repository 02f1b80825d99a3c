"""Store the state of ~/enable in a file, so that a disabled node is still disabled after a restart. No ROS."""

import os
from typing import Mapping

from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.core.resources import PACKAGE

_CONTENTS = {b'on\n': True, b'off\n': False}


class EnableState:
    """The state file of one node."""

    def __init__(self, node_name: str, environ: Mapping[str, str] = os.environ):
        """Set the path: <ROS_HOME>/facial_emotion_ros/enable/<node name with dots for slashes>.

        :param node_name: fully qualified.
        :param environ: has ROS_HOME, else ~/.ros is used.
        """
        home = os.path.expanduser(environ.get('ROS_HOME') or os.path.join('~', '.ros'))
        self.path = os.path.join(home, PACKAGE, 'enable', node_name.strip('/').replace('/', '.'))

    def restore(self) -> bool:
        """Return whether the node was enabled when it ended; True at its first start.

        The file is written again, to detect now whether it can be.

        :raises OSError: if it cannot be read or written; the last state is unknown then.
        :raises ValueError: if it is damaged.
        """
        try:
            with open(self.path, 'rb') as stream:
                content = stream.read(16)
        except FileNotFoundError:
            content = b'on\n'
        if content not in _CONTENTS:
            raise ValueError("expected 'on' or 'off' in %s, got %r" % (self.path, content))
        self.store(_CONTENTS[content])
        return _CONTENTS[content]

    def store(self, enabled: bool) -> None:
        """Write the file.

        :raises OSError: if that fails. If the disk is full, a disabled node still starts disabled.
        """
        # Without a home folder, '~' is not expanded, and the file would be in the working directory.
        if not os.path.isabs(self.path):
            raise OSError('neither ROS_HOME nor the home folder is an absolute path: %s' % self.path)
        try:
            write_atomic(self.path, b'on\n' if enabled else b'off\n')
        except OSError:
            if not enabled and os.path.exists(self.path):
                os.truncate(self.path, 0)  # needs no space; an empty file counts as damaged
            raise
