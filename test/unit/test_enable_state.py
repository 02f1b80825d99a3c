"""What ~/enable was set to, over restarts."""

import os

import pytest
from small_disk import small_disk

from facial_emotion_ros.ros.enable_state import EnableState


def state_in(folder, node='/robot/emotion_node'):
    return EnableState(node, {'ROS_HOME': str(folder)})


def test_a_node_starts_as_it_was_set_last_and_each_node_for_itself(tmp_path):
    assert state_in(tmp_path).restore() is True, 'the first start'
    state_in(tmp_path).store(False)
    assert state_in(tmp_path).restore() is False and state_in(tmp_path).restore() is False
    assert state_in(tmp_path, '/emotion_node').restore() is True
    state_in(tmp_path).store(True)
    assert state_in(tmp_path).restore() is True


@pytest.mark.parametrize('content', [b'', b'on', b'of\n', b'\0\0\0\0', b'on\n' * 9])
def test_a_damaged_file_is_neither_on_nor_off(tmp_path, content):
    state = state_in(tmp_path)
    os.makedirs(os.path.dirname(state.path))
    with open(state.path, 'wb') as stream:
        stream.write(content)
    with pytest.raises(ValueError, match="expected 'on' or 'off' in .*robot.emotion_node, got"):
        state.restore()


@pytest.mark.parametrize('home', ['{folder}/a_file', 'relative'])
def test_a_place_that_cannot_be_written_shows_at_the_first_start(tmp_path, home):
    (tmp_path / 'a_file').write_text('')
    with pytest.raises(OSError):
        state_in(home.format(folder=tmp_path)).restore()


def test_a_node_that_was_disabled_on_a_full_disk_does_not_start_enabled(tmp_path):
    with small_disk(tmp_path / 'disk', 64) as disk:
        assert state_in(disk.path).restore() is True
        with pytest.raises(OSError, match='No space'), open(disk.path / 'rest', 'wb') as rest:
            rest.write(bytes(1 << 20))
        with pytest.raises(OSError, match='No space'):
            state_in(disk.path).store(False)
        with pytest.raises(ValueError):
            state_in(disk.path).restore()
