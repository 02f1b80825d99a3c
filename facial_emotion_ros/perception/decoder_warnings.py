"""Capture the warnings of image and video decoders: libjpeg, libpng and FFmpeg only print them to stderr.

OpenCV does not report bit errors in a JPEG otherwise. The decoders print to the C library's variable `stderr`, which
glibc lets programs set: during decoding it points to a pipe, from which their lines are read. Other lines are passed on
to file descriptor 2 after this picture or the next. The descriptor itself is unchanged: Python, ROS, faulthandler, C++
streams and child processes write to it directly.

Without glibc, or without a free file descriptor, decoders print as usual, and damage is not detected.
"""

import atexit
import ctypes
import fcntl
import logging
import os
import re
import threading
from typing import Any, Callable, Optional, Tuple

import cv2
import numpy as np

#: A decoder's line. Sources: jerror.h of libjpeg-turbo (JWRN_*), pngerror.c of libpng, av_log of FFmpeg.
_LINE = re.compile(
    rb'^(?:Corrupt JPEG data: |Premature end of JPEG file|Inconsistent progression sequence |Invalid SOS parameters '
    rb'|Unknown Adobe color transform |Warning: unknown JFIF revision |Application transferred too many scanlines'
    rb'|libpng (?:warning|error): |\[[\w,.+-]+ @ 0x[0-9a-f]+\] ).*\n?',
    re.MULTILINE,
)

#: Warnings that do not affect the pixels. Cameras pad the data with a few bytes; DB, E0 to EF and FE are markers of
#: segments before the pixels.
_HARMLESS = re.compile(
    r'Corrupt JPEG data: (?:(?:\d|1[0-6]) extraneous bytes before marker 0xd9|\d+ extraneous bytes before marker 0x'
    r'(?:db|e.|fe)|bad ICC marker)|Invalid SOS|Unknown Adobe|Warning: unknown JFIF'
)

#: So many damaged pictures are all logged, then the 100th, 1000th and so on.
_LOGGED = 10

_log = logging.getLogger(__name__)

_UNBUFFERED = 2  # _IONBF of Linux's <stdio.h>
_F_SETPIPE_SZ = 1031  # of Linux's <fcntl.h>; Python has it from 3.10 on
#: Capacity for the lines of one picture; more are lost. The maximum for an unprivileged process.
_PIPE_BYTES = 1 << 20


def decode(content: bytes, flags: int) -> Tuple[Any, str]:
    """Call cv2.imdecode; return its result, and the decoder's first warning of damage or ''."""
    return capture(cv2.imdecode, np.frombuffer(content, np.uint8), flags)


def capture(function: Callable[..., Any], *arguments: Any) -> Tuple[Any, str]:
    """Call a decoder and capture its warnings. Of two concurrent calls, one may get the other's warnings.

    :param function: the decoder; it should return soon, since stderr output of other native code waits.
    :param arguments: of the function.
    :returns: its result, and the decoder's first warning of damage or ''.
    """
    pipe = _warning_pipe()
    if pipe is None:
        return function(*arguments), ''
    pipe.open()
    try:
        returned = function(*arguments)
    finally:
        warning = pipe.close()
    return returned, warning


class DamageLog:
    """Count pictures with decoder warnings, and log some of them."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, name: str, warning: str) -> None:
        """Count and perhaps log a picture.

        :param name: of the picture, for the log.
        :param warning: the decoder's line.
        """
        self.count += 1
        if self.count <= _LOGGED or str(self.count).strip('0') == '1':
            number = '' if self.count < _LOGGED else ' (number %d; the next one that is logged is number %d)'
            words = number and number % (self.count, 10 ** len(str(self.count)))
            _log.warning('%s may be damaged, its decoder says: %s%s', name, warning, words)


#: For pictures whose caller does not handle warnings.
DAMAGE = DamageLog()


class _WarningPipe:
    """The pipe, and the stream of the C library that writes to it; both stay open until the process ends."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._lock, self._listeners = threading.Lock(), 0
        # A full pipe must not block the decoder.
        self._end, entrance = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            fcntl.fcntl(entrance, _F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            pass  # this user has too many pipes: the capacity stays 64 KiB
        assert _C is not None
        _C.fdopen.restype, _C.fdopen.argtypes = ctypes.c_void_p, [ctypes.c_int, ctypes.c_char_p]
        _C.setvbuf.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
        self._stream = _C.fdopen(entrance, b'w')
        _C.setvbuf(self._stream, None, _UNBUFFERED, 0)
        atexit.register(self._read)

    def open(self) -> None:
        """Redirect the C library's stderr to the pipe."""
        with self._lock:
            self._listeners += 1
            _stderr.value = self._stream

    def close(self) -> str:
        """Restore stderr after the last listener; return the first warning of damage, pass on foreign lines."""
        with self._lock:
            self._listeners -= 1
            if not self._listeners:
                _stderr.value = _USUAL
        written = self._read()
        lines = [
            re.sub(' @ 0x[0-9a-f]+', '', line.decode('ascii', 'replace')).strip() for line in _LINE.findall(written)
        ]
        return next((line for line in lines if not _HARMLESS.match(line)), '')

    def _read(self) -> bytes:
        try:
            written = os.read(self._end, _PIPE_BYTES)
        except BlockingIOError:
            return b''
        rest = _LINE.sub(b'', written)
        try:
            while rest:
                rest = rest[os.write(2, rest) :]
        except OSError:
            pass  # stderr is closed
        return written


def _glibc() -> Optional[ctypes.CDLL]:
    """Return glibc; None for other C libraries, where `stderr` cannot be set."""
    try:
        return ctypes.CDLL(None) if os.confstr('CS_GNU_LIBC_VERSION') else None
    except (AttributeError, OSError, ValueError):
        return None


_C = _glibc()
_stderr = ctypes.c_void_p.in_dll(_C, 'stderr') if _C is not None else ctypes.c_void_p()
_USUAL = _stderr.value
_shared: Optional[_WarningPipe] = None
_making = threading.Lock()


def _warning_pipe() -> Optional[_WarningPipe]:
    """Return this process's pipe, a new one after a fork; None where it is not available."""
    global _shared
    if _C is None:
        return None
    if _shared is None or _shared.process != os.getpid():
        with _making:
            if _shared is None or _shared.process != os.getpid():
                try:
                    _shared = _WarningPipe()
                except OSError:  # no file descriptor is left
                    return None
    return _shared
