"""The package's own files are found wherever it is installed, and files are written whole."""

import os
import subprocess
import sys

import pytest

import facial_emotion_ros.core.resources as installed_files
from facial_emotion_ros.core.errors import FacialEmotionError
from facial_emotion_ros.core.files import write_atomic
from facial_emotion_ros.core.resources import expect_file, find_executable, find_shared


@pytest.fixture
def installation(tmp_path, monkeypatch):
    """Pretend that the module lies in an installation with a share folder."""
    site = tmp_path / 'lib' / 'python3' / 'site-packages' / 'facial_emotion_ros'
    shared = tmp_path / 'share' / 'facial_emotion_ros' / 'config'
    shared.mkdir(parents=True)
    (shared / 'demo.yaml').write_text('installed')
    stranger = site.parent / 'config'
    stranger.mkdir(parents=True)
    (stranger / 'demo.yaml').write_text("another package's")
    monkeypatch.setattr(installed_files, '__file__', str(site / 'installed_files.py'))
    monkeypatch.delenv('AMENT_PREFIX_PATH', raising=False)
    return tmp_path


def test_file_of_the_checkout_is_found_when_run_from_it():
    path = find_shared('config', 'demo.yaml')
    assert os.path.isfile(path) and os.path.isabs(path)


def test_file_of_the_share_folder_is_found_when_installed(installation):
    wanted = installation / 'share' / 'facial_emotion_ros' / 'config' / 'demo.yaml'
    assert find_shared('config', 'demo.yaml') == str(wanted)


def test_file_of_a_sourced_workspace_is_found_when_installed_elsewhere(installation, tmp_path, monkeypatch):
    other = tmp_path / 'workspace' / 'share' / 'facial_emotion_ros' / 'samples'
    other.mkdir(parents=True)
    monkeypatch.setenv('AMENT_PREFIX_PATH', os.pathsep.join(['/nowhere', '', str(tmp_path / 'workspace')]))
    assert find_shared('samples') == str(other)


def test_places_are_listed_when_a_file_is_nowhere(installation):
    with pytest.raises(FacialEmotionError, match='config.nothing.yaml.*share.facial_emotion_ros.config'):
        find_shared('config', 'nothing.yaml')


def test_executable_is_found_when_a_workspace_is_sourced(tmp_path, monkeypatch):
    program = tmp_path / 'lib' / 'facial_emotion_ros' / 'emotion_node'
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\n')
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert find_executable('emotion_node') == '', 'it cannot be run'
    program.chmod(0o755)
    assert find_executable('emotion_node') == str(program)
    monkeypatch.setenv('AMENT_PREFIX_PATH', '')
    assert find_executable('emotion_node') == ''


def test_former_file_stays_when_writing_is_broken_off(tmp_path):
    path = tmp_path / 'summary.json'
    write_atomic(str(path), b'first')
    program = (
        'import os, sys; from facial_emotion_ros.core.files import write_atomic\n'
        'os.replace = lambda *paths: os.kill(os.getpid(), 9)\n'
        'write_atomic(sys.argv[1], b"second")'
    )
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    subprocess.run([sys.executable, '-c', program, str(path)], env=environ)
    assert path.read_bytes() == b'first'
    write_atomic(str(path), b'third')
    assert path.read_bytes() == b'third' and os.listdir(str(tmp_path)) == ['summary.json']


def test_a_parameter_file_that_is_none_is_refused(tmp_path):
    (tmp_path / 'params.yaml').write_text('')
    expect_file(str(tmp_path / 'params.yaml'), 'params_file')
    for path in (str(tmp_path / 'absent.yaml'), str(tmp_path), ''):
        with pytest.raises(FacialEmotionError, match='params_file: expected a file of parameters, got'):
            expect_file(path, 'params_file')
