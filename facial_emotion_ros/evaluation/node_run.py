"""Runs emotion_node, a player and a logger in their own processes and ROS domain."""

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

#: Maximum time in seconds for the node to load models and build engines.
PATIENCE_S = 120.0

#: Interval of checks on the processes, and time to wait for one that should end, in seconds.
_POLL_S, _GRACE_S = 0.02, 10.0


class NodeRun:
    """Processes that are stopped at the end of a with block.

    >>> with NodeRun() as run:
    ...     run.start_node({'input.transport': 'raw'})

    folder: logs and temporary files; environ: environment of the processes; processes: ProcessGroup.
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

        :param parameters: parameters that differ from the defaults.
        """
        overrides = self.folder / 'node.yaml'
        overrides.write_text(json.dumps({'/**': {'ros__parameters': parameters}}), encoding='utf-8')
        files = (find_shared('config', 'emotion_node.yaml'), str(overrides))
        self.start(
            'emotion_node', 'emotion_node', '--ros-args', *(w for path in files for w in ('--params-file', path))
        )

    def start(self, name: str, module: str, *arguments: str) -> None:
        """Start a process.

        :param name: name of the process.
        :param module: module in facial_emotion_ros.ros.
        :param arguments: command line.
        """
        command = [sys.executable, '-m', f'facial_emotion_ros.ros.{module}', *arguments]
        self.processes.add(Child(name, command, self.environ, str(self.folder / f'{name}.log')))

    def start_watch(self, answers: Path, camera: str, quiet_s: float) -> None:
        """Start the detection logger as process `watch`, which ends after the camera.

        :param answers: CSV file to write.
        :param camera: image topic.
        :param quiet_s: seconds after the last image and result until it ends.
        """
        words = ['--output', str(answers), '--camera', camera, '--quiet', str(quiet_s)]
        self.start('watch', 'detection_logger', *words)

    def follow(self, sign: Path, quiet_s: float, warm_up_s: float = 0.0) -> tuple[float, float]:
        """Wait until `player` has ended, and `watch` has the last results.

        :param sign: file that is not empty once the player publishes.
        :param quiet_s: see :meth:`start_watch`.
        :param warm_up_s: seconds after that in which CPU time is not counted.
        :returns: CPU time of the node in seconds until the player's end, and its memory in MiB at the end.
        :raises FacialEmotionError: if node or watch end early, or the player fails, with the last lines of their logs.
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
        """Return the last lines of a process's log, to append to an error message."""
        return '\n'.join([f' The last lines of {name}:', *self.processes[name].last_lines()])


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Read the detection logger's CSV: integers, and the text column `topic`; [] without a file."""
    if not path.exists():
        return []
    with open(path, newline='', encoding='ascii') as file:
        rows = list(csv.DictReader(file))
    return [{key: value if key == 'topic' else int(value) for key, value in row.items()} for row in rows]
