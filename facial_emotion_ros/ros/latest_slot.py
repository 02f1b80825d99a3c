"""Mailbox for the latest frame between two threads, with counters of received frames and their outcomes.

A new frame replaces a waiting one: a slow worker loses frames, but adds no latency.
"""

import threading
import time
from collections import OrderedDict, deque
from typing import Any, Callable, Deque, Dict, Optional, Tuple

from facial_emotion_ros.perception.image_times import ODD_STAMPS

#: Outcomes of a received frame.
OUTCOMES = ('processed', 'replaced', 'bad', 'expired', 'failed')

#: Other events: images without contrast or with damaged pixels, ignored ids of a list of faces, requests that are too
#: large, steps of the clock.
EVENTS = ('flat', 'corrupt', 'refused_ids', 'refused_requests', 'clock_jumps')

#: Stages of processing a frame, in this order.
STAGES = ('decoding', 'detecting faces', 'reading emotions', 'publishing')

#: Reasons may quote a message: maximum length.
_REASON_LENGTH = 300

#: Number of ages and durations kept for the percentiles.
_KEPT = 300


class SlotClosed(RuntimeError):
    """A frame was put into a slot that has been closed."""


class LatestSlot:
    """Hold at most one frame, or one for each key. Thread-safe.

    Always: received = processed + replaced + bad + expired + failed + waiting + in_work.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        """Create an empty slot.

        :param clock: returns seconds.
        """
        self._clock = clock
        self._changed = threading.Condition()
        self._frames: 'OrderedDict[str, Any]' = OrderedDict()
        self._closed = False
        self._counts = dict.fromkeys(('received',) + OUTCOMES + ODD_STAMPS + EVENTS, 0)
        self._taken_s: Optional[float] = None
        self._stage: Tuple[str, Optional[float]] = ('', None)
        self._event_s: Optional[float] = None
        self._ages_s: Deque[float] = deque(maxlen=_KEPT)
        self._works_s: Deque[float] = deque(maxlen=_KEPT)
        self._arrivals_s: Deque[float] = deque(maxlen=_KEPT)
        self._faults: Dict[str, Tuple[float, str]] = {}

    def put(self, frame: Any, key: str = '') -> None:
        """Store a frame for the next `take`, in place of a waiting one. Never blocks.

        :param frame: any object but None.
        :param key: of frames that do not replace each other; a newer frame keeps the position of the one it replaces.
        :raises SlotClosed: after `close`; the frame is dropped.
        """
        with self._changed:
            if self._closed:
                raise SlotClosed(
                    'expected an open slot, got a frame after it was closed; destroy the subscription before closing'
                )
            self._counts['received'] += 1
            self._counts['replaced'] += key in self._frames
            self._frames[key] = frame
            self._event_s = self._clock()
            self._arrivals_s.append(self._event_s)
            self._changed.notify()

    def take(self, timeout_s: float) -> Any:
        """Remove and return the frame of the key that waits longest, or wait for one. It is in work until `finish`.

        :param timeout_s: maximum time to wait, in seconds.
        :returns: the frame; None after the timeout or if the slot is closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed, timeout_s)
            if not self._frames:
                return None
            self._taken_s = self._clock()
            self._stage = (STAGES[0], self._taken_s)
            return self._frames.popitem(last=False)[1]

    def enter(self, stage: str) -> None:
        """Record the stage that processing the frame has reached, one of STAGES."""
        with self._changed:
            self._stage = (stage, self._clock())

    def finish(self, outcome: str, age_s: Optional[float] = None, reason: str = '') -> None:
        """Count the outcome of the frame in work.

        :param outcome: one of OUTCOMES.
        :param age_s: from the image's stamp to its published result; None without result or stamp.
        :param reason: why there is no result; '' if that is not a fault.
        """
        with self._changed:
            self._event_s = self._clock()
            if outcome == 'processed':
                if age_s is not None:
                    self._ages_s.append(age_s)
                if self._taken_s is not None:
                    self._works_s.append(self._event_s - self._taken_s)
            self.count(outcome, reason=reason)
            self._taken_s = None

    def count(self, event: str, number: int = 1, reason: str = '') -> None:
        """Count an event.

        :param event: one of EVENTS, or of ODD_STAMPS for an implausible stamp of the frame in work.
        :param number: how often.
        :param reason: reported by diagnostics for a while; '' for none.
        """
        with self._changed:  # reentrant
            self._counts[event] += number
            if reason:
                self._faults[event] = (self._clock(), reason[:_REASON_LENGTH])

    def drop(self, key: str) -> None:
        """Drop the frame under a key, if there is one; it counts as expired."""
        with self._changed:
            self._counts['expired'] += self._frames.pop(key, None) is not None

    def clear(self) -> None:
        """Drop all frames; they count as expired."""
        with self._changed:
            self._counts['expired'] += len(self._frames)
            self._frames.clear()

    def close(self) -> None:
        """Drop all frames, wake every `take`, and refuse later frames. May be called twice."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            self.clear()

    def silence_s(self) -> float:
        """Return the seconds since the latest frame arrived or was finished.

        :returns: 0 while a frame waits or is in work, and before the first one.
        """
        with self._changed:
            if self._event_s is None or self._taken_s is not None or self._frames:
                return 0.0
            return self._clock() - self._event_s

    def snapshot(self) -> Dict[str, Any]:
        """Return a consistent copy of all counters.

        :returns: the counts (`received`, outcomes, odd stamps, events, `waiting`, `in_work`); `ages_s`, `works_s` and
            `arrivals_s` (lists, the latest last); `taken_s` (since when a frame is in work, or None); `stage` and
            `stage_since_s`; `faults` (outcome, odd stamp or event -> time and reason of the latest one).
        """
        with self._changed:
            view: Dict[str, Any] = dict(self._counts)
            view['waiting'] = len(self._frames)
            view['in_work'] = view['received'] - sum(self._counts[name] for name in OUTCOMES) - view['waiting']
            view.update(
                ages_s=list(self._ages_s),
                works_s=list(self._works_s),
                arrivals_s=list(self._arrivals_s),
                taken_s=self._taken_s,
                stage=self._stage[0],
                stage_since_s=self._stage[1],
                faults=dict(self._faults),
            )
            return view
