"""Keep the stack that a thread's signal handlers run on: OpenVINO puts its own there, and may leave it when it is gone.

A signal that comes then ends the process: the kernel has nowhere to write to. Seen with OpenVINO 2026.4.1, several
models of which are closed in another order than they were opened in.
"""

import contextlib
import ctypes


class _Stack(ctypes.Structure):
    """What sigaltstack(2) reads and writes on Linux."""

    _fields_ = [('pointer', ctypes.c_void_p), ('flags', ctypes.c_int), ('size', ctypes.c_size_t)]


#: What `flags` says of a stack that a handler is running on at this moment; it cannot be changed then.
_ON_STACK = 1


@contextlib.contextmanager
def kept_signal_stack():
    """Put back at the end the signal stack that this thread had at the beginning; does nothing where none is known."""
    call = _sigaltstack()
    before = _Stack()
    known = call is not None and call(None, ctypes.byref(before)) == 0 and not before.flags & _ON_STACK
    try:
        yield
    finally:
        if known:
            call(ctypes.byref(before), None)


def signal_stack():
    """Return (address or None, flags, size in bytes) of this thread's signal stack; None where it is not known."""
    call = _sigaltstack()
    now = _Stack()
    return (now.pointer, now.flags, now.size) if call is not None and call(None, ctypes.byref(now)) == 0 else None


def _sigaltstack():
    try:
        return ctypes.CDLL(None).sigaltstack
    except (OSError, AttributeError):
        return None
