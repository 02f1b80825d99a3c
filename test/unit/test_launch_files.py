"""Launch files, checked as far as can be without launch; where launch_ros is importable, loaded and run for real."""

import importlib.util
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from launch_stand_in import launched, nodes_of
from places import ROOT, read

from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.demo.processes import demo_processes
from facial_emotion_ros.system import dds_environment
from facial_emotion_ros.system.dds_environment import (
    PROFILE_VARIABLES,
    localhost_environment,
    transport_environment,
)

LAUNCH_FILES = sorted(name for name in os.listdir(os.path.join(ROOT, 'launch')) if name.endswith('.launch.py'))


def has_launch():
    """Whether launch_ros is importable: our own folder called launch must not count."""
    return importlib.util.find_spec('launch_ros') is not None


def executables():
    """Return the executables that setup.py installs, name -> module."""
    return dict(re.findall(r"'(\w+) = ([\w.]+):main'", read('setup.py')))


def parameters_of(name):
    """Return the names of a node's parameters, without importing ROS."""
    from facial_emotion_ros.ros.demo.parameters import CONSOLE_VIEW, MEDIA_SOURCE
    from facial_emotion_ros.ros.parameters import TABLE

    table = {'media_source': MEDIA_SOURCE, 'console_view': CONSOLE_VIEW, 'emotion_node': TABLE}[name]
    return {row.name: row for row in table}


def test_launch_files_are_those_that_are_documented():
    assert LAUNCH_FILES == [
        'cameras.launch.py',
        'demo.launch.py',
        'jetson_orin.launch.py',
        'jetson_tx2.launch.py',
        'jetson_xavier.launch.py',
        'node.launch.py',
        'replay.launch.py',
    ]


@pytest.mark.parametrize('name', [name for name in LAUNCH_FILES if not name.startswith('replay')])
def test_every_argument_is_described_once_and_used(monkeypatch, name):
    _, context = launched(monkeypatch, name)
    names = [argument.name for argument in context.declared]
    assert set(names) == context.used
    assert len(names) - len(set(names)) == name.startswith('jetson'), 'params_file, of both files'
    assert all(len(argument.description) > 15 for argument in context.declared)


def test_node_is_what_the_arguments_say(monkeypatch):
    arguments = {'namespace': 'robot', 'image_topic': '/front/image', 'esr': 'mine', 'mode': 'humans'}
    [node] = nodes_of(
        monkeypatch, 'node.launch.py', transport='raw', humans_prefix='none', log_level='debug', **arguments
    )
    assert (node['package'], node['executable'], node['namespace']) == ('facial_emotion_ros', 'emotion_node', 'robot')
    assert node['remappings'] == [('image', '/front/image')] and node['ros_arguments'] == [
        '--log-level',
        'robot.emotion_node:=debug',
    ]
    given, _ = parameters_given(node)
    assert given == {
        'inference.bundle': 'mine',
        'input.mode': 'humans',
        'input.transport': 'raw',
        'output.humans_prefix': '',
    }
    assert set(given) <= set(parameters_of('emotion_node')) and node['executable'] in executables()


def test_cameras_launch_gives_each_node_a_place_of_its_own(monkeypatch):
    nodes = nodes_of(monkeypatch, 'cameras.launch.py', cameras='front=/front/image_raw rear')
    assert [(node['namespace'], node['remappings'], parameters_given(node)[0]) for node in nodes] == [
        ('front', [('image', '/front/image_raw')], {'output.humans_prefix': '/front/humans'}),
        ('rear', [('image', 'image_raw')], {'output.humans_prefix': '/rear/humans'}),
    ]
    nodes = nodes_of(monkeypatch, 'cameras.launch.py', cameras='front rear', transport='compressed', esr='mine')
    for node in nodes:
        given, _ = parameters_given(node)
        assert (given['input.transport'], given['inference.bundle']) == ('compressed', 'mine')


@pytest.mark.parametrize('name', ['node.launch.py', 'cameras.launch.py'])
def test_a_process_is_started_again_when_it_crashed_and_stays_down_when_that_would_not_help(monkeypatch, name):
    [node] = nodes_of(monkeypatch, name)
    assert node['respawn'] is True
    # What it does by itself, with stand-ins for launch; test/ros/test_launch.py runs it for real.
    statuses = 0, 1, 2, -signal.SIGALRM, -signal.SIGSEGV
    kept_down = [
        status for status in statuses if node['on_exit'](SimpleNamespace(returncode=status, action='it'), None)
    ]
    assert kept_down == [0, 2]


@pytest.mark.parametrize('given, timeout_s', [({}, 4.0), ({'bond_timeout': '0.0'}, 0.0)])
def test_the_example_leaves_the_node_to_its_manager(monkeypatch, given, timeout_s):
    example = os.path.join('..', 'examples', 'nav2_manager.launch.py')
    node, manager = nodes_of(monkeypatch, example, image_topic='/front/image', **given)
    assert parameters_given(node)[0] == {'autostart': False} and node['remappings'] == [('image', '/front/image')]
    assert (manager['package'], manager['executable']) == ('nav2_lifecycle_manager', 'lifecycle_manager')
    given_to_manager, _ = parameters_given(manager)
    assert given_to_manager == {'autostart': True, 'node_names': [node['name']], 'bond_timeout': timeout_s}
    assert type(given_to_manager['bond_timeout']) is float, 'Nav2 refuses an integer'


def parameters_given(node):
    """Return the parameters that a launch gives a node besides its files, and the files."""
    files = [each for each in node['parameters'] if isinstance(each, str)]
    return {name: value for each in node['parameters'] if isinstance(each, dict) for name, value in each.items()}, files


@pytest.mark.parametrize(
    'name, file, own',
    [
        ('node.launch.py', 'emotion_node.yaml', {}),
        ('cameras.launch.py', 'emotion_node.yaml', {'output.humans_prefix': '/camera/humans'}),
        ('demo.launch.py', 'emotion_node.yaml', {}),
    ]
    + [('jetson_%s.launch.py' % board, 'jetson_%s.yaml' % board, {}) for board in ('orin', 'tx2', 'xavier')],
)
def test_a_launch_leaves_parameters_to_the_file_when_no_argument_is_given(monkeypatch, name, file, own):
    [node] = [node for node in nodes_of(monkeypatch, name) if node['name'] == 'emotion_node']
    given, paths = parameters_given(node)
    assert given == own, 'what stands here wins over the parameter file and over SetParameter'
    assert {} not in node['parameters'], 'launch_ros would write a file for it'
    assert os.path.samefile(paths[-1], os.path.join(ROOT, 'config', file))
    assert len(paths) == 1 or name == 'demo.launch.py', 'what is read before the last file'
    assert node.get('respawn', True) is True


@pytest.mark.parametrize(
    'text, value', [('true', True), ('True', True), ('1', True), ('false', False), ('False', False), ('0', False)]
)
@pytest.mark.parametrize('name', ['node.launch.py', 'cameras.launch.py'])
def test_a_launch_takes_every_spelling_when_it_is_true_or_false(monkeypatch, name, text, value):
    [node] = nodes_of(monkeypatch, name, use_sim_time=text, autostart=text, respawn=text)
    given, _ = parameters_given(node)
    assert (given['use_sim_time'], given['autostart'], node['respawn']) == (value, value, value)


def test_the_demo_takes_every_spelling_when_it_is_true_or_false(monkeypatch):
    nodes = nodes_of(monkeypatch, 'demo.launch.py', use_sim_time='True', loop='1')
    assert [parameters_given(node)[0]['use_sim_time'] for node in nodes] == [True] * 3
    assert parameters_given(nodes[0])[0]['loop'] is True


@pytest.mark.parametrize('name', ['node.launch.py', 'cameras.launch.py', 'demo.launch.py'])
def test_a_launch_refuses_an_argument_when_it_is_neither_true_nor_false(monkeypatch, name):
    with pytest.raises(RuntimeError, match='"use_sim_time" provided value "maybe"'):
        nodes_of(monkeypatch, name, use_sim_time='maybe')


@pytest.mark.parametrize('name', ['node.launch.py', 'cameras.launch.py', 'demo.launch.py', 'replay.launch.py'])
def test_a_launch_refuses_a_parameter_file_when_it_is_not_there(monkeypatch, name):
    with pytest.raises(FacialEmotionError, match='params_file: expected a file of parameters'):
        nodes_of(monkeypatch, name, params_file='/nowhere.yaml')


def test_the_demo_starts_every_process_of_the_graph_on_this_machine(monkeypatch):
    nodes = nodes_of(monkeypatch, 'demo.launch.py', source='images', path='/pictures', rate_hz='5', namespace='robot')
    assert [node['executable'] for node in nodes] == ['media_source', 'emotion_node', 'console_view']
    source, _ = parameters_given(nodes[0])
    assert (source['source.kind'], source['source.path'], source['rate_hz']) == ('images', '/pictures', 5.0)
    for node in nodes:
        assert node['namespace'] == 'robot' and set(parameters_given(node)[0]) <= set(parameters_of(node['name']))
        assert node['additional_env'] == localhost_environment()


def test_graph_names_what_exists():
    installed = executables()
    processes = demo_processes({'source.kind': 'sample'}, '/tmp/out')
    assert [process.name for process in processes] == ['media_source', 'emotion_node', 'console_view']
    for process in processes:
        assert installed[process.name] == process.module
        assert importlib.util.find_spec(process.module.rpartition('.')[0])
        assert os.path.isfile(os.path.join(ROOT, *process.module.split('.')) + '.py')
        assert set(process.parameters) <= set(parameters_of(process.name))
        assert all(os.path.isfile(path) for path in process.parameter_files)


def test_demo_file_sets_parameters_that_exist():
    yaml = pytest.importorskip('yaml')
    content = yaml.safe_load(read('config', 'demo.yaml'))
    assert set(content) == {'/**/media_source', '/**/emotion_node', '/**/console_view'}
    for pattern, section in content.items():
        table = parameters_of(pattern.split('/')[-1])
        for name, value in flat(section['ros__parameters']):
            assert name in table
            assert type(value) is type(table[name].default), name
            assert value != table[name].default, '%s says what is so anyway' % name


def flat(tree, prefix=''):
    """Flatten nested parameters into (name, value)."""
    for key, value in tree.items():
        if isinstance(value, dict):
            for pair in flat(value, prefix + key + '.'):
                yield pair
        else:
            yield prefix + key, value


@pytest.fixture
def free(monkeypatch):
    """As much shared memory as the profile needs, whatever this machine has."""
    monkeypatch.setattr(dds_environment, '_LEAST_FREE_BYTES', 0)


def test_profile_is_left_out_when_shared_memory_has_no_room(monkeypatch):
    monkeypatch.setattr(dds_environment, '_LEAST_FREE_BYTES', 2**60)
    assert transport_environment({'ROS_DISTRO': 'jazzy'}) == {}
    monkeypatch.setattr(dds_environment, '_SHARED_MEMORY', '/nowhere')
    assert transport_environment({'ROS_DISTRO': 'jazzy'}) == {}


@pytest.mark.usefixtures('free')
def test_profile_of_the_user_is_kept_when_there_is_one():
    assert set(transport_environment({})) == set(PROFILE_VARIABLES)
    assert all(os.path.isfile(path) for path in transport_environment({}).values())
    for name in PROFILE_VARIABLES:
        assert transport_environment({name: '/mine.xml'}) == {}


@pytest.mark.usefixtures('free')
@pytest.mark.parametrize('distribution', ['humble', 'galactic', 'foxy'])
def test_profile_is_left_out_when_it_would_open_the_network(distribution):
    assert transport_environment({'ROS_DISTRO': distribution}) == {}


@pytest.mark.usefixtures('free')
@pytest.mark.parametrize('distribution, name', [('jazzy', PROFILE_VARIABLES[0]), ('kilted', PROFILE_VARIABLES[1])])
def test_profile_is_named_as_the_distribution_wants_it(distribution, name):
    assert list(transport_environment({'ROS_DISTRO': distribution})) == [name]


@pytest.mark.parametrize(
    'environ, added',
    [
        ({}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
        ({'ROS_DISTRO': 'jazzy', 'ROS_LOCALHOST_ONLY': '0'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
        ({'ROS_DISTRO': 'jazzy', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, {}),
        ({'ROS_DISTRO': 'humble'}, {'ROS_LOCALHOST_ONLY': '1'}),
        ({'ROS_DISTRO': 'humble', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, {'ROS_LOCALHOST_ONLY': '1'}),
        ({'ROS_DISTRO': 'humble', 'ROS_LOCALHOST_ONLY': '0'}, {}),
    ],
)
def test_processes_stay_on_this_machine_unless_the_user_has_chosen(environ, added):
    assert localhost_environment(environ) == added


@pytest.mark.skipif(not has_launch(), reason='launch_ros is not installed (it is on neither PyPI nor Debian)')
@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_launch_file_loads_when_launch_is_there(name):
    program = (
        'import sys; from launch import LaunchContext; from launch.launch_description_sources import *;'
        'found = PythonLaunchDescriptionSource(sys.argv[1]).get_launch_description(LaunchContext());'
        'print(len(found.get_launch_arguments()))'
    )
    shown = subprocess.run(
        [sys.executable, '-c', program, os.path.join(ROOT, 'launch', name)], stdout=subprocess.PIPE, check=True
    )
    assert int(shown.stdout) >= 6
