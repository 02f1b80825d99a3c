"""Book-keeping of frames: what came, what became of each, how old the answers were. Neither ROS nor a clock in here."""

import threading
from collections import deque

#: What may become of a frame that was received.
OUTCOMES = ('processed', 'replaced', 'bad', 'expired', 'failed')

#: What may be odd about the stamp of a frame that is worked on all the same.
ODD_STAMPS = ('unstamped', 'future')

#: Ages and durations of this many answers are kept for the percentiles.
_KEPT = 300


class FrameTally:
    """Counts that always balance: received = processed + replaced + bad + expired + failed + waiting + in work.

    The executor's thread puts and clears, the worker's takes and finishes, anyone looks. Times are seconds of one
    monotonic clock.
    """

    def __init__(self):
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(('received',) + OUTCOMES + ODD_STAMPS, 0)
        self._waiting = {}
        self._taken_s = None
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
            self._taken_s = now_s

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
                self._faults[outcome] = (now_s, reason)
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

    def clear(self, slot):
        """Empty the slot; what waited there counts as expired.

        :param slot: FrameSlot.
        """
        with self._lock:
            dropped = slot.clear()
            self._counts['expired'] += dropped
            if dropped:
                self._waiting.clear()

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

        :returns: dict of the counts (`received`, the outcomes, odd stamps, `waiting`, `in_work`), of `ages_s`,
            `works_s` and `arrivals_s` (lists, the latest last), `taken_s` (since when a frame is in work, or None) and
            `faults` (outcome or odd stamp -> when a frame had it last, and why).
        """
        with self._lock:
            view = dict(self._counts)
            view['waiting'] = len(self._waiting)
            view['in_work'] = view['received'] - sum(self._counts[name] for name in OUTCOMES) - view['waiting']
            view.update(ages_s=list(self._ages_s), works_s=list(self._works_s), arrivals_s=list(self._arrivals_s),
                        taken_s=self._taken_s, faults=dict(self._faults))
            return view
