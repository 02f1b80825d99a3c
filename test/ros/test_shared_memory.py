"""A process that was killed leaves its shared memory; the next one of ours frees it, and nobody else's."""

import fcntl
import os
import re
import subprocess
import sys
import time

import pytest
from ros_processes import node_command

from facial_emotion_ros.ros.shared_memory import remove_stale_segments

FOLDER = '/dev/shm'


def segments_of(pid):
    """Return the names of Fast DDS's own segments that a process maps and owns (it locks the file beside)."""
    with open('/proc/%d/maps' % pid) as file:
        mapped = set(re.findall(r'/dev/shm/(fast(?:rtps|dds)_[0-9a-f]{16})$', file.read(), re.MULTILINE))
    owned = set()
    for name in os.listdir('/proc/%d/fd' % pid):
        try:
            target = os.readlink('/proc/%d/fd/%s' % (pid, name))
        except FileNotFoundError:  # closed meanwhile, such as that of the listing itself
            continue
        if target.endswith('_el'):
            owned.add(os.path.basename(target)[: -len('_el')])
    return mapped & owned


def make_old(segment):
    """Let a segment's lock file look a minute old."""
    then = time.time() - 60
    os.utime(os.path.join(FOLDER, segment + '_el'), (then, then))


def test_the_next_node_frees_what_a_killed_one_left(start_node, peer, ros_environment):
    killed = subprocess.Popen(
        [sys.executable] + node_command('-r', '__node:=killed', autostart=False),
        env=ros_environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        peer.wait(lambda: 'killed' in peer.node.get_node_names() and segments_of(killed.pid), 'the node')
        (own,) = segments_of(os.getpid())
        left = segments_of(killed.pid)  # the distribution adds one of its own where ROS stays on this machine
    finally:
        killed.kill()
        killed.wait()
    assert left <= set(os.listdir(FOLDER))
    for segment in (own, *left):
        make_old(segment)
    start_node(autostart=False)
    peer.wait_state('unconfigured')
    assert not (left | {each + '_el' for each in left}) & set(os.listdir(FOLDER))
    assert own in os.listdir(FOLDER)


@pytest.mark.parametrize('library', ['fastrtps', 'fastdds'])  # Fast DDS 2 and 3
def test_only_old_segments_without_an_owner_go(tmp_path, library):
    names = ['%s_%016x' % (library, number) for number in range(3)]
    for name in names + [library + '_port7411', 'something']:
        (tmp_path / name).write_bytes(bytes(100))
        (tmp_path / (name + '_el')).write_bytes(b'')
        os.utime(str(tmp_path / (name + '_el')), (0, 0))
    os.utime(str(tmp_path / (names[1] + '_el')))
    with open(str(tmp_path / (names[2] + '_el'))) as owned:
        fcntl.flock(owned, fcntl.LOCK_EX)
        assert remove_stale_segments(str(tmp_path)) == 100
    kept = names[1:] + [library + '_port7411', 'something']
    assert set(os.listdir(str(tmp_path))) == set(kept) | {name + '_el' for name in kept}
    assert remove_stale_segments(str(tmp_path / 'absent')) == 0
