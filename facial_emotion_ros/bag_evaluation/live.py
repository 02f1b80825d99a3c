"""A recording played in real time through the node itself, over the middleware: ages and drops, as on the robot.

The player moves the stamps of the images from the time of recording to now: so each is as old as it was on the robot,
and the node does with it what it does there, where `input.max_age_s` and the like act. What is told of ages counts from
the moment when an image was published, by the player's ledger; so the camera's own delay is not in them.
"""

import csv
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from facial_emotion_ros.bags.bag_file import BagFile
from facial_emotion_ros.bags.message_types import COMPRESSED_IMAGE, IMAGE
from facial_emotion_ros.demo_graph import transport_environment
from facial_emotion_ros.errors import BadBag, FacialEmotionError
from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.process_memory import processor_s, resident_mb
from facial_emotion_ros.supervision import Child, Family, describe_exit, private_environment, take_free_domain

#: How long the node may take to be ready: models are loaded meanwhile, and engines built.
PATIENCE_S = 120.0

#: No answer for so long after the last image means that the last one has come.
QUIET_S = 2.0

#: How often the processes are looked at, and how long one that should have ended is waited for.
_LOOK_S, _GRACE_S = 0.02, 10.0

_COMPRESSED = '/compressed'


def measure_live(bag_path, camera_topic, parameters=None, start_s=0.0, patience_s=PATIENCE_S, quiet_s=QUIET_S):
    """Play the images of one camera through emotion_node at the speed of the recording.

    :param bag_path: of the recording.
    :param camera_topic: of the images in it, raw or compressed.
    :param parameters: dict of the node's parameters that differ from their defaults.
    :param start_s: seconds that are left out at the beginning.
    :param patience_s: how long the node may take until it is ready.
    :param quiet_s: how long after the last answer the measurement ends; longer than the slowest image takes.
    :returns: record (dict): topic; transport; frames, images that were played; answered; dropped, those without an
        answer; with_faces, answers that tell of a face; seconds, from the first image to the last; fps, answers a
        second of these; age_p50_ms, age_p99_ms, age_max_ms, from publishing an image to having its answer;
        player_late_ms, how late the player was at worst; cpu_ms, processor time of the node for an answer; cpu_share,
        of one core; memory_mb.
    :raises BadBag: if the recording cannot be read, or has no such camera.
    :raises FacialEmotionError: if it cannot be played, the node ends before its time or nothing is answered, with the
        last lines of the node.
    """
    with BagFile(bag_path) as bag:
        transport = _transport_of(bag, camera_topic)
    domain, claim = take_free_domain()
    with claim, tempfile.TemporaryDirectory(prefix='facial_emotion_ros_') as folder:
        environ = private_environment(os.environ, domain)
        environ.update(transport_environment(environ), ROS_LOG_DIR=folder, RCUTILS_COLORIZED_OUTPUT='0',
                       PYTHONUNBUFFERED='1')
        checkout = str(Path(__file__).resolve().parents[2])
        environ['PYTHONPATH'] = os.pathsep.join(filter(None, (checkout, environ.get('PYTHONPATH'))))
        run = _Run(Path(folder), environ, patience_s, quiet_s)
        try:
            run.start_node(dict(parameters or {}, **{'input.transport': transport}))
            run.start_watch(transport)
            run.start_player(bag_path, camera_topic, transport, start_s)
            cpu_s, memory_mb = run.follow()
            played, answers = run.read('played.csv'), run.read('answers.csv')
        finally:
            run.family.stop()
        if not answers:
            raise FacialEmotionError(f'none of {len(played)} images was answered.{run.told("emotion_node")}')
    return _record(played, answers, cpu_s, dict(topic=camera_topic, transport=transport), memory_mb)


def _transport_of(bag, topic):
    """Say how the images are sent, and refuse a topic that is none of the cameras."""
    known = bag.topics.get(topic)
    kinds = {IMAGE: 'raw', COMPRESSED_IMAGE: 'compressed'}
    if known is None or known.msgtype not in kinds:
        raise BadBag(f'{bag.name}: expected a camera, got {topic!r}; it has {", ".join(bag.cameras()) or "none"}')
    return kinds[known.msgtype]


class _Run:
    """The three processes of one measurement."""

    def __init__(self, folder, environ, patience_s, quiet_s):
        self.family = Family()
        self._folder, self._environ, self._patience_s, self._quiet_s = folder, environ, patience_s, quiet_s

    def start_node(self, parameters):
        """Start the node that is measured."""
        overrides = self._folder / 'node.yaml'
        overrides.write_text(json.dumps({'/**': {'ros__parameters': parameters}}), encoding='utf-8')
        self._start('emotion_node', 'emotion_node', '--ros-args', '--params-file',
                    find_shared('config', 'emotion_node.yaml'), '--params-file', str(overrides))

    def start_watch(self, transport):
        """Start who listens to the answers."""
        self._start('watch', 'answer_watch', '--output', str(self._folder / 'answers.csv'), '--camera',
                    _node_topic(transport), '--quiet', str(self._quiet_s))

    def start_player(self, bag_path, topic, transport, start_s):
        """Start the player; it waits for the node."""
        self._start('player', 'bag_player', os.path.abspath(bag_path), '--topics', topic, '--start', str(start_s),
                    '--stamp-now', '--ledger', str(self._folder / 'played.csv'), '--wait-for', '1', '--patience',
                    str(self._patience_s), '--remap', f'{topic}:={_node_topic(transport)}')

    def follow(self):
        """Watch until the last answer has come.

        :returns: seconds of processor that the node had from the first image on, and its MiB at the end.
        """
        node, player, watch = (self.family[name] for name in ('emotion_node', 'player', 'watch'))
        ledger, before_s = self._folder / 'played.csv', 0.0
        while player.exit_code is None and not (ledger.exists() and ledger.stat().st_size):
            before_s = processor_s(node.pid)
            self._expect('emotion_node', 'watch')
            time.sleep(_LOOK_S)
        while self.family.wait_for_any(('player', 'emotion_node'), 1.0) is None:
            self._expect('watch')
        self._expect('emotion_node')
        if player.exit_code:
            raise FacialEmotionError(f'{player.last_lines(1)[0]}.{self.told("emotion_node")}')
        if self.family.wait_for_any(('watch', 'emotion_node'), self._quiet_s + _GRACE_S) is None:
            watch.tell(signal.SIGINT)
            watch.wait(_GRACE_S)
        self._expect('emotion_node')
        return processor_s(node.pid) - before_s, resident_mb(node.pid)

    def read(self, name):
        """Read a table that one of the processes has written; [] where there is none."""
        path = self._folder / name
        if not path.exists():
            return []
        with open(path, newline='', encoding='ascii') as file:
            return [{key: value if key == 'topic' else int(value) for key, value in row.items()}
                    for row in csv.DictReader(file)]

    def told(self, name):
        """Return the last lines of a process, for the end of a sentence."""
        return '\n'.join([f' The last lines of {name}:', *self.family[name].last_lines()])

    def _start(self, name, module, *words):
        self.family.add(Child(name, [sys.executable, '-m', f'facial_emotion_ros.ros.{module}', *words], self._environ,
                              str(self._folder / f'{name}.log')))

    def _expect(self, *names):
        """Raise where a process has ended that should not have."""
        for name in names:
            code = self.family[name].exit_code
            if code is not None:
                raise FacialEmotionError(f'{name} ended before its time ({describe_exit(code)}).{self.told(name)}')


def _node_topic(transport):
    return '/image' + _COMPRESSED if transport == 'compressed' else '/image'


def _record(played, answers, cpu_s, known, memory_mb):
    """Bring together what was played and what was answered."""
    published_ns = {row['stamp_ns']: row['published_ns'] for row in played}
    arrived_ns = {}
    for row in answers:
        arrived_ns.setdefault(row['stamp_ns'], row['arrived_ns'])
    answered = [stamp for stamp in published_ns if stamp in arrived_ns]
    ages_ms = np.array([(arrived_ns[stamp] - published_ns[stamp]) / 1e6 for stamp in answered])
    sent = np.array([row['published_ns'] for row in played])
    received = np.array([row['receive_ns'] for row in played])
    seconds = float(sent[-1] - sent[0]) / 1e9
    return dict(
        known, frames=len(played), answered=len(answered), dropped=len(played) - len(answered),
        with_faces=sum(1 for row in answers if row['faces']), seconds=seconds,
        fps=len(answered) / seconds if seconds else 0.0, age_p50_ms=float(np.percentile(ages_ms, 50)),
        age_p99_ms=float(np.percentile(ages_ms, 99)), age_max_ms=float(ages_ms.max()),
        player_late_ms=float(((sent - sent[0]) - (received - received[0])).max()) / 1e6,
        cpu_ms=1e3 * cpu_s / len(answered), cpu_share=cpu_s / seconds if seconds else 0.0, memory_mb=memory_mb)
