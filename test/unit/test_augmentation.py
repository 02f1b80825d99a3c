"""Variations of faces: in range, repeatable, centred, and the same for gray and colour and any size."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.training.data.augmentation import augment, plain
from facial_emotion_ros.training.data.camera_variation import vary_camera

GRAY = CropGeometry()
COLOR = replace(GRAY, color='bgr')


def smooth_face(side, color=False):
    """Draw a picture that is bright in the middle and darker at the top."""
    places = np.linspace(-1, 1, side)
    level = 200 * np.exp(-2 * (places[:, None] ** 2 + places[None] ** 2)) + 20 * places[:, None] + 30
    return np.dstack([level, 0.7 * level, 0.4 * level]).astype(np.uint8) if color else level.astype(np.uint8)


@pytest.mark.parametrize(
    'geometry, shape',
    [
        (GRAY, (48, 48)),
        (COLOR, (48, 48, 3)),
        (COLOR, (96, 96, 3)),
        (GRAY, (224, 224, 3)),
        (replace(GRAY, size_px=64), (96, 96)),
    ],
)
def test_variations_keep_shape_and_range_and_differ_when_drawn_anew(geometry, shape):
    faces = np.random.default_rng(0).integers(0, 256, (4, *shape)).astype(np.uint8)
    first, again, other = (augment(faces, geometry, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first.shape == (4, 3, geometry.size_px, geometry.size_px) and first.dtype == np.float32
    assert first.flags.c_contiguous and first.min() >= 0 and first.max() <= 1
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 0.1
    assert (first[:, 0] == first[:, 2]).all() == (geometry.color == 'gray_x3')


def test_variations_are_centred_on_the_picture_as_the_robot_sees_it():
    ramp = np.tile(np.linspace(0, 255, 48), (48, 1)).astype(np.uint8)
    level = 0.5 * (ramp + ramp.T).astype(np.float32)
    faces = np.repeat(level.astype(np.uint8)[None], 400, 0)
    varied = augment(faces, GRAY, np.random.default_rng(3)).mean((0, 1))
    assert abs(varied[40:56, 40:56].mean() - plain(faces[:1], GRAY)[0, 0, 40:56, 40:56].mean()) < 0.03


def test_the_picture_stays_or_is_mirrored_when_strength_is_zero():
    face = smooth_face(96)
    face[:, :30] //= 2
    crops = augment([face] * 20, GRAY, np.random.default_rng(0), strength=0)
    seen = plain([face], GRAY)[0, 0]
    is_mirrored = [np.abs(crop[0] - seen).max() > 0.01 for crop in crops]
    assert 4 <= sum(is_mirrored) <= 16
    for crop, mirrored in zip(crops, is_mirrored):
        np.testing.assert_allclose(crop[0], seen[:, ::-1] if mirrored else seen, atol=0.01)


@pytest.mark.parametrize('side', [48, 96, 230, 400])
def test_the_same_generator_gives_the_same_variation_when_faces_have_other_sizes(side):
    small = augment([smooth_face(144)] * 6, GRAY, np.random.default_rng(5))
    large = augment([smooth_face(side)] * 6, GRAY, np.random.default_rng(5))
    # Half a pixel of 48 is the most that sampling shifts.
    assert np.abs(small - large).mean() < 0.01


def test_colour_faces_become_gray_first_when_the_network_wants_gray():
    face = smooth_face(60, color=True)
    gray = cv2.cvtColor(face, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(
        augment([face] * 5, GRAY, np.random.default_rng(1)), augment([gray] * 5, GRAY, np.random.default_rng(1))
    )
    np.testing.assert_array_equal(plain([face], GRAY), plain([gray], GRAY))


def test_colours_stay_in_their_order_when_the_network_wants_colour():
    crops = augment([smooth_face(60, color=True)] * 8, COLOR, np.random.default_rng(2), strength=0.5)
    assert (crops[:, 0].mean((1, 2)) > crops[:, 1].mean((1, 2))).all()
    assert (crops[:, 1].mean((1, 2)) > crops[:, 2].mean((1, 2))).all()


def test_fine_patterns_are_averaged_when_a_large_face_is_shrunk():
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 255
    crops = augment([stripes] * 4, GRAY, np.random.default_rng(0), strength=0)
    assert crops.std() < 0.1


def test_lists_of_any_sizes_and_no_face_at_all_are_taken():
    faces = [smooth_face(48), smooth_face(100, color=True), smooth_face(31)]
    assert augment(faces, COLOR, np.random.default_rng(0)).shape == plain(faces, COLOR).shape == (3, 3, 96, 96)
    for empty in ([], np.zeros((0, 48, 48), np.uint8)):
        assert augment(empty, GRAY, np.random.default_rng(0)).shape == plain(empty, GRAY).shape == (0, 3, 96, 96)


@pytest.mark.parametrize('color', [False, True])
def test_camera_effects_are_repeatable_and_grow_with_their_strength(color):
    face = smooth_face(64, color)

    def changes(strength, seed=7):
        generator = np.random.default_rng(seed)
        return np.array([np.abs(vary_camera(face, generator, strength).astype(int) - face).mean() for _ in range(300)])

    assert not changes(0).any()
    np.testing.assert_array_equal(changes(1), changes(1))
    weak, strong = changes(0.3), changes(1)
    assert weak.mean() < 0.5 * strong.mean()
    # Each effect is drawn by itself, so that some faces stay as they are, and most do not.
    assert (weak == 0).mean() > 0.3 > (strong == 0).mean() > 0
    assert vary_camera(face, np.random.default_rng(0), 1).shape == face.shape


def test_variations_without_camera_effects_are_those_of_older_recipes():
    faces = [smooth_face(48)] * 8
    before = augment(faces, GRAY, np.random.default_rng(4))
    np.testing.assert_array_equal(augment(faces, GRAY, np.random.default_rng(4), camera=0), before)
    assert np.abs(augment(faces, GRAY, np.random.default_rng(4), camera=1) - before).max() > 0.1
