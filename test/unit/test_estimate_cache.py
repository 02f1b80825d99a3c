"""Faces that look the same are not read again; the others are."""

import cv2
import numpy as np
import pytest

from facial_emotion_ros.core.resources import find_shared
from facial_emotion_ros.emotion.ensemble import combine
from facial_emotion_ros.emotion.esr import EsrEngine
from facial_emotion_ros.emotion.estimate_cache import EstimateCache
from facial_emotion_ros.perception.image_files import read_picture
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline


class Engine:
    """Stands where the network stands: what it says depends on the crop, and it counts the faces."""

    def __init__(self):
        self.faces = 0

    def estimate(self, crops, until_s=None):
        """Say something of each crop."""
        self.faces += len(crops)
        means = crops.reshape(len(crops), -1).mean(1)
        logits = np.zeros((len(crops), 1, 8), np.float32)
        logits[:, 0, 1] = means / 64
        return combine(logits, np.repeat(means[:, None, None] / 255, 2, 2).astype(np.float32))


def crops_of(*levels):
    """Return crops of one gray level each."""
    return np.stack([np.full((1, 64, 64), level, np.uint8) for level in levels])


def test_a_face_is_estimated_again_only_when_its_crop_changes():
    engine, memory = Engine(), EstimateCache()
    first = memory.estimate(engine, ['a', 'b'], crops_of(100, 50), 4.0)
    again = memory.estimate(engine, ['a', 'b'], crops_of(103, 54), 4.0)
    assert engine.faces == 3, 'b alone was read again'
    assert again.valence[0] == first.valence[0] and again.valence[1] == pytest.approx(54 / 255)
    np.testing.assert_array_equal(again.scores[0], first.scores[0])
    assert (memory.read, memory.reused) == (3, 1)


def test_a_slow_change_is_seen_in_the_end():
    engine, memory = Engine(), EstimateCache()
    for level in range(100, 110):
        found = memory.estimate(engine, ['a'], crops_of(level), 4.0)
        assert abs(found.valence[0] * 255 - level) < 4
    assert engine.faces == 3


def test_faces_keep_their_own_when_their_order_changes_and_are_forgotten_when_they_go():
    engine, memory = Engine(), EstimateCache()
    memory.estimate(engine, ['a', 'b'], crops_of(100, 50), 4.0)
    turned = memory.estimate(engine, ['b', 'a'], crops_of(50, 100), 4.0)
    np.testing.assert_allclose(turned.valence * 255, [50, 100], atol=1e-3)
    assert engine.faces == 2
    memory.estimate(engine, ['b'], crops_of(50), 4.0)
    memory.estimate(engine, ['a', 'b'], crops_of(100, 50), 4.0)
    assert engine.faces == 3, 'a was away and is read again'
    memory.forget()
    memory.estimate(engine, ['b'], crops_of(50), 4.0)
    assert engine.faces == 4


def test_every_face_is_estimated_when_reuse_is_off():
    engine, memory = Engine(), EstimateCache()
    for below in (4.0, 0.0, 4.0):
        memory.estimate(engine, ['a'], crops_of(100), below)
    assert engine.faces == 3


def test_a_pipeline_reads_a_still_face_once(monkeypatch):
    image = cv2.resize(read_picture(find_shared('samples', 'astronaut.jpg')), None, fx=0.6, fy=0.6)
    counted = []
    estimate = EsrEngine.estimate
    monkeypatch.setattr(
        EsrEngine, 'estimate', lambda engine, crops, until_s=None: counted.append(len(crops)) or estimate(engine, crops)
    )
    pipeline = EmotionPipeline('esr_9_ferplus_int8', reuse_below=4.0)
    told = [pipeline.estimate(image, step / 30)[0] for step in range(6)]
    assert len(counted) == 1 and pipeline.reused == (1, 5)
    assert len({face.raw.emotion for face in told}) == 1
    pipeline.estimate(image)  # a picture on its own is read whatever came before
    pipeline.reset()
    pipeline.estimate(image, 1.0)
    assert len(counted) == 3
    assert pipeline.estimate(np.zeros_like(image), 1.1) == [] and not pipeline._cache._known, 'nobody is in sight'
    pipeline.reuse_below = 0.0
    pipeline.estimate(image, 1.2)
    assert len(counted) == 4
