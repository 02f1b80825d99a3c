"""emotion_node and its partners in processes of their own, as on a robot, in a ROS domain of their own."""

import csv
import json
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.demo.processes import node_environment
from facial_emotion_ros.system.memory import processor_s, resident_mb
from facial_emotion_ros.system.subprocesses import Child, ProcessGroup, describe_exit, take_free_domain

#: Time for the node to get ready: it loads models, and builds engines.
PATIENCE_S = 120.0

#: How often the processes are checked, and how long one that should have ended is waited for.
_POLL_S, _GRACE_S = 0.02, 10.0


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

    def start_watch(self, answers: Path, camera: str, quiet_s: float) -> None:
        """Start what notes the node's answers, as `watch`, until the camera has ended.

        :param answers: file of them.
        :param camera: topic of the images.
        :param quiet_s: how long after the last image and answer it ends.
        """
        words = ['--output', str(answers), '--camera', camera, '--quiet', str(quiet_s)]
        self.start('watch', 'detection_logger', *words)

    def follow(self, sign: Path, quiet_s: float, warm_up_s: float = 0.0) -> tuple[float, float]:
        """Wait until `player` has ended, and `watch` has the last answers.

        :param sign: file that is not empty once the player publishes.
        :param quiet_s: of :meth:`start_watch`.
        :param warm_up_s: time from then on in which processor time does not count.
        :returns: processor time of the node until the player's end in seconds, and its MiB at the very end.
        :raises FacialEmotionError: if node or watch end before, or the player fails, with the last lines of their logs.
        """
        node, player, watch = (self.processes[name] for name in ('emotion_node', 'player', 'watch'))
        before_s = 0.0
        while player.exit_code is None and not (sign.exists() and sign.stat().st_size):
            before_s = processor_s(node.pid)
            self.expect('emotion_node', 'watch')
            time.sleep(_POLL_S)
        if warm_up_s and player.exit_code is None:
            self.processes.wait_for_any(('emotion_node', 'watch', 'player'), warm_up_s)
            self.expect('emotion_node')
            before_s = processor_s(node.pid)
        while self.processes.wait_for_any(('player', 'emotion_node'), 1.0) is None:
            self.expect('watch')
        self.expect('emotion_node')
        took_s = processor_s(node.pid) - before_s
        if player.exit_code:
            raise FacialEmotionError(f'{player.last_lines(1)[0]}.{self.last_lines("emotion_node")}')
        if self.processes.wait_for_any(('watch', 'emotion_node'), quiet_s + _GRACE_S) is None:
            watch.signal(signal.SIGINT)
            watch.wait(_GRACE_S)
        self.expect('emotion_node')
        return took_s, resident_mb(node.pid)

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


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read a table of whole numbers, and of topics; [] where there is none."""
    if not path.exists():
        return []
    with open(path, newline='', encoding='ascii') as file:
        rows = list(csv.DictReader(file))
    return [{key: value if key == 'topic' else int(value) for key, value in row.items()} for row in rows]
