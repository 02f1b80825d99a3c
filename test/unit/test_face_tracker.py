"""A face keeps its id from frame to frame, and nobody else ever gets it."""

import math
import string

import numpy as np
import pytest

from facial_emotion_ros.core.errors import BadParameter
from facial_emotion_ros.perception.face_tracker import FaceTracker, face_id, intersection_over_union
from facial_emotion_ros.perception.image_times import BACK_S


def box(x, y, side=100.0):
    """Return a square box by its centre."""
    return [x - side / 2, y - side / 2, x + side / 2, y + side / 2]


def update(tracker, boxes, stamp_s, scores=None):
    """Update with the scores falling in the order of the boxes, unless given."""
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(boxes)) if scores is None else np.array(scores)
    return tracker.update(boxes, scores, stamp_s)


def test_ids_differ_visibly_when_many_are_given():
    ids = [face_id(number) for number in range(1000)]
    assert all(len(each) == 5 and set(each) <= set(string.ascii_lowercase) for each in ids)
    letters = np.array([list(each) for each in ids])
    assert min((letters[lag:] != letters[:-lag]).sum(axis=1).min() for lag in range(1, 1000)) >= 3


def test_no_id_comes_twice_when_all_are_counted_through():
    # The factor shares no divisor with the count, so that the map is one to one; the ends are looked at.
    assert face_id(0) == face_id(20**5) and len({face_id(number) for number in range(20000)}) == 20000


def test_ids_are_the_same_when_the_frames_are():
    frames = [[box(100 + 7 * step, 100), box(300, 100 + 9 * step)] for step in range(20)]
    runs = []
    for _ in range(2):
        tracker = FaceTracker()
        runs.append([update(tracker, boxes, step / 15) for step, boxes in enumerate(frames)])
    assert runs[0] == runs[1] == [[face_id(0), face_id(1)]] * 20


def test_no_ids_when_there_are_no_faces():
    tracker = FaceTracker()
    assert update(tracker, [], 0.0) == []
    assert tracker.live_ids == []


def test_faces_keep_their_ids_when_the_order_of_the_boxes_changes():
    tracker = FaceTracker()
    first = update(tracker, [box(100, 100), box(400, 100), box(250, 300)], 0.0)
    assert update(tracker, [box(255, 300), box(105, 100), box(395, 100)], 0.1) == [first[2], first[0], first[1]]


def test_faces_keep_their_ids_when_they_cross_well_apart():
    tracker = FaceTracker()
    expected = update(tracker, [box(100, 100), box(500, 250)], 0.0)
    for step in range(1, 41):
        assert update(tracker, [box(100 + 10 * step, 100), box(500 - 10 * step, 250)], step / 15) == expected


@pytest.mark.parametrize('gap_s, keeps', [(0.2, True), (0.5, True), (0.51, False), (3.0, False)])
def test_id_is_kept_up_to_the_largest_age_when_a_face_is_lost(gap_s, keeps):
    tracker = FaceTracker(max_age_s=0.5)
    before = update(tracker, [box(100, 100)], 10.0)
    assert update(tracker, [], 10.0 + gap_s / 2) == []
    after = update(tracker, [box(110, 100)], 10.0 + gap_s)
    assert (after == before) is keeps


def test_live_ids_end_when_a_face_is_gone_for_too_long():
    tracker = FaceTracker(max_age_s=0.5)
    first, second = update(tracker, [box(100, 100), box(400, 100)], 0.0)
    update(tracker, [box(100, 100)], 0.4)
    assert tracker.live_ids == [first, second]
    update(tracker, [box(100, 100)], 0.6)
    assert tracker.live_ids == [first]
    update(tracker, [], 1.2)
    assert tracker.live_ids == []


@pytest.mark.parametrize(
    'shift, growth, keeps',
    [
        (0, 1, True),
        (50, 1, True),
        (74, 1, True),
        (80, 1, False),
        (0, 1.7, True),
        (0, 6, False),
        (60, 1.3, True),
        (60, 2.0, False),
        (300, 1, False),
    ],
)
def test_id_goes_with_the_face_when_it_moves_within_the_gates(shift, growth, keeps):
    tracker = FaceTracker()
    before = update(tracker, [box(300, 300)], 0.0)
    after = update(tracker, [box(300 + shift, 300, 100 * growth)], 0.1)
    assert (after == before) is keeps


def test_overlap_wins_when_another_face_is_nearer_to_the_first_box():
    tracker = FaceTracker()
    before = update(tracker, [box(100, 100), box(190, 100)], 0.0)
    # Both moved right by 40: the first now lies between its own place (IoU 0.43) and the second's (0.33).
    assert update(tracker, [box(140, 100), box(230, 100)], 0.1) == before


def test_nearest_face_gives_the_id_when_a_box_fits_two_faces():
    for near in (0, 1):
        tracker = FaceTracker()
        before = update(tracker, [box(100, 100), box(150, 100)], 0.0)
        assert update(tracker, [box((110, 140)[near], 100)], 0.1) == [before[near]]


def test_higher_score_gets_the_id_when_two_boxes_fit_equally():
    tracker = FaceTracker()
    before = update(tracker, [box(100, 100)], 0.0)
    left, right = update(tracker, [box(90, 100), box(110, 100)], 0.1, scores=[0.6, 0.7])
    assert [right] == before and left == face_id(1)


def test_id_is_not_used_again_when_cleared_or_lost():
    tracker = FaceTracker(max_age_s=0.5)
    seen = []
    for step in range(50):
        seen += update(tracker, [box(100, 100)], float(step))
        if step % 3 == 0:
            tracker.clear()
            assert tracker.live_ids == []
    assert len(set(seen)) == 50


@pytest.mark.parametrize('back_s', [0.001, 0.033, 0.2, BACK_S - 0.01])
def test_faces_keep_their_ids_when_a_stamp_goes_back_a_little(back_s):
    tracker = FaceTracker()
    before = update(tracker, [box(100, 100)], 100.0)
    assert update(tracker, [box(102, 100)], 100.0 - back_s) == before
    assert update(tracker, [box(104, 100)], 100.1) == before and tracker.live_ids == before


def test_time_does_not_go_back_when_a_stamp_does():
    tracker = FaceTracker(max_age_s=0.5)
    [left, right] = update(tracker, [box(100, 100), box(400, 100)], 100.0)
    update(tracker, [box(100, 100)], 100.45)
    update(tracker, [box(100, 100)], 100.1)
    assert tracker.live_ids == [left, right]
    update(tracker, [box(100, 100)], 100.55)
    assert tracker.live_ids == [left], 'the late image has made a lost face younger'


def test_faces_are_forgotten_when_the_stamps_go_far_back():
    tracker = FaceTracker()
    before = update(tracker, [box(100, 100)], 100.0)
    after = update(tracker, [box(100, 100)], 100.0 - BACK_S - 0.01)
    assert after != before and tracker.live_ids == after
    assert update(tracker, [box(100, 100)], 100.0) == after


def test_id_is_kept_when_the_stamp_stays():
    tracker = FaceTracker(max_age_s=0.0)
    assert update(tracker, [box(100, 100)], 5.0) == update(tracker, [box(100, 100)], 5.0)


def test_no_two_boxes_share_an_id_when_many_faces_jump_about():
    random, tracker = np.random.RandomState(1), FaceTracker()
    for step in range(200):
        centers = random.uniform(0, 400, (random.randint(0, 12), 2))
        ids = update(tracker, [box(x, y, 80) for x, y in centers], step / 15)
        assert len(set(ids)) == len(ids) == len(centers)
        assert set(ids) <= set(tracker.live_ids)


def test_memory_does_not_grow_when_faces_come_and_go():
    tracker = FaceTracker(max_age_s=0.5)
    for step in range(300):
        update(tracker, [box(100 + 1000 * (step % 2), 100)], step * 1.0)
    assert len(tracker.live_ids) == 1


def test_a_fast_face_keeps_its_id_when_stamps_are_irregular():
    for fps in (10, 15, 30):
        random, tracker, seen = np.random.RandomState(fps), FaceTracker(), set()
        for stamp_s in np.cumsum(random.uniform(0.3, 1.7, 6 * fps)) / fps:
            # 3.5 sides a second, and turning: too far between two images for a tracker that expects it where it was.
            x = 600 + 500 * math.sin(0.7 * stamp_s) + random.normal(0, 2)
            seen.update(update(tracker, [box(x, 240)], stamp_s))
        assert len(seen) == 1


def test_ids_stay_when_faces_cross_and_one_hides_the_other():
    tracker, seen = FaceTracker(), []
    for step in range(61):
        left, right = 100 + 8 * step, 580 - 8 * step
        boxes = [box(left, 240, 120)]
        if abs(left - right) > 90:  # the detector keeps one of two boxes that overlap this much
            boxes.append(box(right, 250, 100))
        seen.append(update(tracker, boxes, step / 15))
    assert {len(ids) for ids in seen} == {1, 2}
    assert {ids[0] for ids in seen} == {face_id(0)}
    assert {ids[1] for ids in seen if len(ids) == 2} == {face_id(1)}


def test_a_hidden_face_is_expected_further_on_and_then_at_rest():
    tracker = FaceTracker()
    for step in range(15):  # 60 px a second
        ids = update(tracker, [box(100 + 4 * step, 240)], step / 15)
    x = [tracker.predicted(ids, 14 / 15 + gap_s)[0, [0, 2]].mean() for gap_s in (0.0, 1 / 15, 0.2, 0.6, 0.9)]
    assert x[0] == pytest.approx(156) and x[1] == pytest.approx(159.7, abs=0.5)
    assert x[1] < x[2] < x[3] < x[4] < 156 + 0.45 * 60 and x[4] - x[3] < 0.5 * 60 * 0.3


def test_whoever_is_in_sight_goes_first_when_a_lost_face_overlaps_a_little_more():
    tracker = FaceTracker()
    hidden, seen = update(tracker, [box(100, 100), box(140, 100)], 0.0)
    assert update(tracker, [box(140, 100)], 0.4) == [seen]
    # It overlaps 0.69 of the place of the face that has been lost for 0.8 s, 0.64 of that of the one in sight.
    assert update(tracker, [box(118, 100)], 0.8) == [seen]
    assert tracker.live_ids == [hidden, seen]


@pytest.mark.parametrize('x, keeps', [(185, True), (205, False), (2000, False)])
def test_a_lost_face_is_looked_for_further_away_by_the_time_that_it_was_lost(x, keeps):
    tracker = FaceTracker()
    before = update(tracker, [box(100, 100)], 1000.0)
    assert update(tracker, [], 1000.1) == []
    # 0.2 s after it was seen: 0.75 of its side and 0.2 more.
    assert (update(tracker, [box(x, 100)], 1000.2) == before) is keeps


@pytest.mark.parametrize('x, y, growth', [(1, 0, 1), (-1, 0, 1), (0, 1, 1), (0, 0, 1.2), (0, 0, 1 / 1.2)])
def test_a_face_is_expected_no_further_than_the_gates_when_it_was_fast(x, y, growth):
    tracker, side = FaceTracker(), 100.0
    for step in range(12):  # 6 sides a second, or twice as large in 0.25 s
        side *= growth
        last = box(600 + 40 * x * step, 600 + 40 * y * step, side)
        ids = update(tracker, [last], step / 15)
    ahead = tracker.predicted(ids, 11 / 15 + 1.0)[0]
    moved, sides = (ahead[:2] + ahead[2:] - np.array(last[:2]) - last[2:]) / 2, ahead[2:] - ahead[:2]
    assert moved == pytest.approx([0.75 * side * x, 0.75 * side * y], abs=0.01)
    factor = 2**0.5 if growth > 1 else 0.5**0.5 if growth < 1 else 1.0  # of each side: the area's is 2
    assert sides == pytest.approx([factor * side] * 2, abs=0.01)


def test_two_stamps_close_together_throw_no_face_away():
    tracker = FaceTracker()
    first = update(tracker, [box(100, 100)], 0.0)
    assert update(tracker, [box(110, 103, 104)], 1e-6) == first
    assert update(tracker, [box(108, 102)], 0.1) == first
    predicted = tracker.predicted(first, 0.2)
    assert np.abs(predicted - np.array(box(108, 102))).max() < 80 and np.isfinite(predicted).all()


def test_low_scores_continue_a_face_in_sight_and_begin_none():
    tracker = FaceTracker()
    low = lambda x, stamp_s: tracker.update(np.array([box(x, 100)]), np.array([0.3]), stamp_s, 0.5)  # noqa: E731
    assert low(100, 0.0) == [''] and tracker.live_ids == []
    first = update(tracker, [box(100, 100)], 0.1, [0.9])
    assert low(104, 0.2) == first and low(108, 0.3) == first
    assert low(300, 0.4) == [''], 'not near'
    assert low(108, 0.5) == [''], 'it was out of sight'
    assert update(tracker, [box(110, 100)], 0.6, [0.9]) == first
    # A sure box goes first, though the other one overlaps more.
    ids = tracker.update(np.array([box(112, 100), box(130, 100)]), np.array([0.3, 0.9]), 0.7, 0.5)
    assert ids == ['', first[0]]


def test_followed_faces_move_and_places_mean_nothing_after_a_cut():
    tracker = FaceTracker()
    first, second = update(tracker, [box(100, 100), box(400, 100)], 0.0)
    tracker.follow([second], np.array([box(420, 100)]), 0.1)
    assert tracker.live_ids == [first, second]
    assert np.allclose(tracker.predicted([first, second], 0.1), [box(100, 100), box(420, 100)])
    assert tracker.predicted([], 0.2).shape == (0, 4)
    tracker.cut()
    assert not {first, second} & set(update(tracker, [box(430, 100), box(100, 100)], 0.2))


def test_settings_act_at_once_when_adjusted():
    tracker = FaceTracker(max_age_s=0.5)
    first = update(tracker, [box(100, 100)], 0.0)
    tracker.adjust(3.0, 0.3)
    assert update(tracker, [box(100, 100)], 2.0) == first
    with pytest.raises(BadParameter):
        tracker.adjust(-1.0, 0.3)


@pytest.mark.parametrize(
    'arguments, expected',
    [
        ({'max_age_s': -0.1}, BadParameter),
        ({'max_age_s': math.nan}, BadParameter),
        ({'max_age_s': math.inf}, BadParameter),
        ({'min_iou': 0.0}, BadParameter),
        ({'min_iou': 1.1}, BadParameter),
        ({'min_iou': math.nan}, BadParameter),
        ({'remember_s': -0.1}, BadParameter),
        ({'remember_s': math.inf}, BadParameter),
    ],
)
def test_refused_when_an_option_is_out_of_range(arguments, expected):
    with pytest.raises(expected):
        FaceTracker(**arguments)


@pytest.mark.parametrize(
    'boxes, scores, stamp_s, expected',
    [
        ([[0, 0, 10, math.nan]], [0.5], 0.0, BadParameter),
        ([[0, 0, 10, 10]], [], 0.0, BadParameter),
        ([[0, 0, 10, 10]], [0.5], math.nan, BadParameter),
        ([[0, 0, 10, 10]], [0.5], math.inf, BadParameter),
    ],
)
def test_refused_when_the_faces_are_no_numbers(boxes, scores, stamp_s, expected):
    with pytest.raises(expected):
        FaceTracker().update(np.array(boxes, np.float32), np.array(scores, np.float32), stamp_s)


def test_overlap_is_none_when_boxes_have_no_area():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 5], [0, 0, 10, 5], [10, 0, 20, 10]], np.float64)
    assert np.allclose(intersection_over_union(boxes[:1], boxes), [[1, 0, 0.5, 0]])
