"""Benchmarks the whole node on image streams, with camera and subscriber in their own processes."""

from typing import Any, NamedTuple

import numpy as np

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.evaluation.node_run import PATIENCE_S, NodeRun, read_rows

#: Warm-up in seconds, not measured: models get fast, and the faces' tracks begin.
WARM_UP_S = 3.0

#: The measurement ends this many seconds after the last image and result.
_QUIET_S = 1.0


class Stream(NamedTuple):
    """Stream of a simulated camera, and duration of the measurement."""

    width: int = 640
    height: int = 480
    transport: str = 'raw'
    faces: int = 1
    rate_hz: float = 30.0
    seconds: float = 20.0


#: Streams of the table in docs/performance.md: cost by image size, transport and number of faces.
STREAMS = (
    *(Stream(*size, transport) for size in ((640, 480), (1920, 1080)) for transport in ('raw', 'compressed')),
    *(Stream(faces=faces) for faces in (2, 4, 8)),
)


def measure_stream(
    stream: Stream, parameters: dict[str, Any] | None = None, patience_s: float = PATIENCE_S
) -> dict[str, Any]:
    """Run the node on a stream.

    :param stream: Stream.
    :param parameters: node parameters that differ from the defaults.
    :param patience_s: maximum time until the first detections.
    :returns: record: the stream's fields; camera_fps; fps (results per second); dropped (images without a result) of
        `of` images; age_p50_ms, age_p99_ms, age_max_ms; faces_seen (median); cpu_ms (CPU time of the node per result);
        cpu_share (of one core); memory_mb.
    :raises FacialEmotionError: if a process ends early or no detections come, with the last lines of its log.
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
            raise FacialEmotionError(f'received no detections.{run.last_lines("emotion_node")}')
        return _record(stream, rows, cpu_s, memory_mb)


def _record(stream, rows, cpu_s, memory_mb):
    ages_ms = np.array([row['arrived_ns'] - row['stamp_ns'] for row in rows]) / 1e6
    answers = len(ages_ms)
    # Number of camera images between the first and the last one with a result.
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
    """Format a record as one line."""
    return (
        f'{record["width"]}x{record["height"]} {record["transport"]}, {record["faces"]} faces '
        f'({record["faces_seen"]:g} seen): {record["fps"]:.1f} results/s from {record["camera_fps"]:g} images/s, '
        f'{record["dropped"]} of {record["of"]} dropped, age p50 {record["age_p50_ms"]:.0f}, p99 '
        f'{record["age_p99_ms"]:.0f} ms, {record["cpu_ms"]:.1f} ms CPU per result, '
        f'{100 * record["cpu_share"]:.0f}% of a core, {record["memory_mb"]:.0f} MiB'
    )
