"""Book-keeping of frames: what came, what became of each, how old the answers were. Neither ROS nor a clock in here."""

import threading
from collections import deque

from facial_emotion_ros.image_stamps import ODD_STAMPS

#: What may become of a frame that was received.
OUTCOMES = ('processed', 'replaced', 'bad', 'expired', 'failed')

#: What else happens and is counted: images without contrast, ids of a list that were left out, requests that hold too
#: much, steps of the clock.
EVENTS = ('flat', 'refused_ids', 'refused_requests', 'clock_jumps')

#: What is done with a frame, in this order.
STAGES = ('decoding', 'detecting faces', 'reading emotions', 'publishing')

#: A reason is cut to this length: it may quote what a message holds.
_REASON_LENGTH = 300

#: Ages and durations of this many answers are kept for the percentiles.
_KEPT = 300


class FrameTally:
    """Counts that always balance: received = processed + replaced + bad + expired + failed + waiting + in work.

    The executor's thread puts and clears, the worker's takes and finishes, anyone looks. Times are seconds of one
    monotonic clock.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(('received',) + OUTCOMES + ODD_STAMPS + EVENTS, 0)
        self._waiting = {}
        self._taken_s = None
        self._stage, self._stage_since_s = '', None
        self._event_s = None
        self._ages_s = deque(maxlen=_KEPT)
        self._works_s = deque(maxlen=_KEPT)
        self._arrivals_s = deque(maxlen=_KEPT)
        self._faults = {}

    def put(self, slot, frame, now_s, key=''):
        """Put a frame into the slot and book it, and the one that it replaced.

        :param slot: FrameSlot.
        :param frame: what to put.
        :param now_s: float.
        :param key: whose frame it is, where several take turns.
        """
        with self._lock:
            if slot.put(frame, key):
                self._counts['replaced'] += 1
            self._counts['received'] += 1
            # What is in here waits. It names the frame because the worker books only after it has taken: in between,
            # the next one may have come.
            self._waiting[key] = frame
            self._arrivals_s.append(now_s)
            self._event_s = now_s

    def taken(self, frame, now_s, key=''):
        """Book that the worker has taken a frame.

        :param frame: the one that the slot gave.
        :param now_s: float.
        :param key: as it was put.
        """
        with self._lock:
            if self._waiting.get(key) is frame:
                del self._waiting[key]
            self._taken_s = self._stage_since_s = now_s
            self._stage = STAGES[0]

    def reached(self, stage, now_s):
        """Book what is done with the frame in work from now on.

        :param stage: one of STAGES.
        :param now_s: float.
        """
        with self._lock:
            self._stage, self._stage_since_s = stage, now_s

    def finished(self, outcome, now_s, age_s=None, reason=''):
        """Book what became of the frame in work.

        :param outcome: one of OUTCOMES.
        :param now_s: float.
        :param age_s: time since the stamp of the image when its answer was out; None where there was no answer, or the
            image had no stamp.
        :param reason: why there was none; '' where that was wanted, and so is no fault.
        """
        with self._lock:
            self._counts[outcome] += 1
            if outcome == 'processed':
                if age_s is not None:
                    self._ages_s.append(age_s)
                self._works_s.append(now_s - self._taken_s)
            elif reason:
                self._faults[outcome] = (now_s, reason[:_REASON_LENGTH])
            self._taken_s = None
            self._event_s = now_s

    def odd_stamp(self, kind, now_s, reason):
        """Book that the stamp of the frame in work cannot be right.

        :param kind: one of ODD_STAMPS.
        :param now_s: float.
        :param reason: what is odd, and what to do.
        """
        with self._lock:
            self._counts[kind] += 1
            self._faults[kind] = (now_s, reason)

    def count(self, event, number=1, now_s=None, reason=''):
        """Book something else that happened.

        :param event: one of EVENTS.
        :param number: how often.
        :param now_s: float; None where `reason` is ''.
        :param reason: what diagnostics shall say of it for a while; '' for nothing.
        """
        with self._lock:
            self._counts[event] += number
            if reason:
                self._faults[event] = (now_s, reason[:_REASON_LENGTH])

    def clear(self, slot):
        """Empty the slot; what waited there counts as expired.

        :param slot: FrameSlot.
        """
        with self._lock:
            dropped = slot.clear()
            self._counts['expired'] += dropped
            if dropped:
                self._waiting.clear()

    def drop(self, slot, key):
        """Take out of the slot what waits under a key; it counts as expired.

        :param slot: FrameSlot.
        :param key: as it was put.
        """
        with self._lock:
            if slot.drop(key):
                self._counts['expired'] += 1
                del self._waiting[key]

    def silence_s(self, now_s):
        """Return since when there has been nothing to do.

        :param now_s: float.
        :returns: seconds since the latest frame came or was done with; 0 while one waits or is in work, and before the
            first one.
        """
        with self._lock:
            quiet = self._event_s is not None and self._taken_s is None and not self._waiting
            return now_s - self._event_s if quiet else 0.0

    def snapshot(self):
        """Look at everything at one instant.

        :returns: dict of the counts (`received`, the outcomes, odd stamps, events, `waiting`, `in_work`), of `ages_s`,
            `works_s` and `arrivals_s` (lists, the latest last), `taken_s` (since when a frame is in work, or None),
            `stage` and `stage_since_s` (what is done with it, since when), and `faults` (outcome, odd stamp or event ->
            when it was there last, and why).
        """
        with self._lock:
            view = dict(self._counts)
            view['waiting'] = len(self._waiting)
            view['in_work'] = view['received'] - sum(self._counts[name] for name in OUTCOMES) - view['waiting']
            view.update(ages_s=list(self._ages_s), works_s=list(self._works_s), arrivals_s=list(self._arrivals_s),
                        taken_s=self._taken_s, stage=self._stage, stage_since_s=self._stage_since_s,
                        faults=dict(self._faults))
            return view
