"""The slot holds the newest frame only, wakes its waiter, and keeps its counters balanced in any order of events."""

import threading

import pytest

from facial_emotion_ros.ros import health
from facial_emotion_ros.ros.latest_slot import OUTCOMES, STAGES, LatestSlot, SlotClosed

LONG_S = 20.0


class Clock:
    """A clock that the test sets."""

    def __init__(self):
        self.now_s = 0.0

    def __call__(self):
        """Return the time."""
        return self.now_s


@pytest.fixture
def clock():
    """Return a clock at 0 s."""
    return Clock()


@pytest.fixture
def slot(clock):
    """Return a slot that goes by the clock."""
    return LatestSlot(clock)


def balance(slot):
    """Return the counters, after a check that they balance."""
    view = slot.snapshot()
    assert view['received'] == sum(view[name] for name in OUTCOMES + ('waiting', 'in_work')), view
    assert view['waiting'] in (0, 1) and view['in_work'] in (0, 1), view
    return view


def test_newest_frame_is_taken_when_several_were_put(slot):
    for frame in ('a', 'b', 'c'):
        slot.put(frame)
    assert balance(slot)['replaced'] == 2
    assert slot.take(0) == 'c'
    assert slot.take(0) is None
    slot.finish('processed')
    slot.put('d')
    assert balance(slot)['replaced'] == 2


def test_take_gives_none_when_the_time_is_over():
    assert LatestSlot().take(0.001) is None


@pytest.mark.parametrize('frame', [0, '', [], False])
def test_frame_is_a_frame_when_it_is_false(slot, frame):
    slot.put(frame)
    slot.put(frame)
    assert balance(slot)['replaced'] == 1
    assert slot.take(0) is frame


def test_a_frame_that_waits_counts_as_expired_when_the_slot_is_cleared(slot):
    slot.clear()
    slot.put('a')
    slot.clear()
    view = balance(slot)
    assert (view['expired'], view['waiting'], view['in_work']) == (1, 0, 0)
    assert slot.take(0) is None


def test_waiting_frame_is_dropped_and_later_ones_refused_when_closed(slot):
    slot.put('a')
    slot.close()
    assert slot.take(LONG_S) is None
    slot.close()
    with pytest.raises(SlotClosed):
        slot.put('b')
    view = balance(slot)
    assert (view['received'], view['expired']) == (1, 1)


@pytest.mark.parametrize('wake, taken', [(lambda slot: slot.put('a'), 'a'), (lambda slot: slot.close(), None)])
def test_take_wakes_when_something_happens(wake, taken):
    slot, frames = LatestSlot(), []
    waiter = threading.Thread(target=lambda: frames.append(slot.take(LONG_S)), daemon=True)
    waiter.start()
    wake(slot)
    waiter.join(LONG_S / 2)
    assert frames == [taken]


def test_every_frame_is_taken_or_replaced_once_when_threads_race():
    slot, taken, count = LatestSlot(), [], 3000

    def take():
        while True:
            frame = slot.take(LONG_S)
            if frame is None:
                return
            taken.append(frame)

    def put(first):
        for frame in range(first, first + count):
            slot.put(frame)

    takers = [threading.Thread(target=take, daemon=True) for _ in range(2)]
    putters = [threading.Thread(target=put, args=(start * count,), daemon=True) for start in range(3)]
    for thread in takers + putters:
        thread.start()
    for thread in putters:
        thread.join(LONG_S)
    slot.close()
    for thread in takers:
        thread.join(LONG_S)
    view = slot.snapshot()
    assert len(taken) + view['replaced'] + view['expired'] == view['received'] == 3 * count
    assert len(set(taken)) == len(taken)


def test_frames_of_several_take_turns_when_they_have_keys(slot):
    for frame in ('a1', 'b1', 'a2', 'c1', 'b2'):
        slot.put(frame, frame[0])
    view = slot.snapshot()
    assert (view['received'], view['replaced'], view['waiting'], view['in_work']) == (5, 2, 3, 0)
    assert slot.take(0) == 'a2'
    view = slot.snapshot()
    assert (view['waiting'], view['in_work']) == (2, 1)
    slot.finish('processed')
    assert slot.take(0) == 'b2'
    slot.finish('processed')
    slot.clear()
    view = slot.snapshot()
    assert (view['processed'], view['expired'], view['waiting'], view['in_work']) == (2, 1, 0, 0)
    assert slot.take(0) is None


def test_a_dropped_frame_is_counted_and_others_wait_on_when_its_face_is_lost(slot):
    for key in 'abc':
        slot.put('frame of ' + key, key)
    slot.drop('b')
    slot.drop('nobody')
    view = slot.snapshot()
    assert (view['received'], view['waiting'], view['expired']) == (3, 2, 1)
    assert [slot.take(0) for _ in range(3)] == ['frame of a', 'frame of c', None]


def test_every_step_balances_when_a_frame_goes_its_way(slot, clock):
    slot.put('first')
    assert balance(slot)['waiting'] == 1
    clock.now_s = 0.1
    slot.put('second')
    view = balance(slot)
    assert (view['received'], view['replaced'], view['waiting']) == (2, 1, 1)
    clock.now_s = 0.2
    slot.take(0)
    view = balance(slot)
    assert (view['waiting'], view['in_work'], view['taken_s']) == (0, 1, 0.2)
    slot.put('third')
    view = balance(slot)
    assert (view['waiting'], view['in_work'], view['replaced']) == (1, 1, 1)
    clock.now_s = 0.5
    slot.finish('processed', age_s=0.45)
    view = balance(slot)
    assert (view['processed'], view['in_work'], view['ages_s'], view['taken_s']) == (1, 0, [0.45], None)
    assert view['arrivals_s'] == [0.0, 0.1, 0.2] and view['works_s'] == [pytest.approx(0.3)]


def test_silence_is_reported_only_when_nothing_waits_or_is_in_work(slot, clock):
    def silence_at(now_s):
        clock.now_s = now_s
        return slot.silence_s()

    assert silence_at(100.0) == 0.0
    slot.put('frame')
    assert silence_at(110.0) == 0.0
    slot.take(0)
    assert silence_at(120.0) == 0.0
    slot.finish('processed')
    assert silence_at(122.5) == 2.5
    slot.put('frame')
    slot.clear()
    assert silence_at(123.5) == 1.0


def test_the_stage_and_its_time_are_known_while_a_frame_is_in_work(slot, clock):
    clock.now_s = 0.1
    slot.put('frame')
    slot.take(0)
    assert [slot.snapshot()[name] for name in ('stage', 'stage_since_s')] == ['decoding', 0.1]
    for clock.now_s, stage in enumerate(STAGES):
        slot.enter(stage)
        assert [slot.snapshot()[name] for name in ('stage', 'stage_since_s')] == [stage, clock.now_s]
    assert set(STAGES) == set(health._SLOW_STAGES), 'diagnostics have no words for a stage'


def test_other_events_are_counted_and_their_reasons_kept_short(slot, clock):
    clock.now_s = 5.0
    slot.count('refused_ids', 20000, 'x' * 10000)
    slot.count('clock_jumps')
    slot.count('future', reason='by 3 s')
    view = balance(slot)
    assert (view['refused_ids'], view['clock_jumps'], view['future'], view['unstamped']) == (20000, 1, 1, 0)
    assert list(view['faults']) == ['refused_ids', 'future'] and view['faults']['future'] == (5.0, 'by 3 s')
    assert len(view['faults']['refused_ids'][1]) < 1000


@pytest.mark.parametrize(
    'outcome, reason, faults', [('expired', '', {}), ('bad', 'too short', {'bad': (0.2, 'too short')})]
)
def test_the_reason_is_kept_when_a_frame_was_not_dropped_on_demand(slot, clock, outcome, reason, faults):
    slot.put('frame')
    slot.take(0)
    assert balance(slot)['faults'] == {}
    clock.now_s = 0.2
    slot.finish(outcome, None, reason)
    view = balance(slot)
    assert (view[outcome], view['faults'], view['works_s']) == (1, faults, [])


def test_an_answer_counts_without_an_age_when_its_image_had_no_stamp(slot, clock):
    slot.put('frame')
    slot.take(0)
    clock.now_s = 0.25
    slot.finish('processed')
    view = balance(slot)
    assert (view['processed'], view['ages_s'], view['works_s'], view['faults']) == (1, [], [0.25], {})


def test_it_balances_at_every_instant_when_three_threads_hurry():
    slot, done, views = LatestSlot(), threading.Event(), []

    def work():
        while not done.is_set():
            if slot.take(0.01) is not None:
                slot.finish('processed', age_s=0.0)

    def watch():
        while not done.is_set():
            views.append(slot.snapshot())

    threads = [threading.Thread(target=work), threading.Thread(target=watch)]
    for thread in threads:
        thread.start()
    for number in range(5000):
        slot.put(object())
        if number % 100 == 0:
            slot.clear()
    done.set()
    for thread in threads:
        thread.join()
    for view in views:
        assert view['received'] == sum(view[name] for name in OUTCOMES + ('waiting', 'in_work')), view
        assert view['waiting'] in (0, 1) and view['in_work'] in (0, 1), view
    assert balance(slot)['received'] == 5000
