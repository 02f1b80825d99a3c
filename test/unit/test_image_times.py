"""Stamps without a time or with a wrong one, and steps of the system clock."""

import pytest

from facial_emotion_ros.perception.image_times import BACK_S, ODD_STAMPS, ClockStepDetector, StreamTime, not_before

START_S = 1767225600


def taken(stamps_s, every_s=0.1, arrived_s=None):
    """Let images come and return their ImageTime; None stands for no stamp."""
    stream = StreamTime()
    arrivals = arrived_s or [50.0 + every_s * number for number in range(len(stamps_s))]
    return [
        stream.take(0 if stamp is None else round(stamp * 1e9), arrival) for stamp, arrival in zip(stamps_s, arrivals)
    ]


def steps(images):
    """Return the time from image to image."""
    return [after.time_s - before.time_s for before, after in zip(images, images[1:])]


def test_time_is_that_of_the_stamps_when_they_rise_however_irregular_the_arrivals_are():
    images = taken([START_S, START_S + 0.1, START_S + 0.3], arrived_s=[5.0, 5.4, 5.41])
    assert [image.time_s for image in images] == pytest.approx([0.0, 0.1, 0.3])
    assert {image.oddity for image in images} == {''}


@pytest.mark.parametrize(
    'stamp, oddities',
    [
        (None, ['unstamped'] * 5),
        (START_S, ['', 'frozen', 'frozen', 'frozen', 'frozen']),
        (1e-9, ['', 'frozen', 'frozen', 'frozen', 'frozen']),
    ],
)
def test_time_is_that_of_arrival_when_all_stamps_are_alike(stamp, oddities):
    images = taken([stamp] * 5, every_s=0.2)
    assert [image.oddity for image in images] == oddities
    assert steps(images) == pytest.approx([0.2] * 4, abs=1e-6)


def test_time_stands_and_goes_on_when_two_images_are_swapped():
    images = taken([10.0, 10.2, 10.1, 10.3])
    assert [image.oddity for image in images] == ['', '', 'backwards', '']
    assert [image.time_s for image in images] == pytest.approx([0.0, 0.2, 0.2, 0.3])
    assert images[2].back_s == pytest.approx(0.1) and not images[2].begins_anew


def test_time_goes_on_and_faces_are_to_be_forgotten_when_a_recording_begins_again():
    images = taken([10.0, 10.1, 3.0, 3.1])
    assert [image.begins_anew for image in images] == [False, False, True, False]
    assert steps(images) == pytest.approx([0.1] * 3) and images[2].back_s == pytest.approx(7.1)


@pytest.mark.parametrize('back_s, begins_anew', [(0.001, False), (BACK_S - 0.01, False), (BACK_S + 0.01, True)])
def test_the_bound_decides_when_a_stamp_goes_back(back_s, begins_anew):
    assert taken([10.0, 10.0 - back_s])[1].begins_anew is begins_anew


def test_time_never_runs_twice_as_fast_when_stamps_are_whole_seconds():
    images = taken([100 + number // 10 for number in range(50)])
    assert images[-1].time_s - images[0].time_s == pytest.approx(4.9, abs=0.11)
    assert max(steps(images)) < 0.11 and min(steps(images)) >= 0


def test_time_is_kept_when_single_images_have_no_stamp():
    images = taken([10.0, None, 10.2, None, 10.4])
    assert [image.time_s for image in images] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert [image.oddity for image in images] == ['', 'unstamped', '', 'unstamped', '']


def test_time_goes_on_when_stamps_that_were_frozen_for_long_move_again():
    images = taken([10.0] * 20 + [10.1, 10.2, 10.3])
    assert steps(images)[-4:] == pytest.approx([0.1] * 4)


def test_time_goes_by_arrival_when_stamps_only_begin_later():
    assert steps(taken([None, None, START_S, START_S + 0.1])) == pytest.approx([0.1] * 3, abs=1e-6)


@pytest.mark.parametrize('stamp_s, expected', [(3.0, 3.0), (9.4, 9.4), (9.6, 10.0), (10.0, 10.0), (11.0, 11.0)])
def test_a_late_image_counts_as_the_latest_when_it_is_a_little_late(stamp_s, expected):
    assert not_before(stamp_s, 10.0) == expected


def test_the_oddities_are_those_that_are_counted():
    assert {'unstamped', 'frozen', 'backwards'} < set(ODD_STAMPS)


@pytest.mark.parametrize('step', [3600.0, -3600.0, 0.6, -0.6])
def test_a_step_is_reported_once_when_the_clock_was_set(step):
    detector = ClockStepDetector()
    assert [detector.step_s(1000.0 + 0.2 * count, 50.0 + 0.2 * count) for count in range(5)] == [0.0] * 5
    assert detector.step_s(1001.0 + step, 51.0) == pytest.approx(step)
    assert detector.step_s(1001.2 + step, 51.2) == 0.0


def test_no_step_is_reported_when_the_clock_is_slewed_or_the_readings_are_far_apart():
    detector = ClockStepDetector()
    assert [detector.step_s(1000.0 + 1.05 * count, float(count)) for count in range(100)] == [0.0] * 100
    assert detector.step_s(1000.0 + 1.05 * 99 + 3600.0, 99.0 + 3600.0) == 0.0


def test_no_step_is_reported_when_the_clock_was_another_one_meanwhile():
    detector = ClockStepDetector()
    detector.step_s(1000.0, 50.0)
    detector.pause()
    assert detector.step_s(5.0, 51.0) == 0.0
    assert detector.step_s(3605.0, 51.0) == 3600.0
