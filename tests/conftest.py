"""What every test starts from."""

import signal

# A build started in the background by a shell inherits interrupts switched off, and so would every command that a test
# starts and then interrupts. With a handler of our own they start as they do for a person.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
