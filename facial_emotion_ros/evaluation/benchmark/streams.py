"""The whole node at work: camera, node and subscriber in processes of their own, as on a robot."""

from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.evaluation.node_run import PATIENCE_S, NodeRun, read_rows

#: Before figures count: models are warm by then, and the track of each face has begun.
WARM_UP_S = 3.0

#: How long after the last image and answer the measurement ends.
_QUIET_S = 1.0


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
    topic = '/image/compressed' if stream.transport == 'compressed' else '/image'
    with NodeRun() as run:
        answers, begun = run.folder / 'answers.csv', run.folder / 'begun'
        run.start_node({**(parameters or {}), 'input.transport': stream.transport})
        run.start_watch(answers, topic, _QUIET_S)
        words = ['--width', stream.width, '--height', stream.height, '--faces', stream.faces, '--rate', stream.rate_hz]
        words += ['--transport', stream.transport, '--seconds', WARM_UP_S + stream.seconds, '--patience', patience_s]
        run.start('player', 'benchmark_streams', *map(str, words), '--begun', str(begun))
        cpu_s, memory_mb = run.follow(begun, _QUIET_S, WARM_UP_S)
        from_ns = int(begun.read_text()) + int(1e9 * WARM_UP_S)
        rows = [row for row in read_rows(answers) if row['stamp_ns'] >= from_ns]
        if not rows:
            raise FacialEmotionError(f'no detections came.{run.last_lines("emotion_node")}')
        return _record(stream, rows, cpu_s, memory_mb)


def _record(stream, rows, cpu_s, memory_mb):
    ages_ms = np.array([row['arrived_ns'] - row['stamp_ns'] for row in rows]) / 1e6
    answers = len(ages_ms)
    # What the camera took between the first and the last image that was answered.
    taken = int(round((rows[-1]['stamp_ns'] - rows[0]['stamp_ns']) / 1e9 * stream.rate_hz)) + 1
    return dict(
        stream._asdict(),
        camera_fps=stream.rate_hz,
        fps=answers / stream.seconds,
        dropped=max(0, taken - answers),
        of=taken,
        age_p50_ms=float(np.percentile(ages_ms, 50)),
        age_p99_ms=float(np.percentile(ages_ms, 99)),
        age_max_ms=float(ages_ms.max()),
        faces_seen=float(np.median([row['faces'] for row in rows])),
        cpu_ms=1e3 * cpu_s / answers,
        cpu_share=cpu_s / stream.seconds,
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
