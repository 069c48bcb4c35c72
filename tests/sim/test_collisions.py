"""Words read where they are written come out wrong in simulation, and in no other way."""

import re

import pytest

from sterna.gen.verilog.elaborate import verilog_text
from sterna.golden.errors import DesignError
from sterna.hw.core.line_buffer import LineBuffer
from sterna.hw.stream.skip_fifo import SkipFifo
from sterna.sim.collisions import poison_collisions
from sterna.sim.proofs.windows import GEOMETRIES, nest

PARTS = {
    "lutram": (lambda: SkipFifo(2, 3, "lutram"), 1),
    "block": (lambda: SkipFifo(2, 3, "block"), 1),
    "window": (lambda: LineBuffer(g := GEOMETRIES["3x1_rows"], nest(g)), 3),
}


@pytest.mark.parametrize("name", PARTS)
def test_every_read_of_a_memory_with_the_promise_is_poisoned(name):
    make, count = PARTS[name]
    text = verilog_text(make(), "part")
    poisoned = poison_collisions(text)
    assert text.count("no_rw_check") == count
    found = re.findall(
        r"= \((\S.*?)\) && \((.*?) \) == \((.*?) \) \? ~(\S+) \[\3 \] : \4 \[\3 \];", poisoned
    )
    assert len(found) == count and len({memory for *_, memory in found}) == count
    # Nothing else is touched.
    assert len(poisoned.splitlines()) == len(text.splitlines())
    changed = [a for a, b in zip(text.splitlines(), poisoned.splitlines()) if a != b]
    assert len(changed) == count


def test_what_is_not_understood_is_refused():
    text = "module x(a);\n  (* no_rw_check = 32'd1 *)\n  reg [1:0] memory [2:0];\nendmodule\n"
    with pytest.raises(DesignError) as refused:
        poison_collisions(text)
    assert str(refused.value) == (
        "the Verilog has a memory 'memory' with no_rw_check that is written or read in a way that "
        "simulation does not know; report this"
    )


def test_other_memories_stay():
    text = "module x(a);\n  reg [1:0] memory [2:0];\n  assign a = memory[b];\nendmodule\n"
    assert poison_collisions(text) == text
