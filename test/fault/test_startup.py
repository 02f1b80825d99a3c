"""Where a process may open too few files, or ROS has no folder for its log, one sentence says so, and no traceback."""

import os
import resource
import subprocess
import sys

import pytest
from programs import printed

from graph_peer import REPOSITORY

EXECUTABLES = {
    'emotion_node': ['facial_emotion_ros.ros.emotion_node'],
    'media_source': ['facial_emotion_ros.ros.demo.media_source'],
    'console_view': ['facial_emotion_ros.ros.demo.console_view'],
    'record_bag': ['facial_emotion_ros.ros.recordings.bag_recorder', '--output', '{folder}/recording'],
    'play_bag': ['facial_emotion_ros.ros.recordings.bag_player', '{folder}/bag'],
    'demo': ['facial_emotion_ros.cli.demo', '--output', '{folder}/demo'],
}
#: Case -> what is changed in the environment, open files that are allowed, what the sentence says.
CASES = {
    'few files': ({}, 20, ('open files', 'got 20', 'ulimit -n')),
    'very few files': ({}, 10, ('open files', 'got 10', 'ulimit -n')),
    'no HOME': ({'HOME': None, 'ROS_LOG_DIR': None}, 0, ('HOME is not set', 'ROS_LOG_DIR')),
    'a HOME that cannot be written': (
        {'HOME': '/proc/nowhere', 'ROS_LOG_DIR': None},
        0,
        ('/proc/nowhere/.ros/log (from HOME)', 'set ROS_LOG_DIR'),
    ),
    'a log folder that cannot be written': (
        {'ROS_LOG_DIR': '/proc/self'},
        0,
        ('/proc/self (from ROS_LOG_DIR)', 'make it writable'),
    ),
}
#: The demo gives ROS a log folder of its own.
ALL = [(name, case) for name in EXECUTABLES for case in CASES if name != 'demo' or 'files' in case]
#: Each executable and each case at least once.
SOME = [
    ('emotion_node', 'few files'),
    ('emotion_node', 'no HOME'),
    ('media_source', 'a HOME that cannot be written'),
    ('console_view', 'a log folder that cannot be written'),
    ('record_bag', 'no HOME'),
    ('play_bag', 'very few files'),
    ('demo', 'few files'),
]


def start(name, changes, files, ros_environment, folder):
    """Start an executable."""
    environment = dict(ros_environment, **{key: value for key, value in changes.items() if value is not None})
    for key in changes:
        if changes[key] is None:
            environment.pop(key, None)
    words = [word.format(folder=folder) for word in EXECUTABLES[name]]
    return subprocess.Popen(
        [sys.executable, '-m'] + words,
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        universal_newlines=True,
        preexec_fn=(lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None,
    )


@pytest.mark.timeout(300)
def test_one_sentence_names_cause_and_cure_when_the_environment_lacks_something(ros_environment, tmp_path, long_form):
    chosen = ALL if long_form else SOME
    running = [start(name, *CASES[case][:2], ros_environment, tmp_path) for name, case in chosen]
    try:
        for (name, case), process in zip(chosen, running):
            reported = process.communicate(timeout=60)[0]
            assert process.returncode in (1, 2), (name, case, reported)
            [line] = reported.strip().splitlines()
            assert line.startswith(name + ': ') and all(words in line for words in CASES[case][2]), (
                name,
                case,
                reported,
            )
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert not os.path.exists(str(tmp_path / 'recording')), 'a folder was left behind'


def test_a_process_starts_without_a_log_folder_when_it_shall_write_no_log(ros_environment, tmp_path):
    words = '-m facial_emotion_ros.ros.demo.media_source --ros-args --disable-external-lib-logs -p duration_s:=0.2'
    environment = dict(ros_environment, ROS_LOG_DIR='/proc/self')
    assert 'Done: ' in printed(sys.executable, *words.split(), env=environment, cwd=REPOSITORY, timeout=60)
