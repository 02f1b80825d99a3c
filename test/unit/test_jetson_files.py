"""What is shipped for Jetson boards and for containers: launch files, parameter files, Dockerfiles, their document."""

import ast
import os

import pytest

from facial_emotion_ros.ros.parameters import TABLE, checked

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BOARDS = ('orin', 'tx2', 'xavier')
DEFAULTS = {row.name: row.default for row in TABLE}


def text_of(*path):
    """Read a file of the checkout."""
    with open(os.path.join(ROOT, *path)) as stream:
        return stream.read()


def settings(board):
    """Return the parameters of a board's file: name -> value."""
    yaml = pytest.importorskip('yaml', reason='PyYAML is not installed')
    [(pattern, section)] = yaml.safe_load(text_of('config', 'jetson_%s.yaml' % board)).items()
    assert pattern == '/**/emotion_node', 'it must hold in every namespace'
    return {'%s.%s' % (group, leaf): value for group, leaves in section['ros__parameters'].items()
            for leaf, value in leaves.items()}


@pytest.mark.parametrize('board', BOARDS)
def test_every_value_of_a_board_fits_the_table_and_differs_from_the_default(board):
    for name, value in settings(board).items():
        assert checked(name, value) == value and type(value) is type(DEFAULTS[name]), name
        assert value != DEFAULTS[name], '%s says what is so anyway' % name


@pytest.mark.parametrize('board', BOARDS)
def test_a_board_prefers_tensorrt_and_falls_back_to_the_cpu(board):
    chosen = settings(board)
    assert chosen['inference.providers'] == ['TensorrtExecutionProvider', 'CUDAExecutionProvider',
                                             'CPUExecutionProvider']
    assert chosen['inference.precision'] == 'fp16', 'no embedded model is made for int8'
    assert chosen['inference.face_batch'] > 0, 'a free batch makes TensorRT build its engine anew'
    assert chosen['inference.max_faces'] % chosen['inference.face_batch'] == 0, 'a last batch would be padded for none'
    assert chosen['power.report'] is True


@pytest.mark.parametrize('board', BOARDS)
def test_a_board_s_launch_file_is_the_node_s_with_another_parameter_file(board):
    tree = ast.parse(text_of('launch', 'jetson_%s.launch.py' % board))
    places = [[part.value for part in call.args[0].elts[1:]] for call in ast.walk(tree)
              if isinstance(call, ast.Call) and getattr(call.func, 'id', '') == 'PathJoinSubstitution']
    assert places == [['config', 'jetson_%s.yaml' % board], ['launch', 'node.launch.py']]
    assert 'Not run on a board' in ast.get_docstring(tree)


@pytest.mark.parametrize('board', BOARDS)
def test_the_three_launch_files_differ_in_the_board_alone(board):
    def plain(name):
        body = text_of('launch', 'jetson_%s.launch.py' % name).split('"""', 2)[2]
        return body.replace('jetson_%s' % name, 'jetson')
    assert plain(board) == plain('tx2')
