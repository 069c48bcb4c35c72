"""The system's lock on an open file, and the one place that knows where there is none (Windows).

It is between processes, and the system takes it back from a process however that ends.
"""

import errno
from typing import IO, Any

try:
    import fcntl
except ImportError:
    fcntl = None

__all__ = ["THERE", "lock"]

THERE = fcntl is not None
"""Whether this system has such locks; where not, see that nothing else works in the folder."""
_BUSY = (errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK)


def lock(file: int | IO[Any], alone: bool = True, wait: bool = False) -> bool:
    """Lock an open file, or folder, until it is closed; False where another process has it.

    ``alone``: else together with all that do not want it alone. ``wait``: until it is free. True
    also where the system has no locks; OSError where the disk has none.
    """
    if fcntl is None:
        return True
    kind = fcntl.LOCK_EX if alone else fcntl.LOCK_SH
    try:
        fcntl.flock(file, kind if wait else kind | fcntl.LOCK_NB)
    except OSError as e:
        if e.errno in _BUSY:
            return False
        raise
    return True
