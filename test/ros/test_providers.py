"""Missing and failing execution providers, and the power report, as somebody sees them who watches the node."""

import os
import shutil
import sys

import onnxruntime
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from vision_msgs.msg import Detection2DArray

from conftest import Process, check_clean_end
from graph_peer import REPOSITORY

HERE = os.path.dirname(os.path.abspath(__file__))
PROVIDERS = "['TensorrtExecutionProvider','CUDAExecutionProvider','CPUExecutionProvider']"


@pytest.fixture
def stand_in_node(start_node, ros_environment, tmp_path):
    """Start a node on stand-ins for the providers that this machine lacks."""
    started = []

    def launch(configuration, **parameters):
        command = [sys.executable, os.path.join(HERE, 'stand_in_node.py'), '--ros-args', '-p',
                   'diagnostics.period_s:=0.1', '-p', 'input.timeout_s:=30.0', '-p',
                   'inference.providers:=%s' % PROVIDERS, '-p', 'inference.face_batch:=2', '-p',
                   'inference.engine_cache:=%s' % (tmp_path / 'engines')]
        started.append(Process(command, dict(ros_environment, STAND_IN=configuration), tmp_path / 'stand_in.log'))
        return started[0]

    yield launch
    for process in started:
        check_clean_end(process)


def sensor(root, milliwatts):
    """Make the sensor of a Jetson TX2 below a folder."""
    folder = root / 'bus/i2c/devices/0-0041/iio:device1'
    folder.mkdir(parents=True)
    (folder / 'rail_name_0').write_text('VDD_IN\n')
    (folder / 'in_power0_input').write_text('%d\n' % milliwatts)
    return folder


def test_a_robot_without_its_gpu_works_on_and_reports_its_power(start_node, peer, tmp_path):
    folder = sensor(tmp_path / 'sys', 5215)
    node = start_node(inference__providers=PROVIDERS, inference__precision='fp16', inference__face_batch=4,
                      power__report=True, power__root=tmp_path / 'sys')
    node.wait_for('Active: ')
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.first_answer(camera, heard, health)
    [warning] = [line for line in node.output().splitlines() if '[WARN]' in line]
    assert 'TensorrtExecutionProvider' in warning and 'CUDAExecutionProvider' in warning
    parts = health.parts()
    assert parts['inference'].level == DiagnosticStatus.WARN and 'docs/jetson.md' in parts['inference'].message
    assert parts['power'].level == DiagnosticStatus.OK and health.values('power')['total_w'] == '5.215'
    shutil.rmtree(str(folder))
    status = peer.wait(lambda: health.parts()['power'].level == DiagnosticStatus.WARN and health.parts()['power'],
                       'power without its sensor')
    assert 'no power sensor' in status.message
    assert peer.state() == 'active'


@pytest.mark.parametrize('board, batch', [('tx2', 2), ('xavier', 4), ('orin', 4)])
def test_a_board_s_parameter_file_works_on_the_cpu_and_warns_once_when_its_gpu_is_missing(
        start_node, peer, board, batch):
    if set(onnxruntime.get_available_providers()) & {'TensorrtExecutionProvider', 'CUDAExecutionProvider'}:
        pytest.skip('this ONNX Runtime has a GPU provider')
    file = os.path.join(REPOSITORY, 'config', 'jetson_%s.yaml' % board)
    node = start_node('--params-file', file, '-r', '__ns:=/robot')
    peer.wait_state('active', '/robot/emotion_node')
    [face_batch] = peer.get_parameters(['inference.face_batch'], '/robot/emotion_node')
    assert face_batch.integer_value == batch
    heard, camera = peer.listen(Detection2DArray, '/robot/detections'), peer.camera('/robot/image')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    [warning] = [line for line in node.output().splitlines() if '[WARN]' in line]
    assert 'TensorrtExecutionProvider' in warning and 'CUDAExecutionProvider' in warning


def test_every_frame_is_answered_when_the_gpu_fails_at_work(stand_in_node, peer):
    # Configuring runs the detector and the network once each on CUDA; then a frame takes both.
    node = stand_in_node('TensorrtExecutionProvider=open CUDAExecutionProvider=6,7,8')
    node.wait_for('Active: ')
    camera, health = peer.camera(), peer.health()
    heard = peer.listen(Detection2DArray, 'detections')
    peer.wait(camera.watched_reliably, 'a subscription')
    assert health.values('inference').get('provider', '') in ('', 'CUDAExecutionProvider')
    for number in range(1, 7):
        camera.shoot()
        peer.wait(lambda number=number: len(heard) == number, 'answer %d' % number)
        assert heard[-1].detections, 'the face is found in every frame'
    counts = peer.wait(lambda: health.settled(6), 'the counters')
    assert (counts['processed'], counts['failed']) == (6, 0)
    first, second = [line for line in node.output().splitlines() if '[WARN]' in line]
    assert 'TensorrtExecutionProvider' in first and 'no device was found' in first
    assert 'CUDA failure 700' in second and 'from now on' in second
    assert health.values('inference')['provider'] == 'CPUExecutionProvider'
    assert health.parts()['inference'].level == DiagnosticStatus.WARN
    assert 'Traceback' not in node.output() and '[ERROR]' not in node.output()
