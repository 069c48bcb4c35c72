"""Interrupts are heard by the programs that these tests start."""

import signal

import pytest


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """A shell starts what it puts into the background with SIGINT ignored, and programs started
    from there would never hear of one."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, before)
