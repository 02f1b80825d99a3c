"""SIGINT and SIGTERM of a process with a node. Imports the standard library alone, to be ready at once."""

import os
import signal
import sys
import threading
import time
from typing import Any, Callable, Optional

from facial_emotion_ros.system.watchdog import end_within

#: A process that was asked to end has this long to clean up; launch sends SIGTERM after 5 s, and users expect 3.
_CLEANUP_S = 2.3
#: And this long, and a second, where not even the thread below runs, because native code holds the GIL.
_FROZEN_S = 3.0


def end_at_once() -> None:
    """End this process silently on SIGINT and SIGTERM, as long as it holds nothing that needs a clean-up.

    Imports take half a second, in which a signal would end Python with a traceback. Call it from the main thread; other
    handlers replace these later.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(0))


class StopSignals:
    """Turns SIGINT and SIGTERM, however many, into one flag, and makes sure that the process ends.

    rclpy's own handlers shut the context down under a running callback, which then cannot clean up. Python's run only
    between two instructions of the main thread, and loading a model is one of them. So a thread of its own reads the
    signals from the pipe that the C handler writes to.
    """

    def __init__(self) -> None:
        self.received = False
        #: Called in that thread at the first signal, to wake the executor.
        self.wake: Optional[Callable[[], Any]] = None
        self._pipe = -1

    def install(self) -> None:
        """Replace this process's handlers; call it from the main thread. Signals wait in the pipe until `listen`."""
        self._pipe, writer = os.pipe()
        os.set_blocking(writer, False)
        signal.set_wakeup_fd(writer)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: None)

    def listen(self) -> None:
        """Start the thread that reads them."""
        threading.Thread(target=self._listen, name='stop_signals', daemon=True).start()

    def _listen(self):
        while os.read(self._pipe, 1) not in (bytes([signal.SIGINT]), bytes([signal.SIGTERM])):
            pass
        end_within(_FROZEN_S)
        self.received = True
        if self.wake is not None:
            self.wake()
        time.sleep(_CLEANUP_S)
        # A model that loads, or an inference that hangs, cannot be interrupted and leaves nothing to clean up.
        sys.stderr.write('Ended during work that took longer than %g s.\n' % _CLEANUP_S)
        sys.stderr.flush()
        os._exit(0)
