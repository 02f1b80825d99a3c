"""What holds for all tests."""

import signal

# A shell that starts a program in the background has it ignore SIGINT, and its children inherit that; a program under
# test is started as if somebody sat at its terminal.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
