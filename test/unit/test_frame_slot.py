"""One frame waits at most, the newest; whoever waits is woken."""

import threading

import pytest

from facial_emotion_ros.frame_slot import FrameSlot, SlotClosed

LONG_S = 20.0


def test_newest_frame_is_taken_when_several_were_put():
    slot = FrameSlot()
    assert [slot.put(frame) for frame in ('a', 'b', 'c')] == [False, True, True]
    assert slot.take(0) == 'c'
    assert slot.take(0) is None
    assert slot.put('d') is False


def test_take_gives_none_when_the_time_is_over():
    assert FrameSlot().take(0.001) is None


@pytest.mark.parametrize('frame', [0, '', [], False])
def test_frame_is_a_frame_when_it_is_false(frame):
    slot = FrameSlot()
    assert slot.put(frame) is False
    assert slot.put(frame) is True
    assert slot.take(0) is frame


def test_none_is_refused_when_put():
    with pytest.raises(ValueError, match='None'):
        FrameSlot().put(None)


def test_clear_counts_what_it_drops_when_a_frame_waits():
    slot = FrameSlot()
    assert slot.clear() == 0
    slot.put('a')
    assert slot.clear() == 1
    assert slot.take(0) is None


def test_waiting_frame_is_dropped_and_later_ones_refused_when_closed():
    slot = FrameSlot()
    slot.put('a')
    assert slot.close() == 1
    assert slot.take(LONG_S) is None
    assert slot.close() == 0
    with pytest.raises(SlotClosed):
        slot.put('b')
    assert slot.clear() == 0


@pytest.mark.parametrize('wake, taken', [(lambda slot: slot.put('a'), 'a'), (lambda slot: slot.close(), None)])
def test_take_wakes_when_something_happens(wake, taken):
    slot, frames = FrameSlot(), []
    waiter = threading.Thread(target=lambda: frames.append(slot.take(LONG_S)), daemon=True)
    waiter.start()
    wake(slot)
    waiter.join(LONG_S / 2)
    assert frames == [taken]


def test_every_frame_is_taken_or_replaced_once_when_threads_race():
    slot, taken, replaced, count = FrameSlot(), [], [], 3000

    def take():
        while True:
            frame = slot.take(LONG_S)
            if frame is None:
                return
            taken.append(frame)

    def put(first):
        replaced.extend([slot.put(frame) for frame in range(first, first + count)])

    takers = [threading.Thread(target=take, daemon=True) for _ in range(2)]
    putters = [threading.Thread(target=put, args=(start * count,), daemon=True) for start in range(3)]
    for thread in takers + putters:
        thread.start()
    for thread in putters:
        thread.join(LONG_S)
    dropped = slot.close()
    for thread in takers:
        thread.join(LONG_S)
    assert len(taken) + sum(replaced) + dropped == 3 * count
    assert len(set(taken)) == len(taken)


def test_frames_of_several_take_turns_when_they_have_keys():
    slot = FrameSlot()
    assert [slot.put(frame, frame[0]) for frame in ('a1', 'b1', 'a2', 'c1', 'b2')] == [False, False, True, False, True]
    assert [slot.take(0) for _ in range(4)] == ['a2', 'b2', 'c1', None]
    slot.put('a3', 'a')
    slot.put('b3', 'b')
    assert slot.clear() == 2 and slot.take(0) is None
