"""A cut is distinguished from movement, light and a covered lens."""

import cv2
import numpy as np
import pytest

from facial_emotion_ros.perception.scene_change import SceneChangeDetector


def scene(seed, width=640, height=480):
    """Draw soft clutter."""
    noise = np.random.RandomState(seed).randint(20, 230, (7, 9, 3)).astype(np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def test_the_first_image_is_no_cut():
    assert not SceneChangeDetector().is_cut(scene(0))


def test_another_scene_is_a_cut_and_the_next_image_of_it_is_none():
    cut = SceneChangeDetector()
    told = [cut.is_cut(scene(seed)) for seed in (0, 0, 1, 1, 2, 2, 3)]
    assert told == [False, False, True, False, True, False, True]


@pytest.mark.parametrize(
    'change',
    [
        lambda image: np.roll(image, 60, axis=1),
        lambda image: np.roll(image, -40, axis=0),
        lambda image: (image * 0.3).astype(np.uint8),
        lambda image: cv2.GaussianBlur(image, (0, 0), 6),
        lambda image: (image + np.random.RandomState(0).normal(0, 20, image.shape)).clip(0, 255).astype(np.uint8),
    ],
)
def test_no_cut_is_detected_when_the_camera_turns_or_light_focus_and_noise_change(change):
    cut = SceneChangeDetector()
    cut.is_cut(scene(0))
    assert not cut.is_cut(change(scene(0)))


def test_a_covered_lens_is_no_cut_but_another_scene_behind_it_is():
    for after, expected in ((0, False), (1, True)):
        cut = SceneChangeDetector()
        cut.is_cut(scene(0))
        assert not cut.is_cut(np.zeros((480, 640, 3), np.uint8))
        assert cut.is_cut(scene(after)) is expected


def test_another_size_is_a_cut_and_nothing_is_after_forgetting():
    cut = SceneChangeDetector()
    cut.is_cut(scene(0))
    assert cut.is_cut(scene(0, 320, 240))
    cut.forget()
    assert not cut.is_cut(scene(1))


@pytest.mark.parametrize('shape', [(1, 1), (3, 700), (2000, 30)])
def test_images_of_any_size_are_compared(shape):
    cut = SceneChangeDetector()
    for seed in range(3):
        assert cut.is_cut(np.random.RandomState(seed).randint(0, 255, shape + (3,)).astype(np.uint8)) in (True, False)
