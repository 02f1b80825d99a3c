"""The book-keeping balances, whatever happens between two of its calls."""

import threading

from facial_emotion_ros import health
from facial_emotion_ros.frame_slot import FrameSlot
from facial_emotion_ros.ros.frame_tally import OUTCOMES, STAGES, FrameTally


def balance(tally):
    """Return the counts, after a check that they balance."""
    view = tally.snapshot()
    assert view['received'] == sum(view[name] for name in OUTCOMES + ('waiting', 'in_work')), view
    assert view['waiting'] in (0, 1) and view['in_work'] in (0, 1), view
    return view


def test_every_step_balances_when_a_frame_goes_its_way():
    tally, slot = FrameTally(), FrameSlot()
    tally.put(slot, 'first', 0.0)
    assert balance(tally)['waiting'] == 1
    tally.put(slot, 'second', 0.1)
    view = balance(tally)
    assert (view['received'], view['replaced'], view['waiting']) == (2, 1, 1)
    tally.taken(slot.take(0), 0.2)
    view = balance(tally)
    assert (view['waiting'], view['in_work'], view['taken_s']) == (0, 1, 0.2)
    tally.finished('processed', 0.5, age_s=0.45)
    view = balance(tally)
    assert (view['processed'], view['in_work'], view['ages_s'], view['taken_s']) == (1, 0, [0.45], None)
    assert abs(view['works_s'][0] - 0.3) < 1e-9


def test_silence_is_told_only_when_nothing_waits_or_is_in_work():
    tally, slot = FrameTally(), FrameSlot()
    assert tally.silence_s(100.0) == 0.0
    tally.put(slot, 'frame', 101.0)
    assert tally.silence_s(110.0) == 0.0
    tally.taken(slot.take(0), 111.0)
    assert tally.silence_s(120.0) == 0.0
    tally.finished('processed', 121.0)
    assert tally.silence_s(123.5) == 2.5
    tally.put(slot, 'frame', 124.0)
    tally.clear(slot)
    assert tally.silence_s(125.0) == 1.0


def test_the_stage_and_its_time_are_known_while_a_frame_is_in_work():
    tally, slot = FrameTally(), FrameSlot()
    tally.put(slot, 'frame', 0.0)
    tally.taken(slot.take(0), 0.1)
    assert [tally.snapshot()[name] for name in ('stage', 'stage_since_s')] == ['decoding', 0.1]
    for at_s, stage in enumerate(STAGES):
        tally.reached(stage, at_s)
        assert [tally.snapshot()[name] for name in ('stage', 'stage_since_s')] == [stage, at_s]
    assert set(STAGES) == set(health._SLOW_STAGES), 'diagnostics have no words for a stage'


def test_a_dropped_frame_is_booked_and_others_wait_on_when_its_face_is_lost():
    tally, slot = FrameTally(), FrameSlot()
    for key in 'abc':
        tally.put(slot, 'frame of ' + key, 0.0, key)
    tally.drop(slot, 'b')
    tally.drop(slot, 'nobody')
    view = tally.snapshot()
    assert (view['received'], view['waiting'], view['expired']) == (3, 2, 1)
    assert [slot.take(0) for _ in range(3)] == ['frame of a', 'frame of c', None]


def test_what_else_happens_is_counted_and_its_reason_kept_short():
    tally = FrameTally()
    tally.count('refused_ids', 20000, 1.0, 'x' * 10000)
    tally.count('clock_jumps')
    view = tally.snapshot()
    assert (view['refused_ids'], view['clock_jumps']) == (20000, 1) and list(view['faults']) == ['refused_ids']
    assert len(view['faults']['refused_ids'][1]) < 1000


def test_no_fault_is_told_when_a_frame_was_dropped_on_demand():
    tally, slot = FrameTally(), FrameSlot()
    for reason in ('', 'it was 3.0 s old'):
        tally.put(slot, 'frame', 0.0)
        tally.taken(slot.take(0), 0.1)
        assert balance(tally)['faults'] == {}
        tally.finished('expired', 0.2, None, reason)
    view = balance(tally)
    assert view['expired'] == 2 and view['faults'] == {'expired': (0.2, 'it was 3.0 s old')}


def test_an_answer_counts_without_an_age_when_its_image_had_no_stamp():
    tally, slot = FrameTally(), FrameSlot()
    tally.put(slot, 'frame', 0.0)
    tally.taken(slot.take(0), 0.25)
    tally.finished('processed', 0.5)
    view = balance(tally)
    assert (view['processed'], view['ages_s'], view['works_s'], view['faults']) == (1, [], [0.25], {})


def test_it_balances_when_the_next_frame_comes_before_the_taken_one_is_booked():
    tally, slot = FrameTally(), FrameSlot()
    first, second = object(), object()
    tally.put(slot, first, 0.0)
    taken = slot.take(0)
    tally.put(slot, second, 0.1)
    view = balance(tally)
    assert (view['waiting'], view['in_work'], view['replaced']) == (1, 1, 0)
    tally.taken(taken, 0.1)
    assert balance(tally)['in_work'] == 1


def test_the_reason_is_kept_when_a_frame_has_no_answer():
    tally, slot = FrameTally(), FrameSlot()
    tally.put(slot, 'frame', 0.0)
    tally.taken(slot.take(0), 0.1)
    tally.finished('bad', 0.2, reason='too short')
    view = balance(tally)
    assert (view['bad'], view['faults'], view['works_s']) == (1, {'bad': (0.2, 'too short')}, [])


def test_a_frame_that_waits_counts_as_expired_when_the_slot_is_cleared():
    tally, slot = FrameTally(), FrameSlot()
    tally.clear(slot)
    tally.put(slot, 'frame', 0.0)
    tally.clear(slot)
    view = balance(tally)
    assert (view['expired'], view['waiting'], view['in_work']) == (1, 0, 0)


def test_it_balances_at_every_instant_when_three_threads_hurry():
    tally, slot, done = FrameTally(), FrameSlot(), threading.Event()

    def work():
        while not done.is_set():
            frame = slot.take(0.01)
            if frame is not None:
                tally.taken(frame, 0.0)
                tally.finished('processed', 0.0, age_s=0.0)

    worker = threading.Thread(target=work)
    worker.start()

    def look():
        while not done.is_set():
            looks.append(tally.snapshot())

    looks = []
    watcher = threading.Thread(target=look)
    watcher.start()
    for _ in range(5000):
        tally.put(slot, object(), 0.0)
        if _ % 100 == 0:
            tally.clear(slot)
    done.set()
    worker.join()
    watcher.join()
    for view in looks:
        assert view['received'] == sum(view[name] for name in OUTCOMES + ('waiting', 'in_work')), view
        assert view['waiting'] in (0, 1) and view['in_work'] in (0, 1), view
    assert balance(tally)['received'] == 5000


def test_counts_balance_when_frames_of_several_faces_wait():
    tally, slot = FrameTally(), FrameSlot()
    for frame in ('a1', 'b1', 'a2', 'c1'):
        tally.put(slot, frame, 1.0, frame[0])
    view = tally.snapshot()
    assert (view['received'], view['replaced'], view['waiting'], view['in_work']) == (4, 1, 3, 0)
    tally.taken(slot.take(0), 2.0, 'a')
    view = tally.snapshot()
    assert (view['waiting'], view['in_work']) == (2, 1)
    tally.finished('processed', 3.0)
    tally.clear(slot)
    view = tally.snapshot()
    assert (view['processed'], view['expired'], view['waiting'], view['in_work']) == (1, 2, 0, 0)


def test_odd_stamps_are_counted_beside_what_became_of_a_frame():
    tally = FrameTally()
    tally.odd_stamp('future', 5.0, 'by 3 s')
    view = tally.snapshot()
    assert (view['future'], view['unstamped'], view['in_work']) == (1, 0, 0)
    assert view['faults'] == {'future': (5.0, 'by 3 s')}
