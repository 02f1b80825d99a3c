"""How far crops of one face differ by size and place."""

import numpy as np
import pytest

from facial_emotion_ros.evaluation.camera.crop_spread import FIGURES, crop_spread
from facial_emotion_ros.evaluation.camera.scenes import LabelledFace
from facial_emotion_ros.perception.face_crops import CropGeometry
from facial_emotion_ros.perception.face_detector import Faces

GEOMETRY = CropGeometry(margin=1.1, center_y=0.58, level_eyes=True, landmark_weight=1.0)


class SquareDetector:
    """Find the one bright square in an image, as exactly as its pixels allow, but the small ones in another way."""

    def __init__(self, factor=1.0, shift=0.0, degrees=0.0):
        """Find boxes below 60 px this much too large, too far right and turned; none below 20 px."""
        self.factor, self.shift, self.degrees = factor, shift, degrees

    def detect(self, image):
        """Return Faces."""
        weights = np.clip((image[..., 0].astype(np.float64) - 128) / 127, 0, 1)
        side = np.sqrt(weights.sum())
        if side < 20:
            return Faces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 5, 2)))
        rows, columns = np.indices(weights.shape)
        middle = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum() + 0.5
        angle = 0.0
        if side < 60:
            middle[0] += self.shift * side
            side, angle = side * self.factor, np.radians(self.degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points = np.array([[-0.2, -0.2], [0.2, -0.2], [0, 0], [-0.2, 0.2], [0.2, 0.2]]) * side
        box = np.concatenate([middle - side / 2, middle + side / 2])
        return Faces(box[None], np.ones(1), (points.dot(turn.T) + middle)[None])


@pytest.fixture
def square():
    """Return a bright square of 100 px as a face."""
    image = np.full((220, 260, 3), 128, np.uint8)
    image[60:160, 80:180] = 255
    return LabelledFace('square', image, 0, (130, 110), 100.0)


def test_a_detector_that_finds_every_size_alike_has_no_spread(square):
    rows = crop_spread(SquareDetector(), [square], GEOMETRY, sizes=(16, 30, 75, 150))
    assert [row['found'] for row in rows] == [0, 4, 4, 4] and {row['n'] for row in rows} == {4}
    assert np.isnan(rows[0]['log_scale_middle'])
    for row in rows[1:]:
        for name in FIGURES:
            assert row[name + '_low'] == pytest.approx(0, abs=0.02) == row[name + '_high'], (name, row)


def test_a_detector_that_finds_small_faces_otherwise_shows_by_how_much(square):
    rows = crop_spread(SquareDetector(1.1, 0.05, 8.0), [square], GEOMETRY, sizes=(40, 150))
    small, large = ([row[name + '_middle'] for name in FIGURES] for row in rows)
    assert small[0] == pytest.approx(np.log(1.1), abs=0.02) and small[3] == pytest.approx(8, abs=1)
    assert small[1] == pytest.approx(0.05 / 1.21, abs=0.02)  # of the crop's side, which is larger too
    assert large == pytest.approx([0] * 4, abs=0.02)


def test_faces_that_are_not_found_as_they_are_do_not_count(square):
    lost = LabelledFace('lost', square.image, 0, None, 0.0)
    assert [row['n'] for row in crop_spread(SquareDetector(), [lost, square], GEOMETRY, sizes=(50,))] == [4]
