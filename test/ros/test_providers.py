"""Missing and failing execution providers, and the power report, as somebody sees them who watches the node."""

import os
import shutil

import onnxruntime
import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from vision_msgs.msg import Detection2DArray

from graph_peer import REPOSITORY


def sensor(root, milliwatts):
    """Make the sensor of a Jetson TX2 below a folder."""
    folder = root / 'bus/i2c/devices/0-0041/iio:device1'
    folder.mkdir(parents=True)
    (folder / 'rail_name_0').write_text('VDD_IN\n')
    (folder / 'in_power0_input').write_text('%d\n' % milliwatts)
    return folder


@pytest.fixture
def no_gpu():
    """Skip where ONNX Runtime has a GPU's provider."""
    if set(onnxruntime.get_available_providers()) & {'TensorrtExecutionProvider', 'CUDAExecutionProvider'}:
        pytest.skip('this ONNX Runtime has a GPU provider')


def board_file(board):
    """Return the words for the parameter file of a board."""
    return ['--params-file', os.path.join(REPOSITORY, 'config', 'jetson_%s.yaml' % board), '-r', '__ns:=/robot']


def check_warning(text):
    """Assert that there is one warning, of the providers that are missing."""
    [warning] = [line for line in text.splitlines() if '[WARN]' in line]
    assert 'TensorrtExecutionProvider' in warning and 'CUDAExecutionProvider' in warning


def test_a_robot_without_its_gpu_works_on_and_reports_its_power(no_gpu, start_node, peer, tmp_path):
    folder = sensor(tmp_path / 'sys', 5215)
    node = start_node(*board_file('orin'), power__root=tmp_path / 'sys')
    camera, health = peer.camera('/robot/image'), peer.health()
    heard = peer.listen(Detection2DArray, '/robot/detections')
    peer.first_answer(camera, heard, health)
    check_warning(node.output())
    parts = health.parts()
    assert parts['inference'].level == DiagnosticStatus.WARN and 'docs/jetson.md' in parts['inference'].message
    assert parts['power'].level == DiagnosticStatus.OK and health.values('power')['total_w'] == '5.215'
    shutil.rmtree(str(folder))
    status = peer.wait(
        lambda: health.parts()['power'].level == DiagnosticStatus.WARN and health.parts()['power'],
        'power without its sensor',
    )
    assert 'no power sensor' in status.message
    assert peer.state('/robot/emotion_node') == 'active'


@pytest.mark.parametrize('board, batch', [('tx2', 2), ('xavier', 4)])
def test_a_board_s_parameter_file_works_on_the_cpu_and_warns_once(no_gpu, node_here, peer, capfd, board, batch):
    node_here(*board_file(board))
    heard, camera = peer.listen(Detection2DArray, '/robot/detections'), peer.camera('/robot/image')
    peer.wait(lambda: heard, 'an answer', each=camera.shoot)
    [face_batch] = peer.get_parameters(['inference.face_batch'], '/robot/emotion_node')
    assert face_batch.integer_value == batch
    check_warning(capfd.readouterr().err)


def test_every_frame_is_answered_when_the_gpu_fails_at_work(start_variant, peer, tmp_path):
    # Configuring runs the detector and the network once each on CUDA; then a frame takes both.
    node = start_variant(
        'stand_in_node.py',
        {'STAND_IN': 'TensorrtExecutionProvider=open CUDAExecutionProvider=6,7,8'},
        inference__providers="['TensorrtExecutionProvider','CUDAExecutionProvider','CPUExecutionProvider']",
        inference__face_batch=2,
        inference__engine_cache=tmp_path / 'engines',
    )
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
