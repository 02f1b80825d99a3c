"""Keeps what ~/enable was last set to in a file, so that a node that was switched off starts switched off. No ROS."""

import os
from typing import Mapping

from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.core.resources import PACKAGE

_CONTENTS = {b'on\n': True, b'off\n': False}


class EnableState:
    """The state file of one node."""

    def __init__(self, node_name: str, environ: Mapping[str, str] = os.environ):
        """Name the file: <ROS_HOME>/facial_emotion_ros/enable/<node name with dots for slashes>.

        :param node_name: fully qualified.
        :param environ: ROS_HOME is read from it; without one, it is ~/.ros.
        """
        home = os.path.expanduser(environ.get('ROS_HOME') or os.path.join('~', '.ros'))
        self.path = os.path.join(home, PACKAGE, 'enable', node_name.strip('/').replace('/', '.'))

    def restore(self) -> bool:
        """Return whether the node was enabled when it ended; True at its first start.

        The file is written anew, so that a place that cannot be written shows now.

        :raises OSError: if it cannot be read or written; what was set last is unknown then.
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

        :raises OSError: if that fails. On a full disk, the node then starts switched off all the same.
        """
        # Without a home folder, '~' stays as it is, and the file would be below the working directory.
        if not os.path.isabs(self.path):
            raise OSError('neither ROS_HOME nor the home folder is an absolute path: %s' % self.path)
        try:
            write_atomic(self.path, b'on\n' if enabled else b'off\n')
        except OSError:
            if not enabled and os.path.exists(self.path):
                os.truncate(self.path, 0)  # needs no room, and an empty file is a damaged one
            raise
