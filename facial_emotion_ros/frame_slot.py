"""A mailbox for one frame between two threads: what is put replaces what waits, so the newest frame is the next one."""

import threading


class SlotClosed(RuntimeError):
    """A frame was put into a slot that has been closed."""


class FrameSlot:
    """Holds one frame at most; any thread may call anything."""

    def __init__(self):
        self._changed = threading.Condition()
        self._frames = []  # one at most; a list, so that any object may be a frame
        self._closed = False

    def put(self, frame) -> bool:
        """Leave a frame for the next `take`. Never waits.

        :param frame: any object but None.
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
            replaced = bool(self._frames)
            self._frames[:] = [frame]
            self._changed.notify()
            return replaced

    def take(self, timeout_s: float):
        """Take the frame out, or wait for one.

        :param timeout_s: how long to wait, in seconds; 0 does not.
        :returns: the frame, or None when the time is over or the slot closed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._frames or self._closed, timeout_s)
            return self._frames.pop() if self._frames else None

    def clear(self) -> int:
        """Drop the frame that waits.

        :returns: how many were dropped, 0 or 1.
        """
        with self._changed:
            dropped = len(self._frames)
            del self._frames[:]
            return dropped

    def close(self) -> int:
        """Drop the frame that waits, wake every `take`, and refuse what is put from now on. Closing twice is fine.

        :returns: how many were dropped, 0 or 1.
        """
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            return self.clear()  # the condition's lock may be taken again by its own thread
