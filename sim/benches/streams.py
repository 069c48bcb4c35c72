"""Driver, monitor and scoreboard of valid/ready streams, shared by the benches.

Everything moves in the same two phases of a clock, so no result depends on the order in which a
simulator wakes coroutines: after the falling edge the drivers change the inputs; once that has
settled the monitors sample what the rising edge will take.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, ReadOnly

__all__ = ["StreamDriver", "StreamMonitor", "Scoreboard", "start_clock", "clocked"]


def start_clock(dut: Any) -> None:
    """Let ``dut.clk`` run, 10 ns a clock."""
    Clock(dut.clk, 10, unit="ns").start()


class StreamDriver:
    """Offers beats on a stream; a beat once offered stays until it is taken.

    Args:
        dut: the top.
        names: the ports (valid, ready, then one or more of payload).
        beats: one tuple of payload values a beat.
        stall: probability that no new beat is offered in a clock.
        rng: source of the stalls.
    """

    def __init__(
        self,
        dut: Any,
        names: Sequence[str],
        beats: Sequence[tuple[int, ...]],
        stall: float,
        rng: random.Random,
    ):
        self.valid, self.ready, *self.payload = (getattr(dut, name) for name in names)
        self.beats, self.stall, self.rng = beats, stall, rng
        self.taken: list[int] = []  # the clock each beat was taken in
        self.offering = False
        self.valid.value = 0

    @property
    def done(self) -> bool:
        return len(self.taken) == len(self.beats)

    def drive(self) -> None:
        if self.offering or self.done:
            return
        if self.stall and self.rng.random() < self.stall:
            return
        self.offering = True
        self.valid.value = 1
        for port, value in zip(self.payload, self.beats[len(self.taken)], strict=True):
            port.value = value

    def sample(self, clock: int) -> bool:
        """Note whether the coming edge takes the beat; True if so."""
        if not (self.offering and int(self.ready.value)):
            return False
        self.taken.append(clock)
        self.offering = False
        return True

    def idle(self) -> None:
        """After a beat was taken: withdraw valid unless a new beat is offered at once."""
        if not self.offering:
            self.valid.value = 0


class StreamMonitor:
    """Records the beats of a stream and checks its rules: valid stays, payload does not change.

    Args:
        names: the ports (valid, ready, then one or more of payload).
        beat: called with (index, payload values) of every beat taken.
        stall: None watches only; else ready is driven, and low with this probability.
    """

    def __init__(
        self,
        dut: Any,
        names: Sequence[str],
        beat: Callable[[int, tuple[int, ...]], None],
        stall: float | None,
        rng: random.Random,
    ):
        self.name = names[0]
        self.valid, self.ready, *self.payload = (getattr(dut, name) for name in names)
        self.beat, self.stall, self.rng = beat, stall, rng
        self.given: list[int] = []  # the clock each beat was taken in
        self.waiting: tuple[int, ...] | None = None
        if stall is not None:
            self.ready.value = 0

    def drive(self) -> None:
        if self.stall is not None:
            self.ready.value = int(not self.stall or self.rng.random() >= self.stall)

    def sample(self, clock: int) -> bool:
        if not int(self.valid.value):
            assert self.waiting is None, f"{self.name} fell before the beat was taken"
            return False
        ready = bool(int(self.ready.value))
        if not ready and self.waiting is None:
            self.waiting = self._read()
        elif self.waiting is not None:
            assert self._read() == self.waiting, f"the beat of {self.name} changed while waiting"
        if not ready:
            return False
        self.waiting = None
        self.beat(len(self.given), self._read())
        self.given.append(clock)
        return True

    def _read(self) -> tuple[int, ...]:
        return tuple(int(port.value) for port in self.payload)


class Scoreboard:
    """Compares beats with what is expected, and keeps count of both."""

    def __init__(self) -> None:
        self.expected: dict[str, Sequence[tuple[int, ...]]] = {}
        self.seen: dict[str, list[tuple[int, ...]]] = {}

    def expect(self, stream: str, beats: Sequence[tuple[int, ...]]) -> Callable[..., None]:
        """Register a stream; returns what a monitor calls with each beat."""
        self.expected[stream], self.seen[stream] = beats, []

        def check(index: int, beat: tuple[int, ...]) -> None:
            assert index < len(beats), f"{stream} has more than {len(beats)} beats"
            assert beat == beats[index], (
                f"beat {index} of {stream} is {_hex(beat)}, expected {_hex(beats[index])}"
            )
            self.seen[stream].append(beat)

        return check

    @property
    def done(self) -> bool:
        return all(len(self.seen[name]) == len(beats) for name, beats in self.expected.items())

    def missing(self) -> str:
        """What has not come, for a message."""
        return "; ".join(
            f"{name} has {len(self.seen[name])} of {len(beats)} beats"
            for name, beats in self.expected.items()
            if len(self.seen[name]) != len(beats)
        )


def _hex(beat: tuple[int, ...]) -> str:
    return ", ".join(f"0x{value:x}" for value in beat)


async def clocked(
    dut: Any,
    drivers: Sequence[StreamDriver],
    monitors: Sequence[StreamMonitor],
    done: Callable[[], bool],
    missing: Callable[[], str],
    watchdog: int,
    drain: int = 16,
    start: int = 0,
) -> int:
    """From a falling edge run until ``done()``, then ``drain`` clocks more; returns the clocks run.

    Fails when nothing moved for ``watchdog`` clocks, saying what is ``missing()``.
    """
    clock, quiet, after = start, 0, 0
    while after < drain:
        for driver in drivers:
            driver.drive()
            driver.idle()
        for monitor in monitors:
            monitor.drive()
        await ReadOnly()
        moved = False
        for stream in (*drivers, *monitors):
            moved |= stream.sample(clock)
        clock += 1
        await FallingEdge(dut.clk)
        if done():
            after += 1
            continue
        quiet = 0 if moved else quiet + 1
        assert quiet < watchdog, f"nothing moved for {watchdog} clocks: {missing()}"
    return clock - start
