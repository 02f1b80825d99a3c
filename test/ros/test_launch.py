"""The launch files run for real, where launch_ros and an installation of the package are there."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys

import onnxruntime
import pytest
from vision_msgs.msg import Detection2DArray

from facial_emotion_ros.core.resources import find_executable

PROGRAM = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import PathJoinSubstitution
from launch_ros.actions import SetParameter
from launch_ros.substitutions import FindPackageShare

path = PathJoinSubstitution([FindPackageShare('facial_emotion_ros'), 'launch', sys.argv[1]])
arguments = [word.split(':=') for word in sys.argv[2:]]
before = [SetParameter(name[4:], value == 'true') for name, value in arguments if name.startswith('set:')]
arguments = [pair for pair in arguments if not pair[0].startswith('set:')]
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription(before + [
    IncludeLaunchDescription(PythonLaunchDescriptionSource(path), launch_arguments=arguments)]))
sys.exit(service.run())
"""

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec('launch_ros') is None,
        reason='launch_ros is not installed (it is on neither PyPI nor Debian)',
    ),
    pytest.mark.skipif(not find_executable('emotion_node'), reason='no installation of the package is sourced'),
]


@pytest.fixture
def launch(ros_environment, tmp_path):
    """Start a launch file with its arguments."""
    launches = []

    def start(name, *arguments):
        with open(tmp_path / 'launch.log', 'wb') as log:
            launches.append(
                subprocess.Popen(
                    [sys.executable, '-c', PROGRAM, name, *arguments],
                    env=ros_environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                )
            )
        return launches[-1]

    yield start
    for process in launches:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0, (tmp_path / 'launch.log').read_text()


def test_node_is_active_in_its_namespace_and_quiet_when_launched_so(launch, peer, tmp_path):
    launch('node.launch.py', 'namespace:=robot', 'image_topic:=/front/image_raw', 'log_level:=warn')
    peer.wait_state('active', '/robot/emotion_node')
    readings = peer.listen(Detection2DArray, '/robot/detections')
    camera = peer.camera('/front/image_raw')
    peer.wait(lambda: readings, 'an answer', each=camera.shoot)
    assert not re.search(r'\[INFO\] \[[0-9.]+\] \[robot\.emotion_node\]', (tmp_path / 'launch.log').read_text())


def test_node_waits_for_a_manager_when_launched_without_autostart(launch, peer):
    launch('node.launch.py', 'autostart:=false', 'use_sim_time:=true')
    assert peer.state() == 'unconfigured'
    [sim_time] = peer.get_parameters(['use_sim_time'])
    assert sim_time.bool_value is True


@pytest.mark.parametrize(
    'name, node', [('node.launch.py', '/emotion_node'), ('cameras.launch.py', '/camera/emotion_node')]
)
def test_the_parameter_file_holds_when_no_argument_is_given(launch, peer, tmp_path, name, node):
    file = tmp_path / 'parameters.yaml'
    file.write_text('/**: {ros__parameters: {autostart: false, use_sim_time: true}}')
    launch(name, 'params_file:=%s' % file)
    values = peer.get_parameters(['autostart', 'use_sim_time'], node)
    assert [value.bool_value for value in values] == [False, True]
    assert peer.state(node) == 'unconfigured'


@pytest.mark.parametrize(
    'name, node',
    [
        ('node.launch.py', '/emotion_node'),
        ('cameras.launch.py', '/camera/emotion_node'),
        ('jetson_tx2.launch.py', '/emotion_node'),
    ],
)
def test_what_the_robot_sets_for_all_holds_when_no_argument_is_given(launch, peer, name, node):
    launch(name, 'set:use_sim_time:=true', 'set:autostart:=false')
    values = peer.get_parameters(['autostart', 'use_sim_time'], node)
    assert [value.bool_value for value in values] == [False, True]


def test_arguments_win_when_python_spells_them(launch, peer, tmp_path):
    file = tmp_path / 'parameters.yaml'
    file.write_text('/**: {ros__parameters: {autostart: true, use_sim_time: false}}')
    launch('node.launch.py', 'params_file:=%s' % file, 'use_sim_time:=True', 'autostart:=False', 'respawn:=False')
    values = peer.get_parameters(['autostart', 'use_sim_time'])
    assert [value.bool_value for value in values] == [False, True]


def test_arguments_come_before_the_parameter_file_when_given(launch, peer):
    launch(
        'node.launch.py',
        'transport:=compressed',
        'humans_prefix:=/front/humans',
        'mode:=image',
        'esr:=esr_9_ferplus_int8',
    )
    peer.wait_state('active')
    names = ['input.transport', 'output.humans_prefix', 'input.mode', 'inference.bundle']
    assert [value.string_value for value in peer.get_parameters(names)] == [
        'compressed',
        '/front/humans',
        'image',
        'esr_9_ferplus_int8',
    ]


def test_another_node_is_started_when_the_process_is_killed(launch, peer, tmp_path):
    process = launch('node.launch.py')
    peer.wait_state('active')
    pattern = r'process started with pid \[(\d+)\]'
    log = tmp_path / 'launch.log'
    os.kill(int(re.search(pattern, log.read_text()).group(1)), signal.SIGKILL)
    peer.wait(lambda: len(re.findall(pattern, log.read_text())) == 2, 'another process', 30.0)
    # That one gets a signal, and launch has nothing left to do.
    peer.wait(lambda: log.read_text().count('Active: ') == 2, 'an active node', 30.0)
    os.kill(int(re.findall(pattern, log.read_text())[1]), signal.SIGINT)
    peer.wait(lambda: process.poll() is not None, 'the end of the launch', 30.0)
    assert len(re.findall(pattern, log.read_text())) == 2


def test_no_other_node_is_started_when_its_arguments_are_refused(launch, peer, tmp_path):
    process = launch('node.launch.py', 'log_level:=bogus')
    peer.wait(lambda: process.poll() is not None, 'the end of the launch', 30.0)
    assert (tmp_path / 'launch.log').read_text().count('process started with pid') == 1


def test_humans_topics_are_off_when_launched_with_none(launch, peer):
    launch('node.launch.py', 'humans_prefix:=none')
    peer.wait_state('active')
    values = peer.get_parameters(['output.humans_prefix', 'input.transport'])
    assert [value.string_value for value in values] == ['', 'auto'], 'an argument that is not given changes something'


@pytest.mark.parametrize('board, batch', [('tx2', 2), ('xavier', 4), ('orin', 4)])
def test_a_board_s_node_works_on_the_cpu_and_warns_once_when_its_gpu_is_missing(launch, peer, tmp_path, board, batch):
    if set(onnxruntime.get_available_providers()) & {'TensorrtExecutionProvider', 'CUDAExecutionProvider'}:
        pytest.skip('this ONNX Runtime has a GPU provider')
    launch('jetson_%s.launch.py' % board, 'namespace:=robot')
    peer.wait_state('active', '/robot/emotion_node')
    [face_batch] = peer.get_parameters(['inference.face_batch'], '/robot/emotion_node')
    assert face_batch.integer_value == batch
    readings = peer.listen(Detection2DArray, '/robot/detections')
    camera = peer.camera('/robot/image')
    peer.wait(lambda: readings, 'an answer', each=camera.shoot)
    [warning] = [line for line in (tmp_path / 'launch.log').read_text().splitlines() if '[WARN]' in line]
    assert 'TensorrtExecutionProvider' in warning and 'CUDAExecutionProvider' in warning


def test_demo_ends_with_a_summary_when_launched(launch, peer, tmp_path):
    process = launch(
        'demo.launch.py',
        'duration_s:=2.0',
        'namespace:=robot',
        'image_topic:=/front/image_raw',
        'output_folder:=%s' % (tmp_path / 'out'),
    )
    peer.wait(lambda: process.poll() is not None, 'the end of the launch', 60.0)
    text = (tmp_path / 'launch.log').read_text()
    assert process.returncode == 0, text
    assert 'No image' not in text, 'the end of the source is no fault'
    summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
    assert summary['frames'] >= 2 and 'robot' in ''.join(summary['diagnostics']), text


@pytest.mark.parametrize('arguments', [(), ('clock:=0', 'namespace:=robot', 'rate:=0.5')])
def test_answers_are_recorded_when_a_recording_is_replayed(launch, peer, tmp_path, arguments):
    pytest.importorskip('rosbags', reason='rosbags is not installed: scripts/setup --tests does that')
    from facial_emotion_ros.recordings.io.bag_file import BagFile
    from facial_emotion_ros.recordings.io.sample_bag import write_sample_bag

    write_sample_bag(str(tmp_path / 'film'), seconds=2.0, width=320, height=240)
    process = launch(
        'replay.launch.py', 'bag:=%s' % (tmp_path / 'film'), 'output:=%s' % (tmp_path / 'answers'), *arguments
    )
    peer.wait(lambda: process.poll() is not None, 'the end of the launch', 60.0)
    text = (tmp_path / 'launch.log').read_text()
    assert process.returncode == 0 and 'No image' not in text, text
    with BagFile(str(tmp_path / 'answers')) as answers:
        assert not answers.faults
        topic = answers.topics['/robot/detections' if 'namespace:=robot' in arguments else '/detections']
        assert topic.count >= 10, text
        reported = [message.read() for message in answers.messages((topic.name,))]
        # The sample shows faces from its first image on.
        assert [len(message.detections) for message in reported].count(0) <= 2, 'no face in many answers'
        face = reported[-1].detections[0]
        assert face.id and len(face.results) >= 8 and face.bbox.size_x > 20
        stamps = [message.header.stamp.sec for message in reported]
        # Stamps are the recording's; the time of recording is, too, where the clock is.
        assert set(stamps) <= {1767225600, 1767225601}
        assert (answers.start_ns < 1767225700 * 10**9) is ('clock:=0' not in arguments)


def test_launch_ends_when_nothing_can_be_played(launch, peer, tmp_path):
    process = launch('demo.launch.py', 'source:=images', 'path:=/nowhere')
    peer.wait(lambda: process.poll() is not None, 'the end of the launch', 60.0)
    assert "a picture file or a folder of them, got '/nowhere'" in (tmp_path / 'launch.log').read_text()
