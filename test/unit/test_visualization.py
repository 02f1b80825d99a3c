"""Whatever is drawn stays inside the image, and tells what the estimate says."""

from collections import namedtuple

import numpy as np
import pytest

from facial_emotion_ros.core.emotions import EMOTIONS, UNKNOWN
from facial_emotion_ros.core.visualization import COLORS, draw_estimates

Estimate = namedtuple('Estimate', 'face_id box emotion confidence scores valence arousal')


def estimate(box, emotion='happy', confidence=0.9, valence=0.5, arousal=-0.2, face_id='fflck'):
    """Return an estimate whose other scores share the rest."""
    scores = dict.fromkeys(EMOTIONS, (1 - confidence) / 7)
    if emotion in scores:
        scores[emotion] = confidence
    return Estimate(face_id, box, emotion, confidence, scores, valence, arousal)


def painted(image, color):
    """Return how many pixels have just that colour."""
    return int((image == np.array(color, np.uint8)).all(axis=2).sum())


def ground(height=480, width=640, value=0):
    """Return an even image."""
    return np.full((height, width, 3), value, np.uint8)


def test_image_stays_as_it_is_when_drawn_on():
    image = ground()
    drawn = draw_estimates(image, [estimate((100, 100, 200, 220))])
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert not image.any() and drawn.any()


def test_drawing_is_a_copy_when_there_is_no_face():
    image = ground(value=7)
    drawn = draw_estimates(image, [])
    assert np.array_equal(drawn, image) and drawn is not image and not np.shares_memory(drawn, image)


@pytest.mark.parametrize('emotion', EMOTIONS + (UNKNOWN,))
def test_box_has_the_color_of_the_class_when_drawn(emotion):
    drawn = draw_estimates(ground(), [estimate((100, 100, 200, 220), emotion)])
    assert painted(drawn[95:225, 95:205], COLORS[emotion]) > 300


@pytest.mark.parametrize('confidence', [0.0, float('nan')])
def test_unknown_is_drawn_without_confidence_when_it_is_unknown(confidence):
    drawn = draw_estimates(ground(), [estimate((100, 100, 200, 220), UNKNOWN, confidence, float('nan'), float('nan'))])
    sure = draw_estimates(ground(), [estimate((100, 100, 200, 220), UNKNOWN, 0.99, float('nan'), float('nan'))])
    assert np.array_equal(drawn[70:98], sure[70:98])


@pytest.mark.parametrize(
    'box',
    [
        (0, 0, 100, 120),
        (540, 0, 640, 120),
        (0, 360, 100, 480),
        (540, 360, 640, 480),
        (270, 0, 370, 480),
        (0, 0, 640, 480),
        (630, 200, 640, 210),
        (0, 470, 5, 480),
    ],
)
def test_label_is_complete_when_the_face_is_at_a_border(box):
    in_the_middle, at_the_border = changed_note([(270, 180, 370, 300)]), changed_note([box])
    assert in_the_middle[0].size > 200 and np.array_equal(at_the_border[0], in_the_middle[0])


@pytest.mark.parametrize(
    'boxes',
    [
        [(200, 200, 300, 320), (230, 205, 330, 325), (210, 215, 310, 335)],
        [
            (100 + 25 * column, 150 + 30 * row, 150 + 25 * column, 210 + 30 * row)
            for row in range(3)
            for column in range(3)
        ],
        [(0, 0, 60, 70), (10, 0, 70, 70), (0, 5, 60, 75)],
        [(300, 200, 380, 300)] * 4,
    ],
)
def test_labels_do_not_overlap_when_faces_do(boxes):
    alone = changed_note([(270, 180, 370, 300)])[1]
    for row in range(len(boxes)):
        assert changed_note(boxes, row)[1] == alone


def changed_note(boxes, row=0):
    """Draw faces, one of them with two ids of equal width; return what differs: pixels of a part, and their number."""
    first, second = (
        draw_estimates(
            ground(), [estimate(box, face_id=face_id if each == row else '') for each, box in enumerate(boxes)]
        )
        for face_id in ('fflck', 'kclff')
    )
    rows, columns = np.nonzero((first != second).any(axis=2))
    return first[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1], len(rows)


def test_unknown_shows_the_rejection_reasons():
    plain = estimate((200, 200, 300, 320), UNKNOWN)
    rejected = namedtuple('Rejected', Estimate._fields + ('rejection_reasons',))(
        *plain, rejection_reasons=('blurred', 'cut')
    )
    changed = draw_estimates(ground(), [plain]) != draw_estimates(ground(), [rejected])
    columns = np.nonzero(changed.any(axis=(0, 2)))[0]
    assert columns.max() - columns.min() > 60


@pytest.mark.parametrize('height, width', [(1, 1), (2, 500), (31, 33), (240, 320), (1080, 1920), (4000, 30)])
def test_drawing_works_when_the_image_has_any_size(height, width):
    whole = estimate((0.0, 0.0, float(width), float(height)))
    part = estimate((width * 0.4, height * 0.3, width * 0.6, height * 0.7), 'anger', face_id='')
    assert draw_estimates(ground(height, width), [whole, part]).shape == (height, width, 3)


def test_nothing_is_written_when_the_image_is_smaller_than_the_words():
    first, second = (draw_estimates(ground(31, 33), [estimate((5, 5, 20, 20), face_id=each)]) for each in ('a', 'bcd'))
    assert np.array_equal(first, second)


@pytest.mark.parametrize('box', [(-50, -50, 20, 20), (600, 400, 900, 700), (10, 10, 10, 10), (900, 900, 950, 950)])
def test_drawing_works_when_a_box_leaves_the_image(box):
    assert draw_estimates(ground(), [estimate(box)]).shape == (480, 640, 3)


def test_panels_hide_no_face_when_there_are_many():
    boxes = [(x, y, x + 80, y + 90) for y in (40, 200, 360) for x in (30, 180, 330, 480)]
    drawn = draw_estimates(ground(value=128), [estimate(box) for box in boxes])
    for x0, y0, x1, y1 in boxes:
        assert (drawn[y0 + 5 : y1 - 5, x0 + 5 : x1 - 5] == 128).all()


@pytest.mark.parametrize('word', ['valence', 'arousal'])
def test_bar_grows_to_its_side_when_affect_has_a_sign(word):
    def difference(value):
        values = {'valence': 0.0, 'arousal': 0.0}
        still = draw_estimates(ground(), [estimate((100, 100, 200, 220), **values)])
        values[word] = value
        moved = draw_estimates(ground(), [estimate((100, 100, 200, 220), **values)])
        return np.nonzero((still != moved).any(axis=(0, 2)))[0]

    low, high, beyond = difference(-0.8), difference(0.8), difference(5.0)
    assert low.max() < high.min() and len(beyond) >= len(high) > 10 and beyond.max() <= high.max() + 10


def test_sizes_grow_with_the_image_when_it_is_large():
    small = draw_estimates(ground(480, 640), [estimate((100, 100, 200, 220))])
    large = draw_estimates(ground(1440, 1920), [estimate((300, 300, 600, 660))])
    assert 7 < np.count_nonzero(large) / float(np.count_nonzero(small)) < 11
