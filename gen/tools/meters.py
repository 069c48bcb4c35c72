"""How far a program is, by what it prints: shares of its time, as measured."""

import re
from collections.abc import Callable

__all__ = ["meter"]


def meter(program: str, say: Callable[[float], None]) -> Callable[[str], object]:
    """What takes each line of a program and says how far it is, from 0 to 1."""
    made = {"yosys": _Yosys, "nextpnr-ecp5": _Nextpnr, "nextpnr-ice40": _Nextpnr}.get(program)
    return made(say).line if made else lambda _line: None


class _Yosys:
    """Its passes, by name: those that all three families run, and when they begin. What it says
    behind ABC is lost where it runs as WASM."""

    BEGINS = {
        "FLATTEN": 0.07,
        "FSM": 0.15,
        "ALUMACC": 0.23,
        "MEMORY": 0.27,
        "MEMORY_LIBMAP": 0.29,
        "MEMORY_MAP": 0.46,
        "DFFLEGALIZE": 0.64,
        "ABC9": 0.69,
        "ABC9_EXE": 0.75,
        "JSON": 0.97,
    }

    def __init__(self, say: Callable[[float], None]) -> None:
        self.say = say

    def line(self, text: str) -> None:
        if found := re.match(r"[\d.]+\. Executing (\w+)", text):
            self.say(self.BEGINS.get(found[1], 0.0))


class _Nextpnr:
    """It packs, places in rounds, refines that in rounds, routes a known number of arcs."""

    PLACING, REFINING, ROUTING, DONE = 0.08, 0.25, 0.75, 0.97
    ROUNDS = {"PLACING": 20, "REFINING": 30}  # about as many as there are

    def __init__(self, say: Callable[[float], None]) -> None:
        self.say = say
        self.refines = False
        self.arcs = 0

    def line(self, text: str) -> None:
        if found := re.match(r"Info:\s+at iteration #(\d+)", text):
            low, high = (
                (self.REFINING, self.ROUTING) if self.refines else (self.PLACING, self.REFINING)
            )
            most = self.ROUNDS["REFINING" if self.refines else "PLACING"]
            self.say(low + (high - low) * min(1.0, int(found[1]) / most))
        elif text.startswith("Info: Running simulated annealing"):
            self.refines = True
        elif found := re.match(r"Info: Routing (\d+) arcs", text):
            self.arcs = int(found[1])
            self.say(self.ROUTING)
        elif self.arcs and (found := re.match(r"Info:\s+\d+ \|.*\|\s+(\d+)\|", text)):
            done = 1.0 - min(int(found[1]) / self.arcs, 1.0)
            self.say(self.ROUTING + (self.DONE - self.ROUTING) * done)
