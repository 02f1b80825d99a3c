"""Crops: geometry, colour and range."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facial_emotion_ros.errors import BadModel
from facial_emotion_ros.face_crop import CropGeometry, crop_squares, cut_faces, to_input

GEOMETRY = CropGeometry()


def smooth_picture(side=48, channels=3, seed=0):
    """Return a (side, side, channels) uint8 picture without sharp edges."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, channels)).astype(np.uint8)
    return cv2.resize(noise, (side, side), interpolation=cv2.INTER_CUBIC)


def test_a_box_gives_back_the_picture_that_was_pasted_around_it():
    # FER+'s framing (the design's figures): box centre at 0.510, 0.513, picture's side 1.17 sqrt(w h).
    picture = smooth_picture()
    scale, left, top = 4, 200, 120
    side = 48 * scale
    scene = np.full((480, 640, 3), 90, np.uint8)
    scene[top:top + side, left:left + side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
    width, height = 0.80 * side, side / 1.17 * side / 1.17 / (0.80 * side)
    x, y = left + 0.510 * side, top + 0.513 * side
    box = [[x - width / 2, y - height / 2, x + width / 2, y + height / 2]]
    np.testing.assert_allclose(crop_squares(box, GEOMETRY), [[left, top, side]], atol=1e-6)
    difference = np.abs(cut_faces(scene, box, GEOMETRY)[0] - to_input(picture, GEOMETRY))
    assert difference.mean() < 2 / 255
    assert difference.max() < 12 / 255


def test_no_face_gives_no_crop():
    crops = cut_faces(np.zeros((10, 10, 3), np.uint8), np.zeros((0, 4)), GEOMETRY)
    assert crops.shape == (0, 3, 96, 96)
    assert crops.dtype == np.float32


def test_gray_crops_hold_one_luminance_three_times():
    crop = to_input(smooth_picture(), GEOMETRY)
    np.testing.assert_array_equal(crop[0], crop[1])
    np.testing.assert_array_equal(crop[0], crop[2])


def test_colour_crops_keep_the_order_of_bgr():
    blue = np.zeros((48, 48, 3), np.uint8)
    blue[..., 0] = 255
    crop = to_input(blue, replace(GEOMETRY, color='bgr'))
    assert crop[0].min() == 1.0 and crop[1:].max() == 0.0


def test_values_end_at_zero_and_one():
    assert to_input(np.full((48, 48), 255, np.uint8), GEOMETRY).max() == pytest.approx(1.0)
    assert to_input(np.zeros((48, 48), np.uint8), GEOMETRY).max() == 0.0


def test_a_crop_passes_through_fewer_pixels_so_that_sharpness_goes():
    checkers = ((np.indices((192, 192)).sum(0) % 2) * 255).astype(np.uint8)
    assert to_input(checkers[:96, :96], replace(GEOMETRY, via_px=48)).std() < 0.01
    assert to_input(checkers[:96, :96], GEOMETRY).std() > 0.4


@pytest.mark.parametrize('box', [
    [-50, -50, 40, 40], [600, 440, 700, 520], [-10, -10, 650, 490], [10, 10, 10, 10], [639, 479, 640, 480],
    [0, 0, 0.5, 0.5], [-1000, -1000, -900, -900],
])
def test_boxes_at_and_beyond_the_border_give_a_finite_crop(box):
    crops = cut_faces(smooth_picture(480)[:, :, :].repeat(2, axis=1)[:, :640], [box], GEOMETRY)
    assert crops.shape == (1, 3, 96, 96)
    assert np.isfinite(crops).all() and crops.min() >= 0 and crops.max() <= 1


def test_a_face_is_cut_alike_when_it_is_alone():
    scene = smooth_picture(480)
    boxes = np.array([[10, 20, 110, 140], [200, 200, 230, 240], [300, 50, 460, 260]], np.float32)
    np.testing.assert_array_equal(cut_faces(scene, boxes, GEOMETRY)[1:2], cut_faces(scene, boxes[1:2], GEOMETRY))


def test_an_image_is_left_as_it_was():
    scene = smooth_picture(200)
    before = scene.copy()
    cut_faces(scene, [[-20, 10, 100, 150]], GEOMETRY)
    np.testing.assert_array_equal(scene, before)


def test_a_manifest_s_geometry_comes_back():
    geometry = CropGeometry(size_px=64, color='bgr', via_px=0, margin=1.5)
    assert CropGeometry.from_manifest(dict(vars(geometry), name='crops')) == geometry


@pytest.mark.parametrize('field, value, expected', [
    ('size_px', 4, BadModel), ('size_px', '96', BadModel), ('size_px', True, BadModel), ('color', 'rgb', BadModel),
    ('scale', 0.0, BadModel), ('scale', float('nan'), BadModel), ('via_px', -1, BadModel), ('margin', 0, BadModel),
    ('center_x', 1.5, BadModel), ('center_y', None, BadModel),
])
def test_a_manifest_s_geometry_is_refused_when_no_crop_can_have_it(field, value, expected):
    fields = dict(vars(GEOMETRY))
    fields[field] = value
    with pytest.raises(expected, match=field):
        CropGeometry.from_manifest(fields)


def test_a_manifest_s_geometry_is_refused_when_a_field_is_missing():
    fields = dict(vars(GEOMETRY))
    del fields['margin']
    with pytest.raises(BadModel, match='margin'):
        CropGeometry.from_manifest(fields)
