"""A face that somebody else cut out is found again, whatever his frame, and read as in the whole picture."""

import os

import cv2
import numpy as np
import pytest
from places import ROOT

from facial_emotion_ros.core.errors import BadImage
from facial_emotion_ros.pipeline.crop_estimation import estimate_crop
from facial_emotion_ros.pipeline.emotion_pipeline import EmotionPipeline


@pytest.fixture(scope='module')
def pipeline():
    return EmotionPipeline()


@pytest.fixture(scope='module')
def picture():
    return cv2.imread(os.path.join(ROOT, 'samples', 'astronaut.jpg'))


@pytest.mark.parametrize('factor, shift', [(0.9, 0.0), (1.0, 0.0), (1.3, 0.0), (1.8, 0.1), (1.0, 0.1)])
def test_a_crop_gives_the_picture_s_estimate_when_it_is_framed_in_another_way(pipeline, picture, factor, shift):
    [whole] = pipeline.estimate(picture)
    x0, y0, x1, y1 = whole.box
    width, height = factor * (x1 - x0), factor * (y1 - y0)
    left, top = max(int((x0 + x1 - width) / 2 + shift * width), 0), max(int((y0 + y1 - height) / 2), 0)
    crop = picture[top : int(top + height), left : int(left + width)]
    pipeline.reset()
    found = estimate_crop(pipeline, crop, 'abcde', 1.0)
    assert (found.face_id, found.emotion) == ('abcde', whole.emotion)
    assert abs(found.valence - whole.valence) < 0.15 and abs(found.confidence - whole.confidence) < 0.2
    middle = np.reshape(found.box, (2, 2)).mean(0) + (left, top)
    assert np.abs(middle - np.reshape(whole.box, (2, 2)).mean(0)).max() < 0.1 * (x1 - x0)


def test_estimates_are_smoothed_by_the_crop_s_id(pipeline, picture):
    [whole] = pipeline.estimate(picture)
    x0, y0, x1, y1 = [int(edge) for edge in whole.box]
    crop = picture[y0:y1, x0:x1]
    other_light = (crop * np.linspace(0.1, 1, crop.shape[1])[None, :, None]).astype(np.uint8)
    pipeline.reset()
    first = estimate_crop(pipeline, crop, 'abcde', 1.0)
    second = estimate_crop(pipeline, other_light, 'abcde', 1.05)
    assert first.raw.scores == first.scores
    assert min(first.arousal, second.raw.arousal) < second.arousal < max(first.arousal, second.raw.arousal)
    other = estimate_crop(pipeline, other_light, 'other', 1.1)
    assert other.arousal == other.raw.arousal


def test_the_whole_crop_is_the_face_when_our_detector_finds_none_in_it(pipeline, picture, monkeypatch):
    [whole] = pipeline.estimate(picture)
    x0, y0, x1, y1 = [int(edge) for edge in whole.box]
    monkeypatch.setattr(pipeline, 'estimate', lambda image, until_s: [])
    found = estimate_crop(pipeline, picture[y0:y1, x0:x1], 'abcde', 1.0)
    assert (found.emotion, found.box) == (whole.emotion, (0.0, 0.0, x1 - x0, y1 - y0))
    assert abs(found.valence - whole.valence) < 0.15


def test_bars_of_black_are_no_part_of_the_face_when_ros4hri_padded_its_crop(pipeline, picture, monkeypatch):
    [whole] = pipeline.estimate(picture)
    x0, y0, x1, y1 = [int(edge) for edge in whole.box]
    padded = np.zeros((y1 - y0, x1 - x0 + 60, 3), np.uint8)
    padded[:, 30:-30] = picture[y0:y1, x0:x1]
    monkeypatch.setattr(pipeline, 'estimate', lambda image, until_s: [])
    plain = estimate_crop(pipeline, picture[y0:y1, x0:x1], 'plain', 1.0)
    found = estimate_crop(pipeline, padded, 'abcde', 1.0)
    assert found.box == (30.0, 0.0, 30.0 + x1 - x0, y1 - y0)
    assert (found.emotion, found.rejection_reasons) == (plain.emotion, ())
    assert found.scores == pytest.approx(plain.scores, abs=0.02)


@pytest.mark.parametrize('side', [1, 120])
def test_the_emotion_is_unknown_when_the_crop_holds_no_face(pipeline, side):
    pipeline.reset()
    found = estimate_crop(pipeline, np.full((side, side, 3), 90, np.uint8), 'abcde', 1.0)
    assert found.emotion == 'unknown' and found.rejection_reasons


def test_refused_when_the_crop_is_no_picture(pipeline):
    with pytest.raises(BadImage):
        estimate_crop(pipeline, np.zeros((0, 5, 3), np.uint8), 'abcde', 1.0)


@pytest.mark.parametrize('height, width', [(1, 20000), (20000, 1), (1, 9), (4097, 4000)])
def test_refused_before_anything_is_worked_on_when_a_crop_can_be_no_face(height, width):
    with pytest.raises(
        BadImage, match='sides of at most 4096 pixels and an aspect ratio of at most 8, got %d x %d' % (width, height)
    ):
        estimate_crop(None, np.zeros((height, width, 3), np.uint8), 'abcde', 1.0)


@pytest.mark.parametrize('found', [True, False])
def test_fewer_branches_estimate_a_crop_when_its_deadline_has_passed(picture, monkeypatch, found):
    pipeline = EmotionPipeline('esr_9_ferplus_int8', anytime=True)
    if not found:
        monkeypatch.setattr(pipeline, 'estimate', lambda image, until_s: [])
    branches, run = [], pipeline.engine.run

    def counted(crops, until_s=None):
        logits, affect = run(crops, until_s)
        branches.append(logits.shape[1])
        return logits, affect

    monkeypatch.setattr(pipeline.engine, 'run', counted)
    for until_s in (None, 0.0):
        estimate_crop(pipeline, picture[40:260, 130:310], 'abcde', 1.0, until_s)
    assert branches == [9, 3]
