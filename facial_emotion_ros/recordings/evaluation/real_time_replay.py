"""A recording played in real time through the node itself, over the middleware: ages and drops, as on the robot.

The player moves the stamps of the images from the time of recording to now: so each is as old as it was on the robot,
and `input.max_age_s` and the like act as there. Ages count from the moment when the player published an image, so the
camera's own delay is not in them.
"""

import os
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadBag, FacialEmotionError
from facial_emotion_ros.evaluation.node_run import PATIENCE_S, NodeRun, read_rows
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, IMAGE

#: No detections for so long after the last image: the last ones have come.
QUIET_S = 2.0

#: Transport of an image topic, and the topic on which the node takes it.
_TRANSPORTS = {IMAGE: ('raw', '/image'), COMPRESSED_IMAGE: ('compressed', '/image/compressed')}


def measure_live(
    bag_path: str,
    camera_topic: str,
    parameters: dict[str, Any] | None = None,
    patience_s: float = PATIENCE_S,
    quiet_s: float = QUIET_S,
) -> dict[str, Any]:
    """Play the images of one camera through emotion_node at the speed of the recording.

    :param bag_path: of the recording.
    :param camera_topic: of the images in it, raw or compressed.
    :param parameters: of the node, where they differ from its defaults.
    :param patience_s: how long the node may take until it is ready.
    :param quiet_s: how long after the last detections the measurement ends; longer than the slowest image takes.
    :returns: topic; transport; frames, number of images played; answered; dropped, those without detections;
        with_faces, those with a face; seconds, from the first image to the last; fps, answered images a second;
        age_p50_ms, age_p99_ms, age_max_ms, from publishing an image to receiving its detections; player_late_ms, how
        late the player was at worst; cpu_ms, processor time of the node for each; cpu_share, of one core; memory_mb.
    :raises BadBag: if the recording cannot be read, or has no such camera.
    :raises FacialEmotionError: if it cannot be played, the node ends before its time or answers nothing, with the last
        lines of its log.
    """
    with BagFile(bag_path) as bag:
        known = bag.topics.get(camera_topic)
        if known is None or known.msgtype not in _TRANSPORTS:
            cameras = ', '.join(bag.cameras()) or 'none'
            raise BadBag(f'{bag.name}: expected a camera, got {camera_topic!r}; it has {cameras}')
    transport, node_topic = _TRANSPORTS[known.msgtype]
    with NodeRun() as run:
        played_csv, answers_csv = run.folder / 'played.csv', run.folder / 'answers.csv'
        run.start_node({**(parameters or {}), 'input.transport': transport})
        run.start_watch(answers_csv, node_topic, quiet_s)
        words = ['--topics', camera_topic, '--remap', f'{camera_topic}:={node_topic}']
        words += ['--stamp-now', '--ledger', str(played_csv), '--wait-for', '1', '--patience', str(patience_s)]
        run.start('player', 'recordings.bag_player', os.path.abspath(bag_path), *words)
        cpu_s, memory_mb = run.follow(played_csv, quiet_s)
        played, answers = read_rows(played_csv), read_rows(answers_csv)
        if not answers:
            raise FacialEmotionError(f'none of {len(played)} images was answered.{run.last_lines("emotion_node")}')
    return _record(played, answers, cpu_s, {'topic': camera_topic, 'transport': transport}, memory_mb)


def _record(played, answers, cpu_s, known, memory_mb):
    """Combine what was played and what was received."""
    published_ns = {row['stamp_ns']: row['published_ns'] for row in played}
    arrived_ns: dict[int, int] = {}
    for row in answers:
        arrived_ns.setdefault(row['stamp_ns'], row['arrived_ns'])
    answered = [stamp for stamp in published_ns if stamp in arrived_ns]
    ages_ms = np.array([(arrived_ns[stamp] - published_ns[stamp]) / 1e6 for stamp in answered])
    sent = np.array([row['published_ns'] for row in played])
    received = np.array([row['receive_ns'] for row in played])
    seconds = float(sent[-1] - sent[0]) / 1e9
    return dict(
        known,
        frames=len(played),
        answered=len(answered),
        dropped=len(played) - len(answered),
        with_faces=sum(1 for row in answers if row['faces']),
        seconds=seconds,
        fps=len(answered) / seconds if seconds else 0.0,
        age_p50_ms=float(np.percentile(ages_ms, 50)),
        age_p99_ms=float(np.percentile(ages_ms, 99)),
        age_max_ms=float(ages_ms.max()),
        player_late_ms=float(((sent - sent[0]) - (received - received[0])).max()) / 1e6,
        cpu_ms=1e3 * cpu_s / len(answered),
        cpu_share=cpu_s / seconds if seconds else 0.0,
        memory_mb=memory_mb,
    )
