"""emotion_node with a thread that prints numbered lines by C's stdio, as native libraries do, as fast as it can.

LINES_TO_PRINT says how many; the last one is there when all are.
"""

import ctypes
import os
import sys
import threading
import time

from facial_emotion_ros.ros import emotion_node


def chatter():
    """Print, each time to where C's stderr points at that moment."""
    library = ctypes.CDLL(None)
    library.fputs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    for number in range(int(os.environ['LINES_TO_PRINT'])):
        library.fputs(b'line %06d of a native library\n' % number, ctypes.c_void_p.in_dll(library, 'stderr'))
        time.sleep(0.0005)


threading.Thread(target=chatter, daemon=True).start()
sys.exit(emotion_node.main())
