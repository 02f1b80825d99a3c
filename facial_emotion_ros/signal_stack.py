"""Keep the stack that a thread's signal handlers run on: OpenVINO puts its own there, and may leave it when it is gone.

A signal that comes then ends the process: the kernel has nowhere to write to. Seen with OpenVINO 2026.4.1, several
models of which are closed in another order than they were opened in.
"""

import contextlib
import ctypes


class _Stack(ctypes.Structure):
    """What sigaltstack(2) reads and writes on Linux."""

    _fields_ = [('pointer', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


#: The system's function; None where there is none.
try:
    _SIGALTSTACK = ctypes.CDLL(None).sigaltstack
except (OSError, AttributeError):
    _SIGALTSTACK = None

#: What `flags` says of a stack that a handler is running on at this moment; it cannot be changed then.
_ON_STACK = 1


@contextlib.contextmanager
def kept_signal_stack():
    """Put back at the end the signal stack that this thread had at the beginning; does nothing where none is known."""
    before = _Stack()
    known = _SIGALTSTACK is not None and _SIGALTSTACK(None, ctypes.byref(before)) == 0 and not before.flags & _ON_STACK
    try:
        yield
    finally:
        if known:
            _SIGALTSTACK(ctypes.byref(before), None)


def signal_stack():
    """Return (address or None, flags, size in bytes) of this thread's signal stack; None where it is not known."""
    now = _Stack()
    known = _SIGALTSTACK is not None and _SIGALTSTACK(None, ctypes.byref(now)) == 0
    return (now.pointer, now.flags, now.size) if known else None
