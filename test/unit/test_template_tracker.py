"""A face is found again by its pixels, to a fraction of a hundredth of its size."""

import cv2
import numpy as np
import pytest

from facial_emotion_ros.perception.template_tracker import MIN_CORRELATION, TemplateTracker


def scene(x, y, side, seed=0):
    """Return an image with a patch of structure, and the patch's box; x and y may be fractions."""
    random = np.random.RandomState(seed)
    pattern = cv2.resize(random.randint(0, 255, (9, 7, 3)).astype(np.uint8), (280, 360), interpolation=cv2.INTER_CUBIC)
    image = np.full((480, 640, 3), 90, np.uint8)
    factor = side / 280.0
    matrix = np.array([[factor, 0, x - 140 * factor], [0, factor, y - 180 * factor]])
    image = cv2.warpAffine(pattern, matrix, (640, 480), dst=image, borderMode=cv2.BORDER_TRANSPARENT)
    return image, np.array([x - side / 2.0, y - side * 9 / 14.0, x + side / 2.0, y + side * 9 / 14.0])


@pytest.mark.parametrize('side', [20, 60, 150, 300])
@pytest.mark.parametrize('shift_x, shift_y, growth', [(0, 0, 1), (0.12, -0.07, 1), (-0.3, 0.3, 1), (0.1, 0.1, 1.04)])
def test_a_face_is_found_where_it_went_when_it_moved(side, shift_x, shift_y, growth):
    follower = TemplateTracker()
    image, box = scene(320, 240, side)
    follower.remember(image, ['a'], [box])
    image, moved = scene(320 + shift_x * side, 240 + shift_y * side, side * growth)
    expected = moved - np.tile([shift_x * side, shift_y * side], 2)
    place, likeness = follower.locate(image, 'a', expected)
    assert likeness > 0.85
    assert np.abs(place - moved).max() < max(0.03 * side, 1.0)


def test_another_pattern_has_a_low_correlation():
    follower = TemplateTracker()
    image, box = scene(320, 240, 100)
    follower.remember(image, ['a'], [box])
    assert follower.locate(scene(320, 240, 100, seed=1)[0], 'a', box)[1] < MIN_CORRELATION


@pytest.mark.parametrize('case', ['unknown', 'flat', 'gone'])
def test_nothing_is_located_when_there_is_nothing_to_compare(case):
    follower = TemplateTracker()
    image, box = scene(320, 240, 100)
    follower.remember(np.full_like(image, 90) if case == 'flat' else image, ['a'], [box])
    expected = box + 600 if case == 'gone' else box
    assert follower.locate(image, 'b' if case == 'unknown' else 'a', expected) is None


def test_only_the_latest_faces_are_remembered():
    follower = TemplateTracker()
    image, box = scene(320, 240, 100)
    follower.remember(image, ['a'], [box])
    follower.remember(image, ['b'], [box])
    assert follower.locate(image, 'a', box) is None and follower.locate(image, 'b', box)[1] > 0.99


@pytest.mark.parametrize('box', [(-60, -60, 40, 60), (600, 430, 700, 560), (0, 0, 640, 480), (5, 5, 6, 6)])
def test_a_face_at_the_edge_is_followed_without_an_error(box):
    follower, box = TemplateTracker(), np.array(box, float)
    image, _ = scene(320, 240, 300)
    follower.remember(image, ['a'], [box])
    located = follower.locate(image, 'a', box)
    assert located is None or np.isfinite(located[0]).all()
