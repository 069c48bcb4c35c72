"""`memories` of specifications: what their cores are elaborated with, and what is counted."""

from collections import Counter
from dataclasses import replace

import pytest
from amaranth.hdl import Fragment, MemoryInstance
from smallcores import CASES, instances

from sterna.gen.model.features import core_parts
from sterna.hw.core.conv_spec import ConvSpec
from sterna.hw.core.pool import PoolSpec, SpikingPool
from sterna.hw.core.spiking_conv import SpikingConv
from sterna.hw.memory.shape import Memories
from sterna.hw.stream.axis import ImageInput, ResultOutput
from sterna.hw.stream.edge import Edge
from sterna.hw.stream.gear_path import gear_memories
from sterna.hw.stream.gearbox import Gearbox
from sterna.hw.stream.merge import SpikingMerge
from sterna.hw.stream.skip_fifo import KINDS, SkipFifo


def elaborated(component) -> dict[str, tuple[int, int]]:
    """(width, depth) of all memories of a component by their place in it."""
    out = {}

    def walk(fragment: Fragment, place: str) -> None:
        for sub, name, *_ in fragment.subfragments:
            if isinstance(sub, MemoryInstance):
                data = sub._data
                out[f"{place}{name}"] = data.shape.width, data.depth  # type: ignore[union-attr]
            else:
                walk(sub, f"{place}{name}.")

    walk(Fragment.get(component, None), "")
    return out


def shapes(memories: Memories) -> dict[str, tuple[int, int]]:
    return {name: (m.width, m.depth) for name, m in memories.items()}


@pytest.mark.parametrize("name", CASES)
def test_memories_are_those_that_are_elaborated(name):
    for instance in instances(name):
        spec = instance.spec
        if isinstance(spec, ConvSpec):
            core, memories = SpikingConv(spec), spec.memories()
        elif isinstance(spec, PoolSpec):
            core, memories = SpikingPool(spec), spec.memories()
        else:
            core, memories = SpikingMerge(spec), {}
        assert elaborated(core) == shapes(memories), instance.name


def test_the_cases_have_every_kind_of_memory():
    """Else the test above would hold what it never saw."""
    found = {
        place.rstrip("0123456789_")
        for name in CASES
        for i in instances(name)
        if isinstance(i.spec, ConvSpec)
        for place in i.spec.memories()
    }
    assert {p.removeprefix("front.") for p in found} >= {
        "buffer.bank",
        "weights.memory",
        "weights.bank",
        "accumulate.sum_memory",
        "accumulate.pop_memory",
        "feeder.store",
        "feeder.pool.memory",
        "dot.table",
        "turns.memory",
        "params.memory",
        "params.bank",
        "sums_1.fifo.memory",
        "shortcut_0.fifo.memory",
        "out.fifo.memory",
        "banks.out_2.fifo.memory",
    }


def test_contents_that_fill_whole_blocks_make_memories_deeper():
    spec = next(i.spec for i in instances("rom") if i.name == "c")
    assert isinstance(spec, ConvSpec)
    front = replace(spec.front, weights=[0] * 512)
    spec = replace(spec, front=front, param_rows=[0] * 256)
    assert spec.memories()["front.weights.memory"].depth == 512
    assert elaborated(SpikingConv(spec)) == shapes(spec.memories())


@pytest.mark.parametrize("name", CASES)
def test_the_cost_model_counts_each_of_them_once(name):
    for instance in instances(name):
        spec = instance.spec
        if not isinstance(spec, ConvSpec | PoolSpec):
            continue
        parts = core_parts(replace(instance, branches=()), "xilinx7")
        # It may see a narrower one, where few weights are known, or one in several.
        counted, wanted = Counter(), Counter()
        for shape in (s for p in parts for s in p.memories if p.kind not in ("sums", "dot tables")):
            counted[shape] += 1
        for place, shape in spec.memories().items():
            if not any(part in place for part in ("accumulate", "feeder", "dot.table")):
                wanted[shape] += 1
        assert counted == wanted
        bits = sum(s.bits for p in parts for s in p.memories if p.kind == "dot tables")
        assert bits == sum(s.bits for n, s in spec.memories().items() if "dot.table" in n)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("depth", [1, 5])
def test_memories_of_a_skip_fifo(kind, depth):
    assert elaborated(SkipFifo(3, depth, kind)) == shapes(SkipFifo.memories_of(3, depth, kind))


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (Edge(12, 4, 6, 2), Edge(12, 12, 6, 2)),
        (Edge(12, 6, 6, 1), Edge(12, 2, 6, 1)),
        (Edge(12, 4, 6, 6), Edge(12, 12, 6, 6)),
        (Edge(12, 4, 6, 2), Edge(12, 6, 6, 3)),
        (Edge(10, 10, 6, 4), Edge(10, 3, 6, 1)),
    ],
)
def test_memories_of_a_gearbox(given, taken):
    memories = gear_memories(given, taken)
    assert elaborated(Gearbox(given, taken)) == shapes(memories)


@pytest.mark.parametrize("repeat", [False, True])
def test_memories_at_the_ends(repeat):
    edge = Edge(6, 4, 3, 1)
    image = ImageInput(edge, 5, 4, 32, repeat=repeat, in_flight=7)
    assert elaborated(image) == shapes(image.memories)
    assert elaborated(ResultOutput(5, bits=9)) == shapes(ResultOutput.memories_of(5, 9))
