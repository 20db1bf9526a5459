"""Real-time priority, for what any slice of another process would spoil."""

import functools
import shutil
import subprocess

# Runs a command, and what it starts, by sched(7)'s SCHED_FIFO.
CHRT = ("chrt", "--fifo", "1")


@functools.cache
def is_allowed():
    """Whether this user may have it, and there is a chrt(1)."""
    if not shutil.which(CHRT[0]):
        return False
    return subprocess.run([*CHRT, "true"], capture_output=True).returncode == 0


def prefix():
    """What to put before a command."""
    return CHRT if is_allowed() else ()
