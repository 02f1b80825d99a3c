"""A recording whose faces several processes find and read gives the results of one, and leaves no process behind."""

import functools
import json
import multiprocessing.resource_tracker
import multiprocessing.util
import os
import re
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from in_process import kept_models  # noqa: F401
from stand_in_evaluation import is_alive, wait_for

from facial_emotion_ros.cli import evaluate_recording
from facial_emotion_ros.demo.sample_video import SampleVideo
from facial_emotion_ros.perception.face_detector import FaceDetector
from facial_emotion_ros.recordings.evaluation import evaluate, perception_pool
from facial_emotion_ros.recordings.io.message_types import header, make_image
from facial_emotion_ros.recordings.io.sample_bag import START_NS
from facial_emotion_ros.recordings.io.writer import BagWriter

pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
pytest.importorskip('pyarrow', reason='pyarrow is not installed: scripts/setup --tests does that')

#: All that is written, but for times and what holds them.
SAME = ('frames.csv', 'frames.parquet', 'annotated/annotated.mcap', 'face_views.json', 'people.csv')


@pytest.fixture(scope='module')
def bag(tmp_path_factory):
    """Two cameras. One has 18 images: a face, a cut to three faces who are then mirrored, a leap of the clock, and one
    image that is damaged; the other has every third of them, in another size.
    """
    path, film = str(tmp_path_factory.mktemp('bags') / 'changing'), SampleVideo(320, 240)
    with BagWriter(path) as writer:
        for number in range(18):
            image = film.frame(0.1 * number if number < 5 else 9.0 + 0.1 * number)
            image = image[:, ::-1] if number > 9 else image
            stamp_ns = START_NS + number * 10**8 + (100 * 10**9 if number > 13 else 0)
            if number == 7:
                writer.add('/left', START_NS + number * 10**8, make_image(header(stamp_ns), image[:, :0]))
            else:
                writer.add('/left', START_NS + number * 10**8, make_image(header(stamp_ns), image))
            if number % 3 == 0:
                writer.add('/right', START_NS + number * 10**8, make_image(header(stamp_ns), image[:200].repeat(2, 1)))
    return path


class InThisProcess(perception_pool.PerceptionPool):
    """Stands for the processes: a thread that does their work, which takes no second to start."""

    def __init__(self, options, processes):
        self.detecting, self.estimating = 4, 2
        self._memory, self._executor = perception_pool._SharedMemory(2), ThreadPoolExecutor(1)
        perception_pool._memory, perception_pool._options = self._memory, options
        perception_pool._loaded.clear()


def results(bag, output, *options):
    """Evaluate a recording; give the files that are the same whenever the same is evaluated."""
    assert evaluate_recording.main([bag, '--output', str(output), *options]) == 0
    found = {name: (output / name).read_bytes() for name in SAME if (output / name).exists()}
    summary = json.loads((output / 'summary.json').read_text())
    summary.pop('run')
    return dict(found, summary=summary)


def test_all_results_are_the_same_when_processes_share_the_work(bag, tmp_path, capfd):
    options = ['--write-bag', '--people', '--estimate-every', '2', '--parameter', 'smoothing.personal_neutral_s=9']
    alone = results(bag, tmp_path / 'alone', *options)
    assert len(alone) == 1 + len(SAME) and alone['summary']['cameras']['/left']['clock_jumps'] == 1
    assert alone['summary']['overall']['faces'] > 4 and alone['summary']['overall']['bad_frames'] == 1
    capfd.readouterr()
    missing = ['--provider', 'NoSuchExecutionProvider']  # the command says it, and not each process again
    assert results(bag, tmp_path / 'shared', *options, *missing, '--processes', '3') == alone
    said = capfd.readouterr().err
    assert 'Traceback' not in said and said.count('Running on CPUExecutionProvider instead') <= 1


@pytest.mark.parametrize(
    'options',
    ['--blur-faces --every-n 3', '--rotate-deg -1 --estimate-every 3', '--rotate-deg 90 --blur-faces', '--max-faces 1'],
)
def test_results_are_the_same_whatever_the_options(bag, tmp_path, monkeypatch, options):
    alone = results(bag, tmp_path / 'alone', *options.split())
    monkeypatch.setattr(evaluate, 'PerceptionPool', InThisProcess)
    assert results(bag, tmp_path / 'shared', *options.split(), '--processes', '1') == alone


def test_networks_are_compared_in_the_same_way_when_processes_share_the_work(bag, tmp_path, monkeypatch):
    command = [bag, '--topic', '/right', '--bundle', 'esr_9_ferplus', '--bundle', 'esr_9_ferplus_int8', '--output']
    assert evaluate_recording.main([*command, str(tmp_path / 'alone')]) == 0
    monkeypatch.setattr(evaluate, 'PerceptionPool', InThisProcess)
    assert evaluate_recording.main([*command, str(tmp_path / 'shared'), '--processes', '1']) == 0
    tables = [
        [(tmp_path / each / name / 'frames.csv').read_bytes() for name in ('esr_9_ferplus', 'esr_9_ferplus_int8')]
        for each in ('alone', 'shared')
    ]
    assert tables[0] == tables[1] and tables[0][0] != tables[0][1]


def test_little_is_detected_by_the_finder_itself_when_faces_are_lost(bag, tmp_path, monkeypatch):
    threads, detect = [], FaceDetector.detect

    def noting(self, *given):
        import threading

        threads.append(threading.current_thread() is threading.main_thread())
        return detect(self, *given)

    monkeypatch.setattr(FaceDetector, 'detect', noting)
    monkeypatch.setattr(evaluate, 'PerceptionPool', InThisProcess)
    results(bag, tmp_path / 'out', '--topic', '/left', '--processes', '1', '--every-n', '3')
    # It is where a guess was wrong: at each cut at most.
    assert sum(threads) <= 4 < len(threads) - sum(threads)


def test_it_is_said_what_to_leave_out_when_memory_cannot_be_shared(bag, tmp_path, monkeypatch, capsys):
    def refuse(parts):
        raise OSError(30, 'Read-only file system')

    monkeypatch.setattr(perception_pool, '_SharedMemory', refuse)
    assert evaluate_recording.main([bag, '--output', str(tmp_path / 'out'), '--processes', '1']) == 1
    assert 'leave out --processes' in capsys.readouterr().err


@pytest.mark.parametrize('option', ['--processes', '--workers'])
def test_it_is_said_what_to_do_when_no_process_or_thread_can_be_started(bag, tmp_path, monkeypatch, capsys, option):
    def refuse(error, *_):
        raise error

    multiprocessing.resource_tracker.ensure_running()
    for of, name, error, said in (
        (multiprocessing.util, 'spawnv_passfds', BlockingIOError(11, 'temporarily unavailable'), f'fewer {option}'),
        (threading.Thread, 'start', RuntimeError("can't start new thread"), 'ulimit -u'),
        (threading.Thread, 'start', MemoryError(), 'ulimit -u'),
    ):
        monkeypatch.setattr(of, name, functools.partial(refuse, error))
        assert evaluate_recording.main([bag, '--output', str(tmp_path / 'out'), option, '2']) == 1
        told = capsys.readouterr().err.strip().splitlines()
        assert said in told[-1] and 'cannot be written' not in told[-1], told


def started(bag, output, *shell):
    """Start the command with a process that shares the work, in a group of its own, as a terminal does it."""
    command = subprocess.Popen(
        [*shell, sys.executable, '-m', evaluate_recording.__name__, bag, '--output', str(output), '--processes', '1'],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)),
    )
    wait_for(lambda: workers_of(command.pid) or command.poll() is not None)
    return command, workers_of(command.pid)


def workers_of(pid):
    """List the processes that share a process's work."""
    found = []
    for each in filter(str.isdecimal, os.listdir('/proc')):
        try:
            with open(f'/proc/{each}/stat') as stat, open(f'/proc/{each}/cmdline') as words:
                is_child = int(stat.read().rpartition(')')[2].split()[1]) == pid
                found += [int(each)] * (is_child and 'spawn_main' in words.read())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


@pytest.mark.parametrize(
    'case, code, said',
    [
        ('ctrl-c', 130, r'evaluate_recording: stopped\n'),
        ('sigterm', 130, r'evaluate_recording: stopped\n'),
        ('worker', 1, r'evaluate_recording: a worker process was killed or crashed .* fewer --processes.*\n'),
        ('parent', -signal.SIGKILL, '(?s).*'),  # Python says what it cleans up, or that it could not begin
    ],
)
@pytest.mark.skipif(not os.path.isdir('/proc'), reason='there is no /proc to look for processes')
def test_one_line_is_said_and_nothing_is_left_when_it_is_ended(bag, tmp_path, case, code, said):
    output = tmp_path / 'out'
    # As a script does with what it starts in the background.
    shell = ('sh', '-c', 'trap "" INT; exec "$@"', 'sh') if case == 'sigterm' else ()
    command, workers = started(bag, output, *shell)
    try:
        assert len(workers) == 1
        if case == 'ctrl-c':
            os.killpg(command.pid, signal.SIGINT)
        else:
            number = signal.SIGTERM if case == 'sigterm' else signal.SIGKILL
            os.kill(workers[0] if case == 'worker' else command.pid, number)
        _, error = command.communicate(timeout=60)
        assert command.returncode == code and re.fullmatch(said, error), error
        wait_for(lambda: not any(map(is_alive, workers)))
        assert case == 'parent' or os.listdir(output) == []
    finally:
        for pid in [command.pid, *workers]:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize(
    'arguments, said',
    [
        (['a', '--processes', '-1'], '--processes: expected 0 to 256, got -1'),
        (['a', 'b', '--processes', '2'], 'on this machine; for several at a time, use --workers'),
        (['a', '--workers', '2', '--processes', '2'], 'on this machine; for several at a time, use --workers'),
    ],
)
def test_processes_that_cannot_share_the_work_are_refused(tmp_path, capsys, arguments, said):
    assert evaluate_recording.main([*arguments, '--output', str(tmp_path / 'out')]) == 2
    assert said in capsys.readouterr().err
