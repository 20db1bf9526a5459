"""Company on the server's core, so that the server and not the loader is what binds."""

import contextlib
import subprocess
import sys

# Between two of equal cost the slower fills its time by sleeping and waking, and what it then needs
# for a message is the other's time. With this much less of the core every server is the slower one:
# a third of the loader's core is idle.
NICE = 3

# Ends by itself, should nobody be left to end it: with us (PR_SET_PDEATHSIG), or after a while.
SPIN = """
import ctypes, os, signal
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
signal.alarm({seconds})
os.sched_setaffinity(0, {{{cpu}}})
os.nice({nice})
while True:
    pass
"""


@contextlib.contextmanager
def on(cpu, seconds):
    """Spins there for as long as the block takes, and no longer than that."""
    program = SPIN.format(cpu=cpu, seconds=seconds, nice=NICE)
    spinning = subprocess.Popen([sys.executable, "-c", program])
    try:
        yield
        if spinning.poll() is not None:
            raise subprocess.CalledProcessError(spinning.returncode, "the company on its core")
    finally:
        spinning.kill()
        spinning.wait()
