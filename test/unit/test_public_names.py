"""The names that the package itself exports: loaded when they are asked for, and known to people and type checkers."""

import pickle
import sys

import pytest
from places import ROOT
from programs import printed

import facial_emotion_ros

HEAVY = ('numpy', 'cv2', 'onnxruntime', 'yaml', 'rclpy', 'torch')


def run(code):
    """Run code in a Python of its own; give what it printed."""
    return printed(sys.executable, '-c', code, cwd=ROOT)


@pytest.mark.parametrize(
    'first, loaded',
    [
        ('import facial_emotion_ros; dir(facial_emotion_ros)', []),
        ('from facial_emotion_ros import EMOTIONS, BadImage', []),
        ('from facial_emotion_ros import EmotionPipeline', ['numpy', 'cv2', 'onnxruntime']),
    ],
)
def test_only_what_a_name_needs_is_loaded_when_the_package_is_imported(first, loaded):
    code = 'import sys; %s; print(*[name for name in %r if name in sys.modules])'
    assert run(code % (first, HEAVY)).split() == loaded


def test_every_public_name_can_be_imported():
    assert set(facial_emotion_ros.__all__) <= set(dir(facial_emotion_ros))
    code = 'import sys\nfrom facial_emotion_ros import *\nprint(*sorted(name for name in globals() if name[0] != "_"))'
    assert run(code).split() == sorted(facial_emotion_ros.__all__ + ('sys',))
    assert facial_emotion_ros.EmotionPipeline.__name__ == 'EmotionPipeline'
    assert len(facial_emotion_ros.EMOTIONS) == 8
    for name in facial_emotion_ros.__all__:
        if name != 'EMOTIONS':
            assert pickle.loads(pickle.dumps(getattr(facial_emotion_ros, name))) is getattr(facial_emotion_ros, name)


def test_a_name_that_does_not_exist_is_named_in_the_error():
    with pytest.raises(AttributeError, match="module 'facial_emotion_ros' has no attribute 'EmotionPipelin'"):
        _ = facial_emotion_ros.EmotionPipelin
    with pytest.raises(ImportError, match='EmotionPipelin'):
        from facial_emotion_ros import EmotionPipelin  # noqa: F401
