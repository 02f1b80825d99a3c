"""Play a recording in real time through the node over DDS, and measure latency and dropped images.

The player shifts the images' stamps from the time of recording to now, so that each image is as old as it was on the
robot and parameters such as `input.max_age_s` have the same effect. Reported ages start when the player publishes an
image, so they do not include the camera's delay.
"""

import os
from typing import Any

import numpy as np

from facial_emotion_ros.core.errors import BadBag, FacialEmotionError
from facial_emotion_ros.evaluation.node_run import PATIENCE_S, NodeRun, read_rows
from facial_emotion_ros.recordings.io.bag_file import BagFile
from facial_emotion_ros.recordings.io.message_types import COMPRESSED_IMAGE, IMAGE

#: The measurement ends after this time without detections.
QUIET_S = 2.0

#: image_transport and the node's topic for each image type.
_TRANSPORTS = {IMAGE: ('raw', '/image'), COMPRESSED_IMAGE: ('compressed', '/image/compressed')}


def measure_live(
    bag_path: str,
    camera_topic: str,
    parameters: dict[str, Any] | None = None,
    patience_s: float = PATIENCE_S,
    quiet_s: float = QUIET_S,
) -> dict[str, Any]:
    """Play the images of one camera through emotion_node in real time.

    :param bag_path: path of the recording.
    :param camera_topic: image topic, raw or compressed.
    :param parameters: parameters of the node other than its defaults.
    :param patience_s: timeout for the node to become ready.
    :param quiet_s: the measurement ends this long after the last detections; longer than the slowest image takes.
    :returns: topic; transport; frames, number of images played; answered; dropped, images without detections message;
        with_faces, images with a face; seconds, from first to last image; fps, answered images per second; age_p50_ms,
        age_p99_ms, age_max_ms, from publishing an image to receiving its detections; player_late_ms, the player's
        largest delay; cpu_ms, CPU time of the node per image; cpu_share, of one core; memory_mb.
    :raises BadBag: if the recording cannot be read, or lacks the camera.
    :raises FacialEmotionError: if playing fails, or the node exits early or answers nothing; with the end of its log.
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
    """Combine the logs of played images and received detections."""
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
