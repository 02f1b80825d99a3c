"""Crops: geometry, colour and range."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadModel, BadParameter
from facial_emotion_ros.perception.face_crops import CropGeometry, crop_squares, cut_faces, eye_angles, to_input
from facial_emotion_ros.perception.image_decoding import MAX_SIDE_PX, check_image

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
    scene[top : top + side, left : left + side] = cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR)
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


@pytest.mark.parametrize(
    'box',
    [
        [-50, -50, 40, 40],
        [600, 440, 700, 520],
        [-10, -10, 650, 490],
        [10, 10, 10, 10],
        [639, 479, 640, 480],
        [0, 0, 0.5, 0.5],
        [-1000, -1000, -900, -900],
    ],
)
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


@pytest.mark.parametrize(
    'field, value, expected',
    [
        ('size_px', 4, BadModel),
        ('size_px', '96', BadModel),
        ('size_px', True, BadModel),
        ('color', 'rgb', BadModel),
        ('scale', 0.0, BadModel),
        ('scale', float('nan'), BadModel),
        ('via_px', -1, BadModel),
        ('margin', 0, BadModel),
        ('center_x', 1.5, BadModel),
        ('center_y', None, BadModel),
        ('level_eyes', 1, BadModel),
    ],
)
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


def test_a_manifest_of_before_levelling_means_none_of_it():
    fields = dict(vars(GEOMETRY))
    del fields['level_eyes']
    assert CropGeometry.from_manifest(fields).level_eyes is False
    assert CropGeometry.from_manifest(dict(fields, level_eyes=True)).level_eyes is True


def face_in_scene(degrees, x=300.0, y=220.0, side=150):
    """Return a scene with a smooth picture turned about x, y, the box around it and landmarks whose eyes are turned."""
    scale = side / 48
    turn = cv2.getRotationMatrix2D((23.5, 23.5), -degrees, scale)
    turn[:, 2] += np.array([x, y]) - 0.5 - 23.5
    scene = cv2.warpAffine(smooth_picture(), turn, (640, 480), flags=cv2.INTER_LINEAR)
    angle = np.radians(degrees)
    along = 20 * np.array([np.cos(angle), np.sin(angle)])
    landmarks = np.array([[x, y]] * 5) + np.array([-along, along, [0, 0], [0, 0], [0, 0]])
    half = 0.5 * side / GEOMETRY.margin
    return scene, [[x - half, y - half, x + half, y + half]], landmarks[None]


@pytest.mark.parametrize('degrees', [-40, -10, 0, 25])
@pytest.mark.parametrize('side', [60, 150, 330])
def test_a_turned_face_is_cut_as_a_level_one_when_eyes_are_levelled(degrees, side):
    level = replace(GEOMETRY, level_eyes=True, center_x=0.5, center_y=0.5)
    upright = face_in_scene(0, side=side)
    scene, box, landmarks = face_in_scene(degrees, side=side)
    expected = cut_faces(upright[0], upright[1], replace(level, level_eyes=False))
    difference = np.abs(cut_faces(scene, box, level, landmarks) - expected)[:, :, 3:-3, 3:-3]
    assert difference.mean() < 1.5 / 255 and difference.max() < 15 / 255
    if abs(degrees) > 20:
        assert np.abs(cut_faces(scene, box, GEOMETRY) - expected).mean() > 10 / 255


def test_a_face_at_the_end_of_the_widest_image_is_cut():
    scene, [box], landmarks = face_in_scene(10)
    wide = np.zeros((480, MAX_SIDE_PX, 3), np.uint8)
    wide[:, -640:] = scene
    shift, level = np.array([MAX_SIDE_PX - 640, 0]), replace(GEOMETRY, level_eyes=True)
    crop = cut_faces(check_image(wide), [box + np.tile(shift, 2)], level, landmarks + shift)
    assert np.abs(crop - cut_faces(scene, [box], level, landmarks)).max() < 2 / 255


def test_a_level_face_is_cut_alike_with_and_without_levelling():
    scene, box, landmarks = face_in_scene(0, x=301.3, y=200.8, side=143)
    difference = cut_faces(scene, box, replace(GEOMETRY, level_eyes=True), landmarks) - cut_faces(scene, box, GEOMETRY)
    # Shrinking an upright square rounds it to whole pixels, a turned one does not.
    assert np.abs(difference).mean() < 3 / 255


def test_the_box_s_middle_stays_where_the_geometry_puts_it_when_eyes_are_levelled():
    scene = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(scene, (300, 220), 12, (255, 255, 255), -1)
    landmarks = face_in_scene(35)[2]
    geometry = replace(GEOMETRY, level_eyes=True, center_x=0.4, center_y=0.7)
    crop = cut_faces(scene, [[250, 160, 350, 280]], geometry, landmarks)[0, 0]
    row, column = np.argwhere(crop > 0.5).mean(0) / 96
    assert (column, row) == (pytest.approx(0.4, abs=0.02), pytest.approx(0.7, abs=0.02))


@pytest.mark.parametrize(
    'eyes, degrees',
    [
        ([[10, 10], [30, 10]], 0),
        ([[10, 10], [20, 20]], 45),
        ([[10, 20], [20, 10]], -45),
        ([[10, 10], [10, 10]], 0),
        ([[30, 10], [10, 10]], 0),
        ([[10, 10], [12, 30]], 0),
        ([[np.nan, 10], [30, 10]], 0),
    ],
)
def test_eyes_say_how_far_a_face_is_turned_unless_they_cannot_be_eyes(eyes, degrees):
    landmarks = np.array([eyes + [[20, 30], [15, 40], [25, 40]]], np.float32)
    assert np.degrees(eye_angles(landmarks)) == pytest.approx([degrees])


def test_faces_far_outside_or_without_landmarks_are_cut_or_refused_when_eyes_are_levelled():
    level = replace(GEOMETRY, level_eyes=True)
    scene, _, landmarks = face_in_scene(20)
    crops = cut_faces(scene, [[-1000, -1000, -900, -900]], level, landmarks)
    assert np.isfinite(crops).all()
    assert cut_faces(scene, np.zeros((0, 4)), level, np.zeros((0, 5, 2))).shape == (0, 3, 96, 96)
    with pytest.raises(BadParameter, match='landmarks'):
        cut_faces(scene, [[0, 0, 10, 10]], level)


def landmarks_about(x, y, degrees=0.0):
    """Return landmarks (1, 5, 2) of a face turned about the middle x, y of its eyes and mouth."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.array([[-20, -22], [20, -22], [5, 0], [-15, 22], [15, 22]]).dot(turn.T)
    return points[None] + [x, y]


BY_LANDMARKS = replace(GEOMETRY, margin=1.1, center_x=0.5, center_y=0.58, level_eyes=True, landmark_weight=1.0)


@pytest.mark.parametrize('degrees', [0, 35, -20])
def test_the_middle_of_eyes_and_mouth_stays_where_the_geometry_puts_it_wherever_the_box_is(degrees):
    scene = np.zeros((480, 640, 3), np.uint8)
    cv2.circle(scene, (310, 235), 8, (255, 255, 255), -1)
    boxes = np.array([[250, 160, 350, 280], [265, 150, 365, 270]])
    crops = cut_faces(scene, boxes, BY_LANDMARKS, np.repeat(landmarks_about(310, 235, degrees), 2, axis=0))
    np.testing.assert_array_equal(crops[0], crops[1])
    row, column = np.argwhere(crops[0, 0] > 0.5).mean(0) / 96
    assert (column, row) == (pytest.approx(0.5, abs=0.02), pytest.approx(0.58, abs=0.02))


def test_landmarks_that_have_gone_wrong_move_the_crop_by_a_quarter_of_the_face_at_most():
    boxes = np.array([[200, 100, 300, 200]] * 4)
    landmarks = np.concatenate(
        [landmarks_about(600, -300), np.full((1, 5, 2), np.nan), landmarks_about(250, 150), landmarks_about(260, 152)]
    )
    for weight in (1.0, 0.5):
        squares = crop_squares(boxes, replace(BY_LANDMARKS, landmark_weight=weight), landmarks)
        shifts = squares[:, :2] + squares[:, 2:] * [0.5, 0.58] - [250, 150]
        np.testing.assert_allclose(shifts, weight * np.array([[25, -25], [0, 0], [0, 0], [10, 2]]), atol=1e-9)
    with pytest.raises(BadParameter, match='landmarks'):
        crop_squares(boxes, BY_LANDMARKS)


def test_a_manifest_of_before_that_means_the_middle_of_the_box():
    fields = dict(vars(BY_LANDMARKS))
    assert CropGeometry.from_manifest(fields) == BY_LANDMARKS
    del fields['landmark_weight']
    assert CropGeometry.from_manifest(fields) == replace(BY_LANDMARKS, landmark_weight=0.0)
    for wrong in (-0.1, 1.1, 'nose'):
        with pytest.raises(BadModel, match='landmark_weight'):
            CropGeometry.from_manifest(dict(fields, landmark_weight=wrong))
