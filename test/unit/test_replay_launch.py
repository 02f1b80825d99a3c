"""replay.launch.py, the processes that it starts, and the profile of what is recorded; all without ROS."""

import os
import re
from types import SimpleNamespace

import pytest
from launch_stand_in import launched
from places import ROOT, read
from test_launch_files import executables, parameters_of

from facial_emotion_ros.core.errors import BadBag, BadParameter
from facial_emotion_ros.ros.command_line import split_arguments
from facial_emotion_ros.ros.recordings import replay_graph
from facial_emotion_ros.ros.recordings.bag_player import parse as parse_player
from facial_emotion_ros.ros.recordings.bag_recorder import parse as parse_recorder
from facial_emotion_ros.ros.recordings.recording_profile import check_entries, pattern_of, read_profile
from facial_emotion_ros.ros.recordings.replay_graph import (
    Replay,
    has_ros2_bag,
    make_replay,
    player_words,
    plays_with_ros2_bag,
    recorder_words,
)

PROFILE = os.path.join(ROOT, 'config', 'recording.yaml')
JPEG = '/camera/image_raw/compressed'
GIVEN = {
    'topics': (),
    'rate': '1.0',
    'loop': False,
    'start_s': '0.0',
    'clock_hz': '40.0',
    'output': '',
    'namespace': '',
}


@pytest.fixture(scope='module')
def film(tmp_path_factory):
    """Record a moment of the sample."""
    pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
    from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

    path = str(tmp_path_factory.mktemp('bags') / 'film')
    write_sample_bag(path, seconds=0.2, width=64, height=48)
    return path


def documented_topics():
    """Return the node's topics as docs/topics.md lists them."""
    names = re.findall(r'^\| `([^`]+)` \|', read('docs', 'topics.md'), re.MULTILINE)
    return {name.replace('<id>', '*') for name in names}


def test_launch_starts_what_exists_and_ends_with_each_of_its_processes(film, monkeypatch):
    nodes, context = launched(monkeypatch, 'replay.launch.py', bag=film, output='answers', player='own')
    assert {node['package'] for node in nodes} == {'facial_emotion_ros'}
    names = [node['executable'] for node in nodes]
    assert sorted(names) == ['emotion_node', 'play_bag', 'record_bag'] and set(names) <= set(executables())
    assert set(nodes[0]['parameters'][-1]) <= {*parameters_of('emotion_node'), 'use_sim_time'}
    ends = {each.target_action.visit(context)[0]['executable']: each.on_exit for each in context.handlers}
    assert sorted(ends) == sorted(names) and all(end(SimpleNamespace(returncode=0), None) for end in ends.values())


@pytest.mark.parametrize(
    'topic, is_compressed, image_topic, remappings',
    [
        ('/camera/image_raw', False, '/camera/image_raw', ()),
        (JPEG, True, '/camera/image_raw', ()),
        ('/camera/jpeg', True, '/camera/jpeg', ('/camera/jpeg:=/camera/jpeg/compressed',)),
        ('/odd/compressed', False, '/odd/compressed', ()),
    ],
)
def test_the_node_finds_its_images_when_they_are_called_as_recorded(topic, is_compressed, image_topic, remappings):
    replay = Replay('bag', topic, is_compressed)
    assert (replay.image_topic, replay.remappings) == (image_topic, remappings)


def test_our_player_understands_what_the_launch_says():
    words = player_words(Replay('/bag', '/camera/jpeg', True, ('/tf',), 2.0, True, 1.5, 40.0), ros2_bag=False)
    options = parse_player(words)
    assert (options.bag, options.topics, options.rate, options.loop, options.start, options.clock, options.remap) == (
        '/bag',
        ['/camera/jpeg', '/tf'],
        2.0,
        True,
        1.5,
        40.0,
        ['/camera/jpeg:=/camera/jpeg/compressed'],
    )
    assert options.wait_for == 1 and options.patience > 100
    assert parse_player(player_words(Replay('/bag', JPEG, True), ros2_bag=False)).clock == 0


def test_ros2_bag_gets_the_same_arguments():
    # Source: ros2 bag play --help, of Humble and of Jazzy.
    words = player_words(Replay('/bag', '/camera/jpeg', True, ('/tf',), 2.0, True, 1.5, 40.0), ros2_bag=True)
    assert ' '.join(words) == (
        'bag play /bag --start-offset 1.5 --rate 2 --topics /camera/jpeg /tf --loop --clock 40 '
        '--remap /camera/jpeg:=/camera/jpeg/compressed --delay 4 --disable-keyboard-controls'
    )


def test_the_answers_are_recorded_and_not_the_images_again():
    replay = Replay('bag', JPEG, True, clock_hz=40.0, output='answers', namespace='robot')
    ours = parse_recorder(recorder_words(replay, ros2_bag=False))
    assert ours.output == os.path.abspath('answers')
    assert {'detections', 'expression', '/diagnostics', '/humans/faces/*/roi'} <= set(ours.topics)
    assert not [name for name in ours.topics if 'image' in name or 'camera' in name]

    words = recorder_words(replay, ros2_bag=True)
    assert words[:4] == ['bag', 'record', '-o', os.path.abspath('answers')] and words[-1] == '--use-sim-time'
    expression = re.compile(words[words.index('-e') + 1])
    for name in ('/robot/detections', '/robot/affect', '/diagnostics', '/humans/faces/abcde/roi'):
        assert expression.search(name), name
    for name in (
        '/detections',
        '/robot/detections/raw',
        '/humans/faces/a/b/roi',
        '/camera/image_raw',
        '/robot/diagnostics',
    ):
        assert not expression.search(name), name


@pytest.mark.parametrize('index, program, found', [(True, True, True), (True, False, False), (False, True, False)])
def test_ros2_bag_is_used_when_it_is_installed(tmp_path, index, program, found):
    (tmp_path / 'bin').mkdir()
    packages = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    packages.mkdir(parents=True)
    if index:
        (packages / 'ros2bag').write_text('')
    if program:
        (tmp_path / 'bin' / 'ros2').write_text('')
        (tmp_path / 'bin' / 'ros2').chmod(0o755)
    environ = {'PATH': str(tmp_path / 'bin'), 'AMENT_PREFIX_PATH': '/nowhere:%s' % tmp_path}
    assert has_ros2_bag(environ) is found
    assert plays_with_ros2_bag('auto', 'bag', environ) is found
    assert plays_with_ros2_bag('ros2_bag', 'bag', environ) and not plays_with_ros2_bag('own', 'bag', environ)
    assert not plays_with_ros2_bag('auto', 'of_ros_1.bag', environ)
    assert not plays_with_ros2_bag('auto', 'film.MP4', environ)
    # A folder that lost its metadata is read by ours alone; one that has it, and a file, by both.
    (tmp_path / 'lost').mkdir()
    (tmp_path / 'ride_0.mcap').write_text('')
    assert not plays_with_ros2_bag('auto', str(tmp_path / 'lost'), environ)
    assert plays_with_ros2_bag('auto', str(tmp_path / 'ride_0.mcap'), environ) is found
    (tmp_path / 'lost' / 'metadata.yaml').write_text('')
    assert plays_with_ros2_bag('auto', str(tmp_path / 'lost'), environ) is found


@pytest.mark.parametrize('has_rosbags', [True, False])
def test_the_camera_is_found_when_it_is_not_named(film, monkeypatch, has_rosbags):
    if not has_rosbags:
        monkeypatch.setattr(replay_graph.importlib.util, 'find_spec', lambda name: None)
    replay = make_replay(film, '', dict(GIVEN, rate='2'))
    assert (replay.bag, replay.topic, replay.is_compressed, replay.rate) == (film, JPEG, True, 2.0)
    assert make_replay(film, JPEG, dict(GIVEN, topics=('/annotation/faces',))).topics == ('/annotation/faces',)


@pytest.mark.parametrize(
    'topic, given, error, reported',
    [
        ('/front', {}, BadBag, 'expected the topic /front, but it has /annotation/faces, ' + JPEG),
        ('', {'topics': ('/front',)}, BadBag, 'expected the topic /front'),
        ('/annotation/faces', {}, BadBag, 'expected a topic of images, got /annotation/faces'),
        ('', {'rate': '0'}, BadParameter, "rate: expected a number of 0.001 or more, got '0'"),
        ('', {'start_s': 'late'}, BadParameter, "start: expected a number of 0 or more, got 'late'"),
        ('', {'clock_hz': 'nan'}, BadParameter, "clock: expected a number of 0 or more, got 'nan'"),
    ],
)
def test_arguments_are_refused_when_they_do_not_fit(film, topic, given, error, reported):
    with pytest.raises(error, match=re.escape(reported)):
        make_replay(film, topic, dict(GIVEN, **given))


def test_a_recording_is_asked_for_when_none_is_named():
    with pytest.raises(BadParameter, match='bag:=my_bag'):
        make_replay('', '', GIVEN)


def test_the_need_of_rosbags_is_named_when_ros2_bag_left_no_metadata(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_graph.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(BadBag, match='its metadata.yaml cannot be read; other recordings need .* pip install rosbags'):
        make_replay(str(tmp_path), '', GIVEN)


def test_the_profile_names_topics_of_the_node():
    inputs = {'image', 'image/compressed', 'camera_info'}
    names = {name for entry in read_profile(PROFILE) for name in entry}
    assert inputs <= names
    assert names - inputs <= documented_topics()
    assert {'detections', 'affect', 'expression', 'vision_info', '/diagnostics'} <= names


def test_quality_of_service_is_given_for_topics_of_the_profile():
    yaml = pytest.importorskip('yaml')
    content = yaml.safe_load(read('config', 'recording_qos.yaml'))
    names = [name if name.startswith('/') else '/' + name for entry in read_profile(PROFILE) for name in entry]
    assert set(content) == {name for name in names if '*' not in name}
    for topic, policies in content.items():
        # Source: the words of rmw's policies, as rosbag2 reads them.
        assert policies['history'] == 'keep_last' and policies['depth'] > 0
        assert policies['reliability'] in ('reliable', 'best_effort')
        assert policies['durability'] == ('transient_local' if topic == '/vision_info' else 'volatile')
        assert len(policies) == 4


@pytest.mark.parametrize(
    'content, reported',
    [
        ('topics: {}', 'expected a list `topics:`'),
        ('- image', 'expected a list `topics:`'),
        ('', 'expected a list'),
        ('topics: [image, 3]', 'got 3'),
        ('topics: [[]]', "got ''"),
        ('topics: [a b]', "got 'a b'"),
        ('topics: [', 'cannot be read'),
        ('topics: [/humans//roi]', "got '/humans//roi'"),
    ],
)
def test_a_profile_is_refused_when_it_is_none(tmp_path, content, reported):
    (tmp_path / 'mine.yaml').write_text(content)
    with pytest.raises(BadParameter, match=re.escape('mine.yaml: ') + '.*' + re.escape(reported)):
        read_profile(str(tmp_path / 'mine.yaml'))


def test_a_profile_may_name_alternatives():
    assert check_entries([['image/compressed', 'image'], '/tf'], 'it') == [['image/compressed', 'image'], ['/tf']]


@pytest.mark.parametrize(
    'name, matches, others',
    [
        ('/humans/faces/*/roi', ['/humans/faces/ab/roi'], ['/humans/faces/a/b/roi', '/humans/faces//roi']),
        ('/front_1/image', ['/front_1/image'], ['/front_1/image_raw', '/frontX1/image']),
    ],
)
def test_a_pattern_matches_whole_names(name, matches, others):
    expression = re.compile(pattern_of(name) + r'\Z')
    assert all(expression.match(each) for each in matches) and not any(expression.match(each) for each in others)


@pytest.mark.parametrize(
    'words, ours, for_ros',
    [
        (['bag', '--remap', 'a:=b'], ['bag', '--remap', 'a:=b'], []),
        (['bag', '--ros-args', '-r', 'a:=b', '--', '--loop'], ['bag', '--loop'], ['--ros-args', '-r', 'a:=b']),
        (['--ros-args', '-r', 'a:=b', '--ros-args', '-p', 'c:=1'], [], ['--ros-args', '-r', 'a:=b', '-p', 'c:=1']),
    ],
)
def test_words_for_ros_are_taken_out(words, ours, for_ros):
    assert split_arguments(words) == (ours, for_ros)
