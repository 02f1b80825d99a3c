"""Steps of the system's clock are noticed, whichever way they go."""

import pytest

from facial_emotion_ros.clock_watch import ClockWatch


@pytest.mark.parametrize('step', [3600.0, -3600.0, 0.6, -0.6])
def test_a_step_is_told_once_when_the_clock_was_set(step):
    watch = ClockWatch()
    assert [watch.step_s(1000.0 + 0.2 * look, 50.0 + 0.2 * look) for look in range(5)] == [0.0] * 5
    assert watch.step_s(1001.0 + step, 51.0) == pytest.approx(step)
    assert watch.step_s(1001.2 + step, 51.2) == 0.0


def test_nothing_is_told_when_the_clock_is_slewed_or_the_looks_are_far_apart():
    watch = ClockWatch()
    assert [watch.step_s(1000.0 + 1.05 * look, float(look)) for look in range(100)] == [0.0] * 100
    assert watch.step_s(1000.0 + 1.05 * 99 + 3600.0, 99.0 + 3600.0) == 0.0


def test_nothing_is_told_when_the_clock_was_another_one_meanwhile():
    watch = ClockWatch()
    watch.step_s(1000.0, 50.0)
    watch.pause()
    assert watch.step_s(5.0, 51.0) == 0.0
    assert watch.step_s(3605.0, 51.0) == 3600.0
