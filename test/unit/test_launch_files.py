"""Launch files, checked as far as can be without launch; where launch_ros is importable, loaded and run for real."""

import ast
import importlib.util
import os
import re
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from launch_stand_in import nodes_of

from facial_emotion_ros import launch_arguments
from facial_emotion_ros.demo_graph import (
    PROFILE_VARIABLES,
    demo_processes,
    localhost_environment,
    transport_environment,
)
from facial_emotion_ros.errors import FacialEmotionError

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LAUNCH_FILES = sorted(name for name in os.listdir(os.path.join(ROOT, 'launch')) if name.endswith('.launch.py'))


def has_launch():
    """Whether launch_ros is importable: our own folder called launch must not count."""
    return importlib.util.find_spec('launch_ros') is not None


def tree_of(name):
    """Parse a launch file."""
    with open(os.path.join(ROOT, 'launch', name)) as source:
        return ast.parse(source.read(), name)


def calls(tree, function):
    """Find the calls of a function or class by its name."""
    return [node for node in ast.walk(tree)
            if isinstance(node, ast.Call) and getattr(node.func, 'id', getattr(node.func, 'attr', '')) == function]


def keywords(call):
    """Return the keyword arguments of a call."""
    return {keyword.arg: keyword.value for keyword in call.keywords}


def executables():
    """Return the executables that setup.py installs, name -> module."""
    with open(os.path.join(ROOT, 'setup.py')) as source:
        return dict(re.findall(r"'(\w+) = ([\w.]+):main'", source.read()))


def parameters_of(name):
    """Return the names of a node's parameters, without importing ROS."""
    from facial_emotion_ros.ros.demo_parameters import CONSOLE_VIEW, MEDIA_SOURCE
    from facial_emotion_ros.ros.parameters import TABLE
    table = {'media_source': MEDIA_SOURCE, 'console_view': CONSOLE_VIEW, 'emotion_node': TABLE}[name]
    return {row.name: row for row in table}


def test_launch_files_are_those_that_are_documented():
    assert LAUNCH_FILES == ['cameras.launch.py', 'demo.launch.py', 'jetson_orin.launch.py', 'jetson_tx2.launch.py',
                            'jetson_xavier.launch.py', 'node.launch.py', 'replay.launch.py']


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_argument_is_described_and_used_when_declared(name):
    tree = tree_of(name)
    declared = [call.args[0].value for call in calls(tree, 'DeclareLaunchArgument')]
    used = {call.args[0].value for call in calls(tree, 'LaunchConfiguration')}
    assert len(declared) == len(set(declared))
    assert set(declared) == used
    for call in calls(tree, 'DeclareLaunchArgument'):
        given = keywords(call)
        assert 'default_value' in given, call.args[0].value
        assert len(ast.literal_eval(given['description'])) > 15, call.args[0].value


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_default_is_a_choice_when_choices_are_given(name):
    for call in calls(tree_of(name), 'DeclareLaunchArgument'):
        given = keywords(call)
        if 'choices' in given:
            choices = getattr(launch_arguments, getattr(given['choices'], 'id', ''), None)
            assert ast.literal_eval(given['default_value']) in (choices or ast.literal_eval(given['choices']))


def test_arguments_are_the_same_when_both_files_have_them():
    described = {}
    for name in ('demo.launch.py', 'node.launch.py'):
        for call in calls(tree_of(name), 'DeclareLaunchArgument'):
            described.setdefault(call.args[0].value, []).append(ast.dump(keywords(call)['default_value']))
    for argument in ('namespace', 'image_topic', 'params_file', 'use_sim_time', 'log_level'):
        assert len(described[argument]) == 2 and len(set(described[argument])) == 1, argument


@pytest.mark.parametrize('name', ['node.launch.py', 'cameras.launch.py'])
def test_node_launch_names_what_exists(name):
    [call] = calls(tree_of(name), 'Node')
    given = keywords(call)
    assert ast.literal_eval(given['executable']) in executables()
    assert ast.literal_eval(given['package']) == 'facial_emotion_ros'
    for mapping in [node for node in ast.walk(tree_of(name)) if isinstance(node, ast.Dict)]:
        names = {key.value for key in mapping.keys}
        assert names <= set(parameters_of('emotion_node')) | {'use_sim_time'}


def test_cameras_launch_gives_each_node_a_place_of_its_own():
    given = {name: ast.dump(value) for name, value in keywords(calls(tree_of('cameras.launch.py'), 'Node')[0]).items()}
    assert "attr='name'" in given['namespace'] and "attr='image_topic'" in given['remappings']
    assert "'output.humans_prefix'" in given['parameters'] and "attr='humans_prefix'" in given['parameters']


@pytest.mark.parametrize('name', ['node.launch.py', 'cameras.launch.py'])
def test_a_process_is_started_again_when_it_crashed_and_stays_down_when_that_would_not_help(name):
    tree = tree_of(name)
    [respawn] = [keywords(call) for call in calls(tree, 'DeclareLaunchArgument') if call.args[0].value == 'respawn']
    assert ast.literal_eval(respawn['default_value']) == 'true'
    [node] = calls(tree, 'Node')
    [on_exit] = [step for step in tree.body if getattr(step, 'name', '') == keywords(node)['on_exit'].id]
    # What it does by itself, with stand-ins for launch; test/ros/test_launch.py runs it for real.
    names = {'EmitEvent': lambda event: event, 'matches_action': lambda action: action,
             'ShutdownProcess': lambda process_matcher: process_matcher}
    exec(compile(ast.Module([on_exit], []), name, 'exec'), names)
    kept_down = [status for status in (0, 1, 2, -signal.SIGALRM, -signal.SIGSEGV)
                 if names[on_exit.name](SimpleNamespace(returncode=status, action='it'), None) == ['it']]
    assert kept_down == [0, 2]


def parameters_given(node):
    """Return the parameters that a launch gives a node besides its files, and the files."""
    files = [each for each in node['parameters'] if isinstance(each, str)]
    return {name: value for each in node['parameters'] if isinstance(each, dict) for name, value in each.items()}, files


@pytest.mark.parametrize('name, own', [
    ('node.launch.py', {}), ('cameras.launch.py', {'output.humans_prefix': '/camera/humans'}),
    ('demo.launch.py', {})])
def test_a_launch_leaves_parameters_to_the_file_when_no_argument_is_given(monkeypatch, name, own):
    [node] = [node for node in nodes_of(monkeypatch, name) if node['name'] == 'emotion_node']
    given, [file] = parameters_given(node)
    assert given == own, 'what stands here wins over the parameter file and over SetParameter'
    assert {} not in node['parameters'], 'launch_ros would write a file for it'
    assert os.path.samefile(file, os.path.join(ROOT, 'config', 'emotion_node.yaml'))
    assert node.get('respawn', True) is True


@pytest.mark.parametrize('text, value', [('true', True), ('True', True), ('1', True), ('false', False),
                                         ('False', False), ('0', False)])
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


@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_every_file_exists_when_named(name):
    for call in calls(tree_of(name), 'PathJoinSubstitution'):
        parts = [part.value for part in call.args[0].elts[1:]]
        assert os.path.isfile(os.path.join(ROOT, *parts)), parts


def test_demo_launch_takes_every_process_from_the_graph():
    tree = tree_of('demo.launch.py')
    assert len(calls(tree, 'demo_processes')) == 1
    [node] = calls(tree, 'Node')
    for field in ('executable', 'name', 'parameters', 'remappings'):
        assert 'process' in ast.dump(keywords(node)[field]), 'a process is described in demo_graph.py, not here'


def test_demo_launch_gives_parameters_that_exist():
    [call] = calls(tree_of('demo.launch.py'), 'demo_processes')
    source = {key.value for key in keywords(call)['source'].keys}
    assert source <= set(parameters_of('media_source'))


def test_graph_names_what_exists():
    installed = executables()
    processes = demo_processes({'source.kind': 'sample'}, '/tmp/out')
    assert [process.name for process in processes] == ['media_source', 'emotion_node', 'console_view']
    for process in processes:
        assert installed[process.executable] == process.module
        assert importlib.util.find_spec(process.module.rpartition('.')[0])
        assert os.path.isfile(os.path.join(ROOT, *process.module.split('.')) + '.py')
        assert set(process.parameters) <= set(parameters_of(process.name))
        assert all(os.path.isfile(path) for path in process.parameter_files)


def test_demo_file_sets_parameters_that_exist():
    yaml = pytest.importorskip('yaml')
    with open(os.path.join(ROOT, 'config', 'demo.yaml')) as source:
        content = yaml.safe_load(source)
    assert set(content) == {'/**/media_source', '/**/console_view'}
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


def test_profile_of_the_user_is_kept_when_there_is_one():
    assert set(transport_environment({})) == set(PROFILE_VARIABLES)
    assert all(os.path.isfile(path) for path in transport_environment({}).values())
    for name in PROFILE_VARIABLES:
        assert transport_environment({name: '/mine.xml'}) == {}


@pytest.mark.parametrize('distribution, has_profile', [('jazzy', True), ('kilted', True), ('humble', False),
                                                       ('galactic', False), ('foxy', False)])
def test_profile_is_left_out_when_it_would_open_the_network(distribution, has_profile):
    assert bool(transport_environment({'ROS_DISTRO': distribution})) is has_profile


@pytest.mark.parametrize('environ, added', [
    ({}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
    ({'ROS_DISTRO': 'jazzy', 'ROS_LOCALHOST_ONLY': '0'}, {'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}),
    ({'ROS_DISTRO': 'jazzy', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET'}, {}),
    ({'ROS_DISTRO': 'humble'}, {'ROS_LOCALHOST_ONLY': '1'}),
    ({'ROS_DISTRO': 'humble', 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}, {'ROS_LOCALHOST_ONLY': '1'}),
    ({'ROS_DISTRO': 'humble', 'ROS_LOCALHOST_ONLY': '0'}, {}),
])
def test_processes_stay_on_this_machine_unless_the_user_has_chosen(environ, added):
    assert localhost_environment(environ) == added


def test_demo_launch_keeps_every_process_on_this_machine():
    [node] = calls(tree_of('demo.launch.py'), 'Node')
    given = keywords(node)['additional_env']
    assert {'transport_environment', 'localhost_environment'} <= {
        getattr(call.func, 'id', '') for call in ast.walk(given) if isinstance(call, ast.Call)}


@pytest.mark.skipif(not has_launch(), reason='launch_ros is not installed (it is on neither PyPI nor Debian)')
@pytest.mark.parametrize('name', LAUNCH_FILES)
def test_launch_file_loads_when_launch_is_there(name):
    program = ('import sys; from launch import LaunchContext; from launch.launch_description_sources import *;'
               'found = PythonLaunchDescriptionSource(sys.argv[1]).get_launch_description(LaunchContext());'
               'print(len(found.get_launch_arguments()))')
    shown = subprocess.run([sys.executable, '-c', program, os.path.join(ROOT, 'launch', name)],
                           stdout=subprocess.PIPE, check=True)
    # Those of an included file are arguments too.
    assert int(shown.stdout) >= len(calls(tree_of(name), 'DeclareLaunchArgument'))
