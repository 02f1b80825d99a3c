"""Handle SIGINT and SIGTERM in a process with a node. Imports only the standard library, to be ready at once."""

import os
import signal
import sys
import threading
import time
from typing import Any, Callable, Optional

from facial_emotion_ros.system.watchdog import end_within

#: Time for cleanup after a signal, before the process is ended: launch sends SIGTERM after 5 s, users expect 3.
_CLEANUP_S = 2.3
#: Time, plus 1 s, before the process is ended if not even the thread below runs, since native code holds the GIL.
_FROZEN_S = 3.0


def end_at_once() -> None:
    """End this process silently on SIGINT and SIGTERM, while there is nothing to clean up.

    During imports (half a second), a signal would end Python with a traceback. Call it from the main thread; other
    handlers replace these later.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: os._exit(0))


class StopSignals:
    """Set a flag on SIGINT or SIGTERM, and make sure that the process ends.

    rclpy's own handlers shut the context down during a callback, which then cannot clean up. Python's handlers run only
    between two instructions of the main thread, and loading a model is one instruction. So a thread reads the signals
    from the pipe that Python's C handler writes to (signal.set_wakeup_fd).
    """

    def __init__(self) -> None:
        self.received = False
        #: Called in the thread at the first signal, to wake the executor.
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
        # Loading a model, or an inference that hangs, cannot be interrupted; there is nothing to clean up.
        sys.stderr.write('Ended without waiting for work of more than %g s.\n' % _CLEANUP_S)
        sys.stderr.flush()
        os._exit(0)
