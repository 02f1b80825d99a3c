"""How many faces a second each engine reads, measured in turn."""

import json
import os
import statistics
import subprocess
import sys
import time
from typing import Any, NamedTuple

from facial_emotion_ros.errors import FacialEmotionError
from facial_emotion_ros.power import PowerMeter

#: How many runs one turn has; all engines have their turn before any has the next.
RUNS_A_TURN = 10
#: Between turns: engines' threads spin for a while after a run, and would take time from the next one.
_PAUSE_S = 0.05
#: A power sensor is read while an engine works for so long, and before while all rest.
_POWER_S = 4.0


class Subject(NamedTuple):
    """One line of the table."""

    #: Such as 'ESR-9', and the side of its crops in pixels.
    network: str
    size_px: int
    #: 'torch', 'onnxruntime', 'openvino', or an execution provider's name.
    engine: str
    #: 'fp32', 'fp16', 'bf16' or 'int8'.
    precision: str
    threads: int
    #: Path of a bundle.
    bundle: str


class _Runner:
    """A process that runs one subject."""

    def __init__(self, subject):
        self.subject = subject
        spec = {'engine': subject.engine, 'precision': subject.precision, 'threads': subject.threads,
                'bundle': subject.bundle}
        threads = {name: str(subject.threads) for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS')}
        self._process = subprocess.Popen(
            [sys.executable, '-m', 'facial_emotion_ros.evaluation.benchmark_runner', json.dumps(spec)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=dict(os.environ, **threads))
        self.opened = self._hear()
        self.took_ms = []

    def _hear(self):
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            return {'error': f'its process ended with {code}'}
        return json.loads(line)

    def ask(self, **question):
        """Ask and wait for the answer."""
        self._process.stdin.write(json.dumps(question) + '\n')
        self._process.stdin.flush()
        answer = self._hear()
        if 'error' in answer:
            raise FacialEmotionError(f'{self.subject.engine} {self.subject.precision}: {answer["error"]}')
        return answer

    def close(self):
        """End the process."""
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()


def measure(subjects, runs=100, meter=None, report=lambda line: None):
    """Measure subjects in turn, each in a process of its own.

    :param subjects: list of Subject; those of one network and number of threads run in turn, all in memory at once.
    :param runs: of each, one face a run, transfer included.
    :param meter: PowerMeter; None for one of this machine.
    :param report: called with a line of text about each.
    :returns: list of records (dict): network, size_px, engine, precision, threads; per_s (1000 / the mean), median_ms,
        p10_ms, p90_ms, memory_mb, provider, `ratio` to the torch baseline of that network and threads where there is
        one, joules and net_joules where a sensor is; of an engine that is absent, `error` alone.
    """
    meter = PowerMeter() if meter is None else meter
    records = []
    groups = {}
    for subject in subjects:
        groups.setdefault((subject.network, subject.size_px, subject.threads), []).append(subject)
    for group in groups.values():
        runners = [_Runner(subject) for subject in group]
        try:
            found = _measure_group(runners, runs, meter)
        finally:
            for runner in runners:
                runner.close()
        for record in found:
            report(describe(record))
        records += found
    return records


def _measure_group(runners, runs, meter):
    working = [runner for runner in runners if 'error' not in runner.opened]
    for _ in range(max(1, -(-runs // RUNS_A_TURN))):
        for runner in working:
            time.sleep(_PAUSE_S)
            runner.took_ms += runner.ask(run=min(RUNS_A_TURN, runs - len(runner.took_ms)))['ms']
    energies = _joules(working, meter)
    records = [_record(runner, energies.get(runner)) for runner in runners]
    baseline = [record for record in records if record['engine'] == 'torch' and 'per_s' in record]
    for record in records:
        if baseline and 'per_s' in record:
            record['ratio'] = record['per_s'] / baseline[0]['per_s']
    return records


def _record(runner, energy) -> dict[str, Any]:
    subject = runner.subject
    record = {'network': subject.network, 'size_px': subject.size_px, 'engine': subject.engine,
              'precision': subject.precision, 'threads': subject.threads}
    if 'error' in runner.opened:
        return dict(record, error=runner.opened['error'])
    took = sorted(runner.took_ms)
    record.update(per_s=1e3 / statistics.fmean(took), median_ms=statistics.median(took),
                  p10_ms=took[len(took) // 10], p90_ms=took[(9 * len(took)) // 10], runs=len(took),
                  memory_mb=runner.opened['memory_mb'], provider=runner.opened['provider'])
    if energy:
        record.update(joules=energy[0], net_joules=energy[1], power_source=energy[2])
    return record


def _joules(runners, meter):
    """Return Joules of one inference, gross and net of idle, and their source, of each runner; {} without a sensor."""
    meter.read(time.monotonic())
    time.sleep(0.2)
    if meter.read(time.monotonic()).total_w is None:
        return {}
    time.sleep(_POWER_S)
    idle_w = meter.read(time.monotonic()).total_w
    found = {}
    for runner in runners:
        meter.read(time.monotonic())
        answer = runner.ask(seconds=_POWER_S)
        reading = meter.read(time.monotonic())
        if reading.total_w is None or idle_w is None or not answer['runs']:
            continue
        each_s = answer['seconds'] / answer['runs']
        found[runner] = reading.total_w * each_s, (reading.total_w - idle_w) * each_s, reading.source
    return found


def describe(record):
    """Write a record as a line of text."""
    name = f'{record["network"]} {record["size_px"]} px, {record["threads"]} thread{"s" * (record["threads"] > 1)}, ' \
           f'{record["engine"]} {record["precision"]}'
    if 'error' in record:
        return f'{name}: not measured ({record["error"]})'
    text = f'{name}: {record["per_s"]:.1f} a second, {record["median_ms"]:.2f} ms ({record["p10_ms"]:.2f} to ' \
           f'{record["p90_ms"]:.2f})'
    if 'ratio' in record:
        text += f', {record["ratio"]:.2f} times torch'
    return text


def busy_share(seconds=1.0):
    """Tell how much of the processors other processes take.

    :param seconds: how long to look; this process sleeps meanwhile.
    :returns: share of all processors in [0, 1]; None where the kernel does not say.
    """
    try:
        before = _processor_times()
        time.sleep(seconds)
        after = _processor_times()
    except (OSError, ValueError, IndexError):
        return None
    idle, total = after[0] - before[0], after[1] - before[1]
    return None if total <= 0 else max(0.0, 1 - idle / total)


def _processor_times():
    with open('/proc/stat', encoding='ascii') as lines:
        numbers = [int(each) for each in lines.readline().split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)
