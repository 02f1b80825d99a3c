"""Scenes with known faces: pasted ones, and photographs."""

import os
import shutil

import cv2
import numpy as np
import pytest
from places import SAMPLES

from facial_emotion_ros.core.emotions import EMOTIONS
from facial_emotion_ros.core.errors import BadDataset
from facial_emotion_ros.evaluation.camera.scenes import (
    HEIGHT_PX,
    PICTURE_OVER_BOX,
    WIDTH_PX,
    draw_background,
    pasted_scenes,
    read_portraits,
    tinted,
)


def pictures(count=3):
    """Return smooth gray 48x48 pictures, their names and labels."""
    noise = np.random.default_rng(1).integers(0, 256, (count, 6, 6)).astype(np.uint8)
    faces = np.stack([cv2.resize(each, (48, 48), interpolation=cv2.INTER_CUBIC) for each in noise])
    return faces, [f'{place}.png' for place in range(count)], np.arange(count)


def test_a_picture_lies_where_the_scene_says_and_at_three_to_five_times_its_size():
    sides = []
    for scene, picture in zip(pasted_scenes(*pictures(12), seed=3), pictures(12)[0]):
        assert scene.image.shape == (HEIGHT_PX, WIDTH_PX, 3) and scene.image.dtype == np.uint8
        side = scene.box_px * PICTURE_OVER_BOX
        sides.append(side)
        left, top = np.round(np.array(scene.middle) - side / 2).astype(int)
        assert left >= 0 and top >= 0 and left + side <= WIDTH_PX and top + side <= HEIGHT_PX
        patch = scene.image[top : top + round(side), left : left + round(side)]
        gray = cv2.resize(cv2.cvtColor(patch, cv2.COLOR_BGR2GRAY), (48, 48), interpolation=cv2.INTER_AREA)
        assert np.abs(gray.astype(float) - picture).mean() < 2
    assert 144 <= min(sides) < 165 and 220 < max(sides) <= 240


def test_scenes_are_the_same_again_and_the_first_ones_do_not_depend_on_how_many_follow():
    many, few = list(pasted_scenes(*pictures(3), seed=5)), list(pasted_scenes(*pictures(2), seed=5))
    for first, second in zip(many, few):
        np.testing.assert_array_equal(first.image, second.image)
    assert (many[0].image != next(pasted_scenes(*pictures(1), seed=6)).image).any()
    assert [scene.label for scene in many] == [0, 1, 2] and many[2].name == '2.png'


def test_a_tint_colours_a_face_and_leaves_its_brightness():
    face = np.arange(256, dtype=np.uint8).reshape(16, 16)
    coloured = tinted(face, np.random.default_rng(0))
    assert np.abs(cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY).astype(int) - face).max() <= 1
    blue, green, red = coloured[8, 0].astype(int)
    assert red > green > blue and red - blue > 20


def test_there_is_no_face_in_backgrounds(detector):
    assert sum(len(detector.detect(draw_background(np.random.default_rng(seed)))) for seed in range(12)) == 0


def photographs(folder, table, files=('astronaut.jpg', 'president.jpg', 'vice_president.jpg')):
    """Lay samples and a table into a folder."""
    for name in files:
        shutil.copy(os.path.join(SAMPLES, name), folder)
    (folder / 'labels.csv').write_text('file,faces,expressions_left_to_right\n' + table)
    return str(folder)


def test_photographs_faces_are_found_and_labelled_from_left_to_right(tmp_path, detector):
    beside = np.hstack(
        [cv2.resize(cv2.imread(os.path.join(SAMPLES, name)), (400, 480)) for name in ('president.jpg', 'astronaut.jpg')]
    )
    cv2.imwrite(str(tmp_path / 'two.png'), beside)
    cv2.imwrite(str(tmp_path / 'none.png'), np.full((60, 60, 3), 90, np.uint8))
    folder = photographs(tmp_path, 'astronaut.jpg,1,happy\ntwo.png,2,neutral;happy\nnone.png,0,\n')
    portraits = read_portraits(folder, detector)
    assert (portraits.pictures, portraits.invented) == (3, 0)
    assert [EMOTIONS[face.label] for face in portraits.faces] == ['happy', 'neutral', 'happy']
    left, right = portraits.faces[1:]
    assert left.middle[0] < 400 < right.middle[0] and left.name != right.name and left.box_px > 40


def test_photographs_of_one_face_are_read_when_the_table_is_that_of_a_labelled_folder(tmp_path, detector):
    shutil.copy(os.path.join(SAMPLES, 'astronaut.jpg'), tmp_path)
    (tmp_path / 'labels.csv').write_text('file, Emotion\nastronaut.jpg, Happiness\nunlabelled.jpg,\nstruck.jpg,sad\n')
    (tmp_path / 'struck_out.txt').write_text('struck.jpg\n')
    portraits = read_portraits(str(tmp_path), detector)
    assert [EMOTIONS[face.label] for face in portraits.faces] == ['happy'] and portraits.faces[0].middle
    assert (portraits.pictures, portraits.invented) == (1, 0)


def test_faces_have_no_place_when_fewer_are_found_and_others_are_counted_when_more_are(tmp_path, detector):
    folder = photographs(tmp_path, 'astronaut.jpg,2,happy;neutral\npresident.jpg,0,\n')
    portraits = read_portraits(folder, detector)
    assert [face.middle for face in portraits.faces] == [None, None] and portraits.invented == 1


@pytest.mark.parametrize(
    'table, expected',
    [
        ('astronaut.jpg,1,cheerful\n', 'cheerful'),
        ('absent.jpg,1,happy\n', 'absent.jpg'),
        ('', 'got no row'),
        ('notes.txt,1,happy\n', 'image file'),
        ('torn.jpg,1,happy\n', 'torn.jpg'),
    ],
)
def test_photographs_are_refused_when_table_or_pictures_are_wrong(tmp_path, detector, table, expected):
    (tmp_path / 'notes.txt').write_text('no picture')
    with open(os.path.join(SAMPLES, 'astronaut.jpg'), 'rb') as file:
        (tmp_path / 'torn.jpg').write_bytes(file.read()[:3000])
    with pytest.raises(BadDataset, match=expected):
        read_portraits(photographs(tmp_path, table), detector)


def test_photographs_are_refused_when_there_is_no_table(tmp_path, detector):
    with pytest.raises(BadDataset, match='labels.csv'):
        read_portraits(str(tmp_path), detector)
