"""Where TensorRT's engines are kept."""

import logging
import os

import pytest

from facial_emotion_ros.core.resources import cache_folder
from facial_emotion_ros.inference import tensorrt_cache
from facial_emotion_ros.inference.model_bundle import ModelBundle
from facial_emotion_ros.inference.tensorrt_cache import EngineCache, board, kept_engines


@pytest.mark.parametrize(
    'given, expected',
    [
        ('/var/cache', '/var/cache/facial_emotion_ros/engines'),
        ('', '/home/robot/.cache/facial_emotion_ros/engines'),
        ('relative', '/home/robot/.cache/facial_emotion_ros/engines'),
    ],
)
def test_cache_is_the_user_s_when_none_is_named(monkeypatch, given, expected):
    monkeypatch.setenv('HOME', '/home/robot')
    monkeypatch.setenv('XDG_CACHE_HOME', given)
    assert cache_folder('engines') == EngineCache().root == expected


def test_home_is_meant_when_a_path_begins_with_a_tilde(monkeypatch):
    monkeypatch.setenv('HOME', '/home/robot')
    assert EngineCache('~/engines').root == '/home/robot/engines'


def test_folder_is_made_when_it_is_wanted(centerface, tmp_path):
    folder = EngineCache(str(tmp_path / 'new' / 'engines')).folder(centerface, 'fp16', 4)
    assert os.path.isdir(folder) and kept_engines(folder) == 0
    assert centerface.sha256[:16] in folder and folder.endswith('-fp16-b4')


@pytest.mark.parametrize(
    'change',
    [
        {'precision': 'fp32'},
        {'face_batch': 2},
        {'model': b'another'},
        {'ort': '1.11.0'},
        {'tensorrt': '8201'},
        {'board': 'nvidia-jetson-tx2'},
    ],
)
def test_engines_are_kept_apart_when_anything_differs_that_they_depend_on(centerface, monkeypatch, change):
    first = EngineCache.key(centerface, 'fp16', 4)
    assert first == EngineCache.key(centerface, 'fp16', 4)
    if 'model' in change:
        model = dict(centerface.manifest['model'], sha256='0' * 64)
        centerface = ModelBundle(centerface.folder, dict(centerface.manifest, model=model), change['model'])
    if 'ort' in change:
        monkeypatch.setattr(tensorrt_cache.onnxruntime, '__version__', change['ort'])
    if 'tensorrt' in change:
        monkeypatch.setattr(tensorrt_cache, 'tensorrt_version', lambda: change['tensorrt'])
    if 'board' in change:
        monkeypatch.setattr(tensorrt_cache, 'board', lambda: change['board'])
    assert EngineCache.key(centerface, change.get('precision', 'fp16'), change.get('face_batch', 4)) != first


def test_one_warning_is_logged_when_the_folder_cannot_be_written_to(centerface, tmp_path, caplog):
    (tmp_path / 'file').write_text('in the way')
    cache = EngineCache(str(tmp_path / 'file' / 'engines'))
    with caplog.at_level(logging.WARNING):
        assert cache.folder(centerface, 'fp16', 4) == cache.folder(centerface, 'fp16', 4) == ''
    [record] = caplog.records
    assert str(tmp_path) in record.getMessage() and 'inference.engine_cache' in record.getMessage()


@pytest.mark.parametrize(
    'content, expected', [(b'NVIDIA Jetson AGX Xavier\x00', 'nvidia-jetson-agx-xavier'), (b'quill\x00', 'quill')]
)
def test_board_is_a_word_when_the_device_tree_names_it(tmp_path, content, expected):
    path = tmp_path / 'model'
    path.write_bytes(content)
    assert board(str(path)) == expected


def test_processor_stands_for_the_board_when_there_is_no_device_tree(tmp_path):
    assert board(str(tmp_path / 'none')) == os.uname().machine


def test_no_engines_are_counted_when_the_folder_is_gone(tmp_path):
    assert kept_engines(str(tmp_path / 'none')) == kept_engines('') == 0
