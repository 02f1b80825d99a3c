"""Measures the throughput of inference engines, in interleaved runs."""

import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, NamedTuple

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.evaluation.benchmark.runner import milliseconds, open_here

#: Runs per turn; engines take turns, so that a change of the machine's load affects all of them.
RUNS_A_TURN = 10
#: Pause between turns in seconds: threads of an engine spin for a while after a run, and would slow down the next one.
_PAUSE_S = 0.05


class Subject(NamedTuple):
    """A network in an engine: one row of the table."""

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
    """Runs one subject in its own process."""

    def __init__(self, subject):
        self.subject, self.took_ms = subject, []
        self._process = ProcessPoolExecutor(1, multiprocessing.get_context('spawn'))
        try:
            self.opened = self._process.submit(open_here, subject._asdict()).result()
        except BrokenProcessPool as error:
            self.opened = {'error': str(error)}

    def run(self, count):
        """Time `count` inferences."""
        try:
            self.took_ms += self._process.submit(milliseconds, count).result()
        except Exception as error:  # each engine raises its own
            raise FacialEmotionError(f'{self.subject.engine} {self.subject.precision}: {error}') from error

    def close(self):
        """End the process."""
        self._process.shutdown()


def measure(
    subjects: Iterable[Subject],
    runs: int = 100,
    report: Callable[[str], object] = lambda line: None,
) -> list[dict[str, Any]]:
    """Measure subjects in turns, each in its own process.

    :param subjects: those of one network and number of threads take turns, all in memory at once.
    :param runs: inferences of each, with one face, data transfer included.
    :param report: called with a line about each.
    :returns: records: network, size_px, engine, precision, threads; per_s (1000 / the mean), median_ms, p10_ms, p90_ms,
        memory_mb, provider, `ratio` to the torch baseline of that network and threads where it was measured; for an
        engine that is not available only `error`.
    """
    records = []
    groups: dict[tuple[str, int, int], list[Subject]] = {}
    for subject in subjects:
        groups.setdefault((subject.network, subject.size_px, subject.threads), []).append(subject)
    for group in groups.values():
        runners = [_Runner(subject) for subject in group]
        try:
            found = _measure_group(runners, runs)
        finally:
            for runner in runners:
                runner.close()
        for record in found:
            report(describe(record))
        records += found
    return records


def _measure_group(runners, runs):
    working = [runner for runner in runners if 'error' not in runner.opened]
    for _ in range(max(1, -(-runs // RUNS_A_TURN))):
        for runner in working:
            time.sleep(_PAUSE_S)
            runner.run(min(RUNS_A_TURN, runs - len(runner.took_ms)))
    records = [_record(runner) for runner in runners]
    baseline = [record for record in records if record['engine'] == 'torch' and 'per_s' in record]
    for record in records:
        if baseline and 'per_s' in record:
            record['ratio'] = record['per_s'] / baseline[0]['per_s']
    return records


def _record(runner):
    record = runner.subject._asdict()
    del record['bundle']
    if 'error' in runner.opened:
        return dict(record, error=runner.opened['error'])
    took = sorted(runner.took_ms)
    return dict(
        record,
        per_s=1e3 / statistics.fmean(took),
        median_ms=statistics.median(took),
        p10_ms=took[len(took) // 10],
        p90_ms=took[(9 * len(took)) // 10],
        runs=len(took),
        memory_mb=runner.opened['memory_mb'],
        provider=runner.opened['provider'],
    )


def describe(record: dict[str, Any]) -> str:
    """Format a record as one line."""
    name = (
        f'{record["network"]} {record["size_px"]} px, {record["threads"]} thread{"s" * (record["threads"] > 1)}, '
        f'{record["engine"]} {record["precision"]}'
    )
    if 'error' in record:
        return f'{name}: not measured ({record["error"]})'
    text = (
        f'{name}: {record["per_s"]:.1f} faces/s, {record["median_ms"]:.2f} ms ({record["p10_ms"]:.2f} to '
        f'{record["p90_ms"]:.2f})'
    )
    return text + (f', {record["ratio"]:.2f} times torch' if 'ratio' in record else '')


def busy_share() -> float | None:
    """Measure the CPU use of other processes over one second.

    :returns: fraction of all cores in [0, 1]; None if the kernel does not report it.
    """
    try:
        before = _processor_times()
        time.sleep(1.0)
        after = _processor_times()
    except (OSError, ValueError, IndexError):
        return None
    idle, total = after[0] - before[0], after[1] - before[1]
    return None if total <= 0 else max(0.0, 1 - idle / total)


def _processor_times():
    with open('/proc/stat', encoding='ascii') as lines:
        numbers = [int(each) for each in lines.readline().split()[1:9]]
    return numbers[3] + numbers[4], sum(numbers)
