"""The whole node at work: camera, node and subscriber in processes of their own, as on a robot."""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.evaluation.node_run import PATIENCE_S, NodeRun
from facial_emotion_ros.system.memory import processor_s, resident_mb

#: Before figures count: models are warm by then, and the track of each face has begun.
WARM_UP_S = 3.0

_STREAMS = 'benchmark_streams'


class Stream(NamedTuple):
    """What a camera shows, and for how long it is measured."""

    width: int = 640
    height: int = 480
    transport: str = 'raw'
    faces: int = 1
    rate_hz: float = 30.0
    seconds: float = 20.0


#: Those of the published table: how cost grows with size, transport and faces.
STREAMS = (
    *(Stream(*size, transport) for size in ((640, 480), (1920, 1080)) for transport in ('raw', 'compressed')),
    *(Stream(faces=faces) for faces in (2, 4, 8)),
)


def measure_stream(
    stream: Stream, parameters: dict[str, Any] | None = None, patience_s: float = PATIENCE_S
) -> dict[str, Any]:
    """Run the node on a stream.

    :param stream: what the camera shows.
    :param parameters: of the node, where they differ from its defaults.
    :param patience_s: how long the first detections may take.
    :returns: record: the stream's fields; camera_fps; fps, answered images a second; dropped, images without
        detections, and of how many; age_p50_ms, age_p99_ms, age_max_ms; faces_seen, the median; cpu_ms, processor time
        of the node for each image, and cpu_share, of one core; memory_mb.
    :raises FacialEmotionError: if a process ends before its time or no detections come, with the last lines of its log.
    """
    with NodeRun() as run:
        run.start_node({**(parameters or {}), 'input.transport': stream.transport})
        words = ['--width', stream.width, '--height', stream.height, '--faces', stream.faces, '--rate', stream.rate_hz]
        words += ['--transport', stream.transport, '--seconds', 'inf']
        run.start('camera', _STREAMS, 'camera', *map(str, words))
        return _record(stream, *_read(stream, patience_s, run))


def _read(stream, patience_s, run):
    """Run the subscriber, and take the node's processor time when it begins and ends to count."""
    words = ['subscriber', '--seconds', stream.seconds, '--warm-up', WARM_UP_S, '--patience', patience_s]
    command = [sys.executable, '-m', f'facial_emotion_ros.ros.{_STREAMS}', *map(str, words)]
    node, marks_s = run.processes['emotion_node'], []
    with subprocess.Popen(command, env=run.environ, stdout=subprocess.PIPE, text=True) as subscriber:
        try:
            for line in subscriber.stdout or ():
                message = json.loads(line)
                if 'say' not in message:
                    break
                run.expect('emotion_node', 'camera')
                marks_s.append(processor_s(node.pid))
            else:
                raise FacialEmotionError('the subscriber of the benchmark ended before its time')
            if not message['ages_s']:
                lines = run.last_lines('emotion_node')
                raise FacialEmotionError(f'no detections came in {patience_s:.0f} s.{lines}')
            return message, marks_s[1] - marks_s[0], resident_mb(node.pid)
        finally:
            if subscriber.poll() is None:
                subscriber.terminate()


def _record(stream, found, cpu_s, memory_mb):
    ages_ms = 1e3 * np.array(found['ages_s'])
    answers = len(ages_ms)
    # What the camera took between the first and the last image that was answered.
    span_s = (found['stamps_ns'][-1] - found['stamps_ns'][0]) / 1e9
    taken = int(round(span_s * stream.rate_hz)) + 1
    return dict(
        stream._asdict(),
        camera_fps=stream.rate_hz,
        fps=answers / found['seconds'],
        dropped=max(0, taken - answers),
        of=taken,
        age_p50_ms=float(np.percentile(ages_ms, 50)),
        age_p99_ms=float(np.percentile(ages_ms, 99)),
        age_max_ms=float(ages_ms.max()),
        faces_seen=float(np.median(found['faces'])),
        cpu_ms=1e3 * cpu_s / answers,
        cpu_share=cpu_s / found['seconds'],
        memory_mb=memory_mb,
    )


def describe_stream(record: dict[str, Any]) -> str:
    """Describe a record in a line."""
    return (
        f'{record["width"]}x{record["height"]} {record["transport"]}, {record["faces"]} faces '
        f'({record["faces_seen"]:g} seen): {record["fps"]:.1f} answers a second of {record["camera_fps"]:g}, '
        f'{record["dropped"]} of {record["of"]} dropped, age p50 {record["age_p50_ms"]:.0f}, p99 '
        f'{record["age_p99_ms"]:.0f} ms, {record["cpu_ms"]:.1f} ms of processor an answer, '
        f'{100 * record["cpu_share"]:.0f}% of a core, {record["memory_mb"]:.0f} MiB'
    )
