"""The whole node at work: camera, node and reader in processes of their own, as on a robot."""

import json
import os
import subprocess
import sys
import tempfile
from typing import NamedTuple

import numpy as np

from facial_emotion_ros.demo_graph import transport_environment
from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.installed_files import find_shared
from facial_emotion_ros.process_memory import processor_s, resident_mb
from facial_emotion_ros.supervision import Child, Family, private_environment, take_free_domain

#: Before figures count: models are warm by then, and the track of each face has begun.
WARM_UP_S = 3.0

#: How long the first answer may take: models are loaded meanwhile, and engines built.
PATIENCE_S = 120.0

_STREAMS = 'facial_emotion_ros.ros.benchmark_streams'


class Stream(NamedTuple):
    """What a camera shows, and how long it is watched."""

    width: int = 640
    height: int = 480
    transport: str = 'raw'
    faces: int = 1
    rate_hz: float = 30.0
    seconds: float = 20.0


#: What the published table has: how cost grows with size, transport and faces.
STREAMS = tuple(Stream(width, height, transport, 1) for width, height in ((640, 480), (1920, 1080))
                for transport in ('raw', 'compressed')) + tuple(Stream(faces=faces) for faces in (2, 4, 8))


def measure_stream(stream, parameters=None, patience_s=PATIENCE_S):
    """Run the node on a stream.

    :param stream: Stream.
    :param parameters: dict of the node's parameters that differ from their defaults.
    :param patience_s: how long the first answer may take.
    :returns: record (dict): the stream's fields; camera_fps; fps, answers a second; dropped, images without an answer,
        and of how many; age_p50_ms, age_p99_ms, age_max_ms; faces_seen, the median; cpu_ms, processor time of the node
        for an answer, and cpu_share, of one core; memory_mb.
    :raises FacialEmotionError: if a process ends before its time or no answer comes, with the last lines of its log.
    """
    domain, claim = take_free_domain()
    try:
        with tempfile.TemporaryDirectory() as folder:
            environ = private_environment(os.environ, domain)
            environ.update(transport_environment(environ))
            return _run(stream, dict(parameters or {}), patience_s, environ, folder)
    finally:
        claim.close()


def _run(stream, parameters, patience_s, environ, folder):
    parameters['input.transport'] = stream.transport
    overrides = os.path.join(folder, 'node.yaml')
    with open(overrides, 'w', encoding='utf-8') as file:
        json.dump({'/**': {'ros__parameters': parameters}}, file)
    family = Family()
    try:
        family.add(Child('emotion_node', [
            sys.executable, '-m', 'facial_emotion_ros.ros.emotion_node', '--ros-args', '--params-file',
            find_shared('config', 'emotion_node.yaml'), '--params-file', overrides], environ,
            os.path.join(folder, 'emotion_node.log')))
        family.add(Child('camera', [
            sys.executable, '-m', _STREAMS, 'camera', '--width', str(stream.width), '--height', str(stream.height),
            '--faces', str(stream.faces), '--rate', str(stream.rate_hz), '--transport', stream.transport,
            '--seconds', 'inf'], environ, os.path.join(folder, 'camera.log')))
        found, cpu_s, memory_mb = _read(stream, patience_s, environ, family)
    finally:
        family.stop()
    return _record(stream, found, cpu_s, memory_mb)


def _read(stream, patience_s, environ, family):
    """Run the reader, and look at the node's processor time when it says so."""
    reader = subprocess.Popen([sys.executable, '-m', _STREAMS, 'reader', '--seconds', str(stream.seconds), '--warm-up',
                               str(WARM_UP_S), '--patience', str(patience_s)], env=environ, stdout=subprocess.PIPE,
                              text=True)
    marks = []
    try:
        for line in reader.stdout:
            said = json.loads(line)
            if 'say' not in said:
                break
            for name in ('emotion_node', 'camera'):
                if family[name].exit_code is not None:
                    lines = '\n'.join(family[name].last_lines())
                    raise FacialEmotionError(f'{name} ended before its time. Its last lines:\n{lines}')
            marks.append(processor_s(family['emotion_node'].pid))
        else:
            raise FacialEmotionError('the reader of the benchmark ended before its time')
        if not said['ages_s']:
            lines = '\n'.join(family['emotion_node'].last_lines())
            raise FacialEmotionError(f'no answer came in {patience_s:.0f} s. The last lines of emotion_node:\n{lines}')
        return said, marks[1] - marks[0], resident_mb(family['emotion_node'].pid)
    finally:
        reader.stdout.close()
        if reader.poll() is None:
            reader.terminate()
        reader.wait()


def _record(stream, found, cpu_s, memory_mb):
    ages_ms = 1e3 * np.array(found['ages_s'])
    answers = len(ages_ms)
    record = dict(stream._asdict(), camera_fps=stream.rate_hz, fps=answers / found['seconds'])
    # What the camera took between the first and the last image that was answered.
    span_s = (found['stamps_ns'][-1] - found['stamps_ns'][0]) / 1e9
    taken = int(round(span_s * stream.rate_hz)) + 1
    record.update(
        dropped=max(0, taken - answers), of=taken, age_p50_ms=float(np.percentile(ages_ms, 50)),
        age_p99_ms=float(np.percentile(ages_ms, 99)), age_max_ms=float(ages_ms.max()),
        faces_seen=float(np.median(found['faces'])), cpu_ms=1e3 * cpu_s / answers, cpu_share=cpu_s / found['seconds'],
        memory_mb=memory_mb)
    return record


def describe_stream(record):
    """Write a record as a line of text."""
    return (f'{record["width"]}x{record["height"]} {record["transport"]}, {record["faces"]} faces '
            f'({record["faces_seen"]:g} seen): {record["fps"]:.1f} answers a second of {record["camera_fps"]:g}, '
            f'{record["dropped"]} of {record["of"]} dropped, age p50 {record["age_p50_ms"]:.0f}, p99 '
            f'{record["age_p99_ms"]:.0f} ms, {record["cpu_ms"]:.1f} ms of processor an answer, '
            f'{100 * record["cpu_share"]:.0f}% of a core, {record["memory_mb"]:.0f} MiB')
