"""What is shipped for Jetson boards and for containers: launch files, parameter files, Dockerfiles, their document."""

import ast
import fnmatch
import hashlib
import os
import re
from xml.etree import ElementTree

import pytest
from places import ROOT, read
from programs import ended, printed

from facial_emotion_ros.ros.parameters import TABLE, check_value

BOARDS = ('orin', 'tx2', 'xavier')
ROWS = {row.name: row for row in TABLE}
DEFAULTS = {row.name: row.default for row in TABLE}


def settings(board):
    """Return the parameters of a board's file: name -> value."""
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')
    [(pattern, section)] = yaml.safe_load(read('config', 'jetson_%s.yaml' % board)).items()
    assert pattern == '/**/emotion_node', 'it must hold in every namespace'
    return {
        '%s.%s' % (group, leaf): value
        for group, leaves in section['ros__parameters'].items()
        for leaf, value in leaves.items()
    }


@pytest.mark.parametrize('board', BOARDS)
def test_every_value_of_a_board_fits_the_table_and_differs_from_the_default(board):
    for name, value in settings(board).items():
        assert check_value(ROWS[name], value) == value and type(value) is type(DEFAULTS[name]), name
        assert value != DEFAULTS[name], '%s says what is so anyway' % name


@pytest.mark.parametrize('board', BOARDS)
def test_a_board_prefers_tensorrt_and_falls_back_to_the_cpu(board):
    chosen = settings(board)
    assert chosen['inference.providers'] == [
        'TensorrtExecutionProvider',
        'CUDAExecutionProvider',
        'CPUExecutionProvider',
    ]
    # The GPU of TX2 has no int8; on Orin nobody has tried it.
    assert chosen['inference.precision'] == ('int8' if board == 'xavier' else 'fp16')
    assert chosen['inference.face_batch'] > 0, 'a free batch makes TensorRT build its engine anew'
    assert chosen['inference.max_faces'] % chosen['inference.face_batch'] == 0, 'a last batch would be padded for none'
    assert chosen['power.report'] is True


def instructions(name):
    """Return the instructions of a Dockerfile as (word, rest), comments left out and continued lines joined."""
    lines = [line for line in read('docker', name).splitlines() if not line.lstrip().startswith('#')]
    joined = re.sub(r'\\\n', ' ', '\n'.join(lines))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


DOCKERFILES = sorted(name for name in os.listdir(os.path.join(ROOT, 'docker')) if name.endswith('.Dockerfile'))


@pytest.mark.parametrize('name', DOCKERFILES)
def test_everything_from_elsewhere_is_pinned(name):
    found = instructions(name)
    defaults = dict(rest.split('=', 1) for word, rest in found if word == 'ARG')
    [base] = [rest for word, rest in found if word == 'FROM']
    assert base == '${BASE_IMAGE}'
    image = defaults['BASE_IMAGE']
    assert re.match(
        '(ros:jazzy-ros-base-noble|python:3.12-slim-bookworm)@sha256:[0-9a-f]{64}$|'
        r'dustynv/ros:humble-ros-base-l4t-r\d+\.\d+\.\d+$',
        image,
    )
    for argument, value in defaults.items():
        if argument.endswith('_COMMIT'):
            assert re.match('[0-9a-f]{40}$', value), argument
        if argument.endswith('_WHEEL'):
            assert re.match(r'onnxruntime_gpu-\d+\.\d+\.\d+-cp3\d+-cp3\d+m?-linux_aarch64\.whl$', value)
    commands = re.findall(r'pip install (.*?) &&', ' '.join(rest for word, rest in found if word == 'RUN'))
    assert commands
    for command in commands:
        # The wheel of a Jetson, whose hash was compared before, or a lock with hashes.
        assert '--no-deps' in command and ('"./${ONNXRUNTIME_WHEEL}"' in command or '--require-hashes' in command)


def run_of(name, part):
    """Return the one RUN instruction of a Dockerfile that holds a text."""
    [found] = [rest for word, rest in instructions(name) if word == 'RUN' and part in rest]
    return found


@pytest.mark.parametrize('name', ['jetson_tx2.Dockerfile', 'jetson_xavier.Dockerfile'])
@pytest.mark.parametrize('given', ['', 'abc', 'A' * 64, '0' * 63 + '\n'])
def test_a_build_ends_when_nobody_says_what_the_wheel_must_be(name, given):
    command = ['bash', '-e', '-o', 'pipefail', '-c', run_of(name, '[[ "${ONNXRUNTIME_SHA256}"')]
    shown = printed(*command, status=1, env=dict(os.environ, ONNXRUNTIME_SHA256=given, ONNXRUNTIME_WHEEL='x.whl'))
    assert 'expected --build-arg ONNXRUNTIME_SHA256=... (64 digits) of x.whl' in shown


@pytest.mark.parametrize('name', ['jetson_tx2.Dockerfile', 'jetson_xavier.Dockerfile'])
def test_a_wheel_with_another_hash_is_not_installed(name, tmp_path):
    (tmp_path / 'served.whl').write_text('exchanged')
    (tmp_path / 'wget').write_text('#!/bin/sh\ncp served.whl "$3"\n')
    (tmp_path / 'python3').write_text('#!/bin/sh\necho installed\n')
    for each in ('wget', 'python3'):
        (tmp_path / each).chmod(0o755)
    for digest, installs in (('0' * 64, False), (hashlib.sha256(b'exchanged').hexdigest(), True)):
        environment = dict(
            os.environ,
            ONNXRUNTIME_SHA256=digest,
            ONNXRUNTIME_WHEEL='x.whl',
            ONNXRUNTIME_URL='https://wheels.example',
            PATH='%s:%s' % (tmp_path, os.environ['PATH']),
        )
        command = ['bash', '-e', '-o', 'pipefail', '-c', run_of(name, 'wget ')]
        ran = ended(*command, cwd=str(tmp_path), env=environment)
        assert ('installed' in ran.stdout) is installs, ran.stdout


@pytest.mark.parametrize(
    'name, lock, package',
    [('x86.Dockerfile', 'run.lock', 'onnxruntime'), ('jetson_tx2.Dockerfile', 'floor_3.6.lock', 'dataclasses')],
)
def test_what_pip_gets_is_the_entry_of_the_lock_with_all_its_hashes(name, lock, package):
    assert ('COPY', 'requirements/%s /opt/requirements.lock' % lock) in instructions(name)
    program = re.search("awk '([^']*)'", run_of(name, 'awk ')).group(1)
    taken = printed('awk', program, os.path.join(ROOT, 'requirements', lock))
    entries = [line for line in taken.splitlines() if not line.startswith(' ')]
    assert entries and all(line.startswith(package + '==') for line in entries)
    assert re.search('--hash=sha256:[0-9a-f]{64}', taken)


#: What the image ros-base brings of our dependencies. Source: github.com/ros2/variants, ros_base and ros_core.
ROS_BASE = set(
    'diagnostic_msgs geometry_msgs launch launch_ros lifecycle_msgs rcl_interfaces rclpy rosgraph_msgs sensor_msgs '
    'std_msgs std_srvs tf2_msgs python3-yaml'.split()
)


def test_the_x86_image_gets_by_apt_what_its_base_lacks():
    manifest = ElementTree.fromstring(read('package.xml'))
    needed = {each.text for each in manifest.findall('exec_depend')} - ROS_BASE
    needed.remove('python3-onnxruntime-pip')  # by pip, from the lock
    names = {'python3-pip'}
    names |= {name if name.startswith('python3-') else 'ros-jazzy-' + name.replace('_', '-') for name in needed}
    command = run_of('x86.Dockerfile', 'apt-get install')
    assert set(re.findall(r'(?:python3|ros)-[\w-]+', command)) == names


@pytest.mark.parametrize('name', DOCKERFILES)
def test_a_container_does_not_run_as_root(name):
    words = [word for word, _ in instructions(name)]
    assert ('USER', '1000') in instructions(name)
    assert words.index('USER') < words.index('CMD') and 'RUN' not in words[words.index('USER') :]
    assert 'install -d -o 1000' in run_of(name, 'useradd'), 'a new volume takes its owner from the image'


@pytest.mark.parametrize('name', DOCKERFILES)
def test_every_file_is_there_and_is_sent_when_it_is_copied(name):
    rules = [line for line in read('.dockerignore').splitlines() if line and not line.startswith('#')]
    assert rules[0] == '*'
    sent = [rule[1:] for rule in rules if rule.startswith('!')]
    copied = [source for word, rest in instructions(name) if word == 'COPY' for source in rest.split()[:-1]]
    for source in copied:
        assert os.path.exists(os.path.join(ROOT, source)), source
        assert any(fnmatch.fnmatch(part, rule) for part in (source, source.split('/')[0]) for rule in sent), source
    # What setup.py installs, and the sources themselves.
    installed = re.findall(r"'(\w+)'", re.search(r'share_files\(([^)]*)\),', read('setup.py')).group(1))
    assert set(installed) | {'facial_emotion_ros', 'resource', 'setup.py', 'setup.cfg', 'package.xml'} <= set(copied)


@pytest.mark.parametrize('name', [name for name in DOCKERFILES if name != 'ray.Dockerfile'])
def test_a_container_starts_the_launch_file_of_its_board(name):
    [command] = [ast.literal_eval(rest) for word, rest in instructions(name) if word == 'CMD']
    assert command[:3] == ['ros2', 'launch', 'facial_emotion_ros']
    assert os.path.isfile(os.path.join(ROOT, 'launch', command[3]))
    assert command[3].split('.')[0] == {'x86.Dockerfile': 'node'}.get(name, name.split('.')[0])
    [entrance] = [ast.literal_eval(rest) for word, rest in instructions(name) if word == 'ENTRYPOINT']
    assert ('COPY', 'docker/entrypoint.sh %s' % entrance[0]) in instructions(name)
    assert os.access(os.path.join(ROOT, 'docker', 'entrypoint.sh'), os.X_OK)


@pytest.mark.parametrize('name', DOCKERFILES)
def test_every_command_is_a_sentence_that_bash_can_parse(name):
    commands = [['-c', rest] for word, rest in instructions(name) if word == 'RUN']
    assert commands
    for command in [*commands, [os.path.join(ROOT, 'docker', 'entrypoint.sh')]]:
        printed('bash', '-n', *command)


@pytest.mark.parametrize('name, python', [('jetson_tx2', '36'), ('jetson_xavier', '38')])
def test_the_wheel_fits_the_python_of_the_base(name, python):
    text = read('docker', name + '.Dockerfile')
    assert '-cp%s-' % python in text
    assert ('dataclasses==' in text) is (python == '36'), 'Python 3.6 lacks dataclasses'
