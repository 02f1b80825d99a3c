"""The scripts of examples/ run as their heads say; the one that needs ROS is in test/ros/test_listener_example.py."""

import os
import re
import sys

import cv2
import pytest
from places import ASTRONAUT, ROOT, read
from programs import printed
from test_package import entry_points

EXAMPLES = os.path.join(ROOT, 'examples')


def run(*arguments, status=0):
    """Run a Python program that finds the package as an installed one; give what it printed."""
    path = os.pathsep.join([ROOT, os.environ.get('PYTHONPATH', '')])
    return printed(sys.executable, *arguments, status=status, env=dict(os.environ, PYTHONPATH=path))


def example(name, *arguments, status=0):
    """Run one of the examples."""
    return run(os.path.join(EXAMPLES, name), *arguments, status=status)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """Evaluate a second of the sample recording; give the folder of the results."""
    pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
    folder = tmp_path_factory.mktemp('recording')
    run('-m', entry_points()['make_sample_bag'][0], folder / 'bag', '--seconds', 1, '--people', 1)
    run('-m', entry_points()['evaluate_recording'][0], folder / 'bag', '--output', folder / 'out')
    return folder / 'out'


def test_every_example_says_what_it_shows_and_how_to_run_it_when_its_head_is_read():
    for name in sorted(os.listdir(EXAMPLES)):
        if not name.endswith('.py'):
            continue
        with open(os.path.join(EXAMPLES, name), encoding='utf-8') as file:
            text = file.read()
        head = text.splitlines()[:3]
        program = 'ros2 launch ' if name.endswith('.launch.py') else 'python3 '
        assert all(line.startswith('# ') for line in head) and program + name in head[1], name
        assert not re.findall(r'facial_emotion_ros\.\w+ import|import facial_emotion_ros\.', text), 'a module of ours'


def test_the_faces_of_a_picture_are_printed_and_drawn(tmp_path):
    printed = example('picture.py', ASTRONAUT, tmp_path / 'annotated.png')
    assert re.match(r'happy +\d+%  valence \+[01]\.\d\d  arousal ', printed) and '1 face(s)' in printed
    drawn = cv2.imread(str(tmp_path / 'annotated.png'))
    assert (drawn == (0, 255, 0)).all(axis=2).sum(axis=0).max() > 80, 'the side of a box'
    assert 'is not a picture' in example('picture.py', tmp_path / 'none.jpg', status=2)


def test_a_line_is_printed_for_each_change_when_a_film_is_followed(tmp_path):
    picture = cv2.resize(cv2.imread(ASTRONAUT), (256, 256))
    film = cv2.VideoWriter(str(tmp_path / 'film.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (256, 256))
    for _ in range(10):
        film.write(picture)
    film.release()
    *lines, last = example('video.py', tmp_path / 'film.avi').splitlines()
    assert last == '1 face(s)'
    ids = {re.fullmatch(r' *\d+\.\d\d s  ([a-z]{5})  \w+', line).group(1) for line in lines}
    assert len(ids) == 1 and lines[-1].endswith('happy')
    assert 'cannot be opened' in example('video.py', tmp_path / 'none.avi', status=1)


def test_the_emotions_of_a_recording_are_summed_up_when_pandas_reads_them(results):
    pytest.importorskip('pandas', reason='pandas is not installed: scripts/setup --tests does that')
    printed = example('bag_to_pandas.py', results)
    images, with_face = map(int, re.match(r'(\d+) images, (\d+) with a face', printed).groups())
    with open(str(results / 'frames.csv'), encoding='utf-8') as file:
        rows = file.read().splitlines()[1:]
    assert images == len(rows) and 0 < with_face <= images
    assert re.search(r'Seconds of each emotion\n.*\b(happy|neutral)\b', printed) and 'valence' in printed


@pytest.mark.parametrize('name', ['frames.csv', 'timings.csv'])
def test_every_column_is_documented_when_a_table_s_first_line_is_read(results, name):
    section = read('docs', 'columns.md').partition('## %s\n' % name)[2].partition('\n## ')[0]
    documented = re.findall('`([a-z0-9_]+)`', ' '.join(re.findall(r'(?m)^\| (`.*?) \|', section)))
    with open(str(results / name), encoding='utf-8') as file:
        assert file.readline().strip().split(',') == documented, 'docs/columns.md'
