"""emotion_node and its partners in processes of their own, as on a robot, in a ROS domain of their own."""

import json
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.demo.processes import node_environment
from facial_emotion_ros.system.subprocesses import Child, ProcessGroup, describe_exit, take_free_domain

#: Time for the node to get ready: it loads models, and builds engines.
PATIENCE_S = 120.0


class NodeRun:
    """Processes that end with the block.

    >>> with NodeRun() as run:
    ...     run.start_node({'input.transport': 'raw'})

    folder: of logs and temporary files; environ: of the processes; processes: ProcessGroup.
    """

    def __enter__(self) -> 'NodeRun':
        """Choose a free ROS domain."""
        with ExitStack() as stack:
            domain, claim = take_free_domain()
            stack.enter_context(claim)
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='facial_emotion_ros_')))
            self.environ = node_environment(domain, self.folder)
            self.processes = ProcessGroup()
            stack.callback(self.processes.stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop all processes."""
        self._stack.close()

    def start_node(self, parameters: dict[str, Any]) -> None:
        """Start emotion_node.

        :param parameters: those that differ from the defaults.
        """
        overrides = self.folder / 'node.yaml'
        overrides.write_text(json.dumps({'/**': {'ros__parameters': parameters}}), encoding='utf-8')
        files = (find_shared('config', 'emotion_node.yaml'), str(overrides))
        self.start(
            'emotion_node', 'emotion_node', '--ros-args', *(w for path in files for w in ('--params-file', path))
        )

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start a process.

        :param name: of the process.
        :param module: below facial_emotion_ros.ros.
        :param arguments: of its command line.
        """
        command = [sys.executable, '-m', f'facial_emotion_ros.ros.{module}', *arguments]
        self.processes.add(Child(name, command, self.environ, str(self.folder / f'{name}.log')))

    def expect(self, *names: str) -> None:
        """Check that processes still run.

        :raises FacialEmotionError: if one has ended, with the last lines of its log.
        """
        for name in names:
            code = self.processes[name].exit_code
            if code is not None:
                raise FacialEmotionError(
                    f'{name} ended before its time ({describe_exit(code)}).{self.last_lines(name)}'
                )

    def last_lines(self, name: str) -> str:
        """Give the last lines of a process's log, to follow a sentence."""
        return '\n'.join([f' The last lines of {name}:', *self.processes[name].last_lines()])
