"""The demo as a user types it: real processes, the real models, an ending that leaves nothing behind."""

import collections
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from facial_emotion_ros.cli import demo as demo_command
from facial_emotion_ros.demo.frame_sources import DRAWN_RATE_HZ
from facial_emotion_ros.demo.sample_video import LENGTH_S
from facial_emotion_ros.inference.execution_providers import ProviderPlan
from facial_emotion_ros.inference.precision import bundle_for
from graph_peer import REPOSITORY

SAMPLES = os.path.join(REPOSITORY, 'samples')
VENV = os.path.join(REPOSITORY, '.venv')
SHARED_PORTRAITS = os.path.join(os.path.dirname(REPOSITORY), 'shared', 'portraits')

#: What a ROS installation's setup file says of it.
ROS_ITSELF = ('ROS_DISTRO', 'ROS_VERSION', 'ROS_PYTHON_VERSION')

#: A second start may take no longer than this until its first line, on a machine that does nothing else.
FIRST_LINE_S = 10.0

FACE_LINE = r'\d+\.\ds  [a-z]{5}  \w+ +\d\.\d\d +[+-]'


class Demo:
    """A running demo."""

    def __init__(self, folder, *options, command=None, environ=None):
        self.folder, self._log = folder, folder.parent / (folder.name + '.txt')
        if environ is None:
            environ = {
                name: value for name, value in os.environ.items() if not name.startswith('ROS_') or name == 'ROS_DISTRO'
            }
            environ['PYTHONPATH'] = os.pathsep.join(filter(None, (REPOSITORY, os.environ.get('PYTHONPATH'))))
        self.started = time.monotonic()
        with open(self._log, 'wb') as log:
            self.process = subprocess.Popen(
                [
                    *(command or (sys.executable, '-m', 'facial_emotion_ros.cli.demo')),
                    '--output',
                    str(folder),
                    *map(str, options),
                ],
                env=environ,
                cwd=folder.parent,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self):
        """What it has printed."""
        return self._log.read_text()

    @property
    def summary(self):
        """What it has summed up."""
        return json.loads((self.folder / 'summary.json').read_text())

    def wait_for(self, pattern, timeout_s=60.0):
        """Wait until it has printed something."""
        until = time.monotonic() + timeout_s
        while not re.search(pattern, self.text):
            assert self.process.poll() is None and time.monotonic() < until, self.text
            time.sleep(0.02)
        return time.monotonic() - self.started

    def end(self, timeout_s=90.0):
        """Wait for its end."""
        status = self.process.wait(timeout_s)
        assert 'Traceback' not in self.text, self.text
        assert self.children() == {}, 'left behind'
        return status

    def children(self):
        """Find the demo's processes, name -> pid, by the log folder that they alone have."""
        mark = ('ROS_LOG_DIR=%s' % (self.folder / 'log' / 'ros')).encode()
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/environ' % pid, 'rb') as environ, open('/proc/%s/cmdline' % pid, 'rb') as command:
                    name = re.search(rb'media_source|emotion_node|console_view', command.read())
                    if name and mark in environ.read().split(b'\0'):
                        found[name.group().decode()] = int(pid)
            except OSError:
                pass
        return found


@pytest.fixture
def run(tmp_path):
    """Start demos; whatever happens, none is left over."""
    demos = []

    def start(*options, name='output', **how):
        demos.append(Demo(tmp_path / name, *options, **how))
        return demos[-1]

    yield start
    for demo in demos:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGINT)
            demo.process.wait(60)


def model_that_runs():
    """Return the manifest of the embedded network that a node takes by itself on this processor."""
    name = bundle_for('esr_9_ferplus', ProviderPlan())
    with open(os.path.join(REPOSITORY, 'models', name, 'manifest.json')) as manifest:
        return json.load(manifest)


def fresh_terminal():
    """Return the variables of a terminal in which this checkout's environment is not sourced, but maybe a ROS is."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(('ROS_', '_ROS_', 'PYTEST_')) or name in ROS_ITSELF
    }
    for name in (
        'AMENT_PREFIX_PATH',
        'CMAKE_PREFIX_PATH',
        'COLCON_PREFIX_PATH',
        'LD_LIBRARY_PATH',
        'PATH',
        'PYTHONPATH',
    ):
        foreign = [
            part
            for part in environ.pop(name, '').split(os.pathsep)
            if part and part != REPOSITORY and not (part + os.sep).startswith(VENV + os.sep)
        ]
        if foreign:
            environ[name] = os.pathsep.join(foreign)
    if 'AMENT_PREFIX_PATH' not in environ:
        environ = {name: value for name, value in environ.items() if name not in ROS_ITSELF}
    return environ


def stale_stages(environ):
    """Ask the set-up what it would have to do."""
    program = 'import runpy; print(*runpy.run_path("__main__.py")["Setup"](%r, False, None).stale_stages())' % VENV
    asked = subprocess.run(
        ['python3', '-B', '-c', program],
        cwd=os.path.join(REPOSITORY, 'scripts/setup_environment'),
        env=environ,
        stdout=subprocess.PIPE,
        check=True,
    )
    return asked.stdout.decode().split()


@pytest.mark.skipif(
    os.path.realpath(sys.prefix) != os.path.realpath(VENV),
    reason="this is not the Python of the checkout's .venv: scripts/test runs it",
)
def test_script_plays_the_whole_sample_to_its_end_when_typed_in_a_fresh_terminal(run, long_form):
    environ = fresh_terminal()
    stale = stale_stages(environ)
    if stale:
        pytest.skip('.venv is not up to date (%s) and no test is to change it: run scripts/setup' % ', '.join(stale))
    # Short, a fifth of the images.
    rate_hz, options = (DRAWN_RATE_HZ, ()) if long_form else (2, ('--rate', 2))
    demo = run(*options, command=[os.path.join(REPOSITORY, 'scripts', 'demo')], environ=environ)
    demo.wait_for('Loading the models')
    with open('/proc/%d/environ' % demo.process.pid, 'rb') as variables:
        prefixes = [line for line in variables.read().split(b'\0') if line.startswith(b'COLCON_PREFIX_PATH=')]
    assert os.path.join(VENV, 'overlay', 'install').encode() in b''.join(prefixes), 'the overlay must be sourced'
    assert demo.end(150.0) == 0, demo.text
    summary = demo.summary
    assert summary['frames'] > 0
    [images] = re.findall(r'Done: (\d+) images', (demo.folder / 'log' / 'media_source.log').read_text())
    assert int(images) == LENGTH_S * rate_hz, 'the whole film'
    assert summary['seconds'] > LENGTH_S / 2
    assert summary['seconds'] == pytest.approx(LENGTH_S, abs=4.0) or not long_form
    # Ids alone do not count persons: the astronaut comes back with another one.
    together = collections.Counter(re.findall(r'^ *(\d+\.\d)s  [a-z]{5}  ', demo.text, re.MULTILINE))
    assert max(together.values()) == 3 and len(summary['faces']) >= 3, 'three persons'
    assert [face for face in summary['faces'] if face['emotion'] == 'happy' and face['confidence'] > 0.5]
    wanted = model_that_runs()
    assert wanted['name'] in summary['model']['name'] and summary['model']['sha256'] == wanted['model']['sha256']
    assert 'annotated.jpg' in summary['files'] and 'summary.json' in summary['files']
    for name in (*summary['files'], 'log/media_source.log', 'log/emotion_node.log', 'log/console_view.log'):
        path = demo.folder / name
        assert path.is_dir() or path.stat().st_size > 0, name
    assert 'Installing' not in demo.text, 'the set-up had nothing to do'


def test_demo_ends_with_a_summary_and_has_written_what_it_names_when_nothing_is_given(run, tmp_path, long_form):
    demo = run('--duration', 4)
    assert demo.wait_for(FACE_LINE) < FIRST_LINE_S or not long_form
    assert demo.end() == 0
    summary = demo.summary
    assert summary['frames'] >= 5 and summary['frames_with_faces'] >= 0.9 * summary['frames']
    happy = [face for face in summary['faces'] if face['emotion'] == 'happy' and face['confidence'] > 0.5]
    assert sum(face['frames'] for face in happy) >= 0.8 * summary['frames']
    if summary['age_ms']['max'] < 300.0:  # else the machine is so busy that answers come further apart than ids last
        assert summary['faces'][0] is happy[0] and happy[0]['frames'] >= 0.8 * summary['frames']
    assert summary['model']['sha256'] == model_that_runs()['model']['sha256']
    [counts] = [part['values'] for name, part in summary['diagnostics'].items() if name.endswith('input')]
    assert counts['received'] == sum(
        counts[name] for name in ('processed', 'replaced', 'bad', 'expired', 'failed', 'waiting', 'in_work')
    )
    assert counts['processed'] == summary['frames']
    assert 0 < summary['age_ms']['p50'] <= summary['age_ms']['p99']
    for word in ('p50', 'frames per second', 'sha256 ' + summary['model']['sha256'], str(demo.folder)):
        assert word in demo.text
    assert sorted(os.listdir(str(tmp_path))) == ['output', 'output.txt']
    written = sorted(path.name for path in demo.folder.iterdir())
    assert written == sorted(summary['files'] + ['log']) and 'annotated.jpg' in written
    assert cv2.imread(str(demo.folder / 'annotated.jpg')).shape == (480, 640, 3)
    [film] = [name for name in written if name.startswith('annotated') and name != 'annotated.jpg']
    if film != 'annotated':
        capture = cv2.VideoCapture(str(demo.folder / film))
        assert 3.0 < capture.get(cv2.CAP_PROP_FRAME_COUNT) / capture.get(cv2.CAP_PROP_FPS) < 7.0


def test_every_picture_is_answered_by_name_and_obvious_expressions_are_read_when_a_folder_is_shown(run, tmp_path):
    folder = tmp_path / 'pictures'
    folder.mkdir()
    faces, happy = {'empty.png': 0}, ['astronaut.jpg', 'vice_president.jpg']
    for name in happy:
        os.symlink(os.path.join(SAMPLES, name), str(folder / name))
        faces[name] = 1
    if os.path.isdir(SHARED_PORTRAITS):
        with open(os.path.join(SHARED_PORTRAITS, 'labels.csv')) as labels:
            faces.update((row['file'], int(row['faces'])) for row in csv.DictReader(labels))
        for name in set(faces) - set(happy) - {'empty.png'}:
            os.symlink(os.path.join(SHARED_PORTRAITS, name), str(folder / name))
    cv2.imwrite(str(folder / 'empty.png'), np.full((300, 400, 3), 128, np.uint8))
    (folder / 'broken.jpg').write_bytes(b'\xff\xd8 broken')
    demo = run('--images', folder, '--seconds-each', 2, '--rate', 2.5)
    assert demo.end() == 0
    pictures = demo.summary['pictures']
    seen = {name: [face['emotion'] for face in shown['faces']] for name, shown in pictures.items()}
    assert {name: len(emotions) for name, emotions in seen.items()} == faces
    assert [seen[name] for name in happy] == [['happy']] * 2
    if os.path.isdir(SHARED_PORTRAITS):
        assert seen['robot_view_surprised.jpg'] == ['surprise'] and seen['robot_view_angry.jpg'] != ['happy']
        assert seen['robot_view_happy.jpg'] == ['happy']
    # robot_view_*.jpg show the same person, who may be recognised.
    again = ('robot_view_happy.jpg', 'robot_view_surprised.jpg')
    ids = [face['id'] for name, shown in pictures.items() if name not in again for face in shown['faces']]
    assert len(set(ids)) == len(ids), 'an id passes from one person to another'
    assert 'broken.jpg is skipped' in (demo.folder / 'log' / 'media_source.log').read_text()


def test_video_is_played_when_named(run, tmp_path):
    path = str(tmp_path / 'film.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10.0, (480, 480))
    portrait = cv2.resize(cv2.imread(os.path.join(SAMPLES, 'astronaut.jpg')), (480, 480))
    for number in range(20):
        writer.write(np.roll(portrait, number, axis=1))
    writer.release()
    demo = run('--video', path)
    assert demo.end() == 0
    assert demo.summary['faces'][0]['emotion'] == 'happy' and demo.summary['pictures'] == {}


def test_summary_is_written_when_broken_off(run):
    demo = run('--loop', '--rate', 5)
    demo.wait_for(FACE_LINE)
    demo.process.send_signal(signal.SIGINT)
    assert demo.end() == 0
    assert demo.summary['frames'] >= 1 and 'Summary: ' in demo.text


def test_nothing_is_left_when_broken_off_at_once(run):
    demo = run()
    demo.wait_for('Loading the models')
    demo.process.send_signal(signal.SIGTERM)
    assert demo.end() == 0


@pytest.mark.parametrize('name', ['emotion_node', 'console_view'])
def test_the_death_of_a_process_is_reported_with_the_last_lines_of_the_node(run, name):
    demo = run('--loop', '--rate', 5)
    demo.wait_for(FACE_LINE)
    os.kill(demo.children()[name], signal.SIGKILL)
    assert demo.end() == 1
    assert '%s ended unexpectedly (killed by SIGKILL)' % name in demo.text
    assert 'Configured: ' in demo.text


@pytest.mark.parametrize(
    'options, words, status',
    [
        (['--images', '.'], 'expected readable pictures', 1),
        (['--params-file', 'refused.yaml'], 'no_such_bundle', 1),
        (['--output', '/proc/nowhere'], 'choose another --output', 2),
    ],
)
def test_the_reason_is_reported_when_nothing_can_be_shown(run, tmp_path, options, words, status):
    (tmp_path / 'refused.yaml').write_text('/**: {ros__parameters: {inference: {bundle: no_such_bundle}}}')
    demo = run(*options)
    assert demo.end(30) == status
    assert words in demo.text


@pytest.mark.parametrize(
    'options, status',
    [(['--help'], 0), (['--images', 'a', '--video', 'b'], 2), (['--duration', '-1'], 2), (['--rate', 'fast'], 2)],
)
def test_options_are_explained_when_asked_or_wrong(capsys, options, status):
    with pytest.raises(SystemExit) as ended:
        demo_command.main(options)
    text = ''.join(capsys.readouterr())
    assert ended.value.code == status and 'scripts/demo' in text
    assert status or 'Ctrl-C' in text and 'Art. 5(1)(f)' in text
