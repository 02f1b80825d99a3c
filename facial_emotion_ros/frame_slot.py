"""A mailbox for one frame between two threads: what is put replaces what waits, so the newest frame is the next one."""

import threading
from collections import OrderedDict


class SlotClosed(RuntimeError):
    """A frame was put into a slot that has been closed."""


class FrameSlot:
    """Holds one frame at most, or one for each key where keys are given; any thread may call anything."""

    def __init__(self):
        self._changed = threading.Condition()
        self._frames = OrderedDict()
        self._closed = False

    def put(self, frame, key='') -> bool:
        """Leave a frame for the next `take`. Never waits.

        :param frame: any object but None.
        :param key: whose frame it is, where several take turns: a newer frame keeps the place of the one it replaces.
        :returns: whether it replaced a frame that nobody had taken.
        :raises SlotClosed: after `close`; the frame is not kept.
        :raises ValueError: for None, which `take` returns for no frame.
        """
        if frame is None:
            raise ValueError('expected a frame, got None, which means no frame')
        with self._changed:
            if self._closed:
                raise SlotClosed('expected an open slot, got a frame after it was closed; destroy the subscription '
                                 'before closing')
            replaced = key in self._frames
            self._frames[key] = frame
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float):
        """Take the frame out, or wait for one.

        :param timeout_s: how long to wait, in seconds; 0 does not.
        :returns: the frame, or None when the time is over or the slot closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed, timeout_s)
            return self._frames.popitem(last=False)[1] if self._frames else None

    def drop(self, key) -> bool:
        """Drop what waits under a key.

        :param key: as it was put.
        :returns: whether something waited there.
        """
        with self._changed:
            return self._frames.pop(key, None) is not None

    def clear(self) -> int:
        """Drop what waits.

        :returns: how many frames were dropped.
        """
        with self._changed:
            dropped = len(self._frames)
            self._frames.clear()
            return dropped

    def close(self) -> int:
        """Drop what waits, wake every `take`, and refuse what is put from now on. Closing twice is fine.

        :returns: how many frames were dropped.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self.clear()  # the condition's lock may be taken again by its own thread
