"""SIGINT and SIGTERM for a process that holds a node. The standard library alone, so that it is there at once."""

import os
import signal
import sys
import threading
import time

from facial_emotion_ros.freeze_guard import end_within

#: A process that was told to end has this long to tidy up; launch sends SIGTERM after 5 s, and users expect 3.
_PATIENCE_S = 2.3
#: And a little more where not even this thread gets its turn, for one inside the middleware keeps Python's lock.
_FROZEN_S = 4.0


def end_at_once():
    """Have SIGINT and SIGTERM end this process in silence, while it holds nothing that would need care.

    Imports take half a second, in which Python would end with a traceback. Call it from the main thread; other handlers
    take over later.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(0))


class StopSignals:
    """Turns SIGINT and SIGTERM, however often they come, into one flag, and sees to it that the process ends.

    rclpy's own handlers shut the context down under a running callback, which then cannot tidy up; Python's run only
    when the main thread is between two instructions, which it is not while a model loads. So a thread of its own
    hears of signals, from the pipe that the C handler writes to.
    """

    def __init__(self):
        self.received = False
        #: Called from that thread when the first signal comes, to wake who sleeps.
        self.wake = None
        self._reader = None

    def install(self):
        """Replace the handlers of this process; call it from the main thread. Signals wait until `listen`."""
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)

    def listen(self):
        """Start the thread that hears of them."""
        threading.Thread(target=self._listen, name='stop_signals', daemon=True).start()

    def _listen(self):
        while os.read(self._reader, 1) not in (bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
            pass
        end_within(_FROZEN_S)
        self.received = True
        if self.wake is not None:
            self.wake()
        time.sleep(_PATIENCE_S)
        # Loading a model, or a hung inference, cannot be interrupted, and leaves nothing behind that would need care.
        sys.stderr.write('Ended in the middle of work that took longer than %g s.\n' % _PATIENCE_S)
        sys.stderr.flush()
        os._exit(0)
