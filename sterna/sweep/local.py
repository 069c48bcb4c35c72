"""What dask loads into each worker process that a sweep starts on this machine."""

import os
import signal
from typing import Any

__all__ = ["dask_setup"]


def dask_setup(_worker: Any) -> None:
    """Called there by its name. Ctrl-C reaches all processes of a terminal: the client hears it,
    and ends its workers. What a library writes to stdout must not spoil the client's answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.dup2(2, 1)
