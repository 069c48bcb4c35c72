"""Faults put in on purpose are caught: one simulator holds them all, chosen by a number.

Every fault is compiled in as ``(selector == k ? wrong : right)``. The selector is the address of
AXI4-Lite reads: it keeps its last value and the registers do not care, so one build serves for
dozens of faults in every part of the data path.
"""

import contextlib
import random
import re
from types import SimpleNamespace

import numpy as np
import pytest

from sterna.gen.fold.fold import fold
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.gen.verilog.memory_images import memory_images, region_words
from sterna.golden.coding import image_bits
from sterna.golden.device.weights_image import pack_weights_image, parse_weights_image
from sterna.golden.exact import run
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Pool, Readout
from sterna.golden.result import Result, compare
from sterna.golden.rule import Decay, NeuronRule
from sterna.sim.batch import AxiError, BatchModel, SimulationError
from sterna.sim.simulator import weight_writes
from sterna.sim.taps import Tap


def network(change=None):
    """A small chain; ``change`` may alter the arrays before they are used."""
    rng = np.random.default_rng(8)
    values = {
        "c": rng.integers(-1, 2, (4, 2, 3, 3)),
        "d": rng.integers(0, 2, (2, 4, 2, 2)) * 2 - 1,
        "f": rng.integers(-1, 2, (3, 8)),
        "n": rng.integers(2, 5, 4),
        "m": rng.integers(1, 4, 2),
        "bias": rng.integers(2, 7, 3),
    }
    if change is not None:
        change(values)
    return Network(
        6,
        [
            Input("x", (2, 7, 6), "frames"),
            Conv2d("c", "x", values["c"], padding=(1, 1, 1, 1)),
            Neuron("n", ("c",), NeuronRule(threshold=values["n"], leak=Decay(2))),
            Pool("p", "n", "or", (2, 2)),
            Conv2d("d", "p", values["d"], padding=(1, 1, 0, 0), kind="binary"),
            Neuron("m", ("d",), NeuronRule(threshold=values["m"], reset="zero")),
            Pool("q", "m", "sum", (2, 1), (2, 1)),
            Linear("f", "q", values["f"]),
            Readout(
                "r",
                ("f",),
                NeuronRule(threshold=np.zeros(3, int), reset="none", bias=values["bias"]),
            ),
        ],
        name="faulty",
    )


FOLDING = {
    "c": {"pe": 2, "simd": 6, "tp": 2, "memory": "ram"},
    "d": {"pe": 1, "simd": 4, "tp": 1, "memory": "ram"},
    "f": {"pe": 1, "simd": 4, "tp": 2, "memory": "ram"},
}
FAULTS = 60
WRONG = {
    "+": "-",
    "-": "+",
    "&": "|",
    "|": "&",
    "^": "|",
    "==": "!=",
    "!=": "==",
    ">": "<=",
    ">=": "<",
    "<": ">=",
}
# What these modules do is not part of a result: registers, counters, the way weights come in; and
# who may wait (credits, FIFO levels): a top this small holds no more images than its FIFOs, so the
# tests of the cores alone stall those.
OTHER = re.compile(r"control|\.node|image_input\.flags|credit|fifo|\.out$")
SITE = re.compile(r"^(  assign (\S+)\s+= )(.+?) (\+|-|&|\||\^|==|!=|>=|>|<) (.+);$", re.M)


def harmless(module, match):
    """A counter of one bit counts the same up and down, and zero may be added or taken; and the
    credits' own events (see ``OTHER``)."""
    if match[2] == "start" or match[0].endswith("= o__valid & o__ready;"):
        return True  # credits again
    narrow = re.search(rf"(wire|reg) {re.escape(match[3].strip())} *(=.*)?;", module)
    return match[4] in "+-" and (match[5].endswith("'h0") or narrow is not None)


def plant(text, seed=1):
    """The Verilog with faults 1 .. FAULTS behind the selector, and a word about each."""
    modules = re.split(r"(?=^module )", text, flags=re.M)
    sites = []
    for number, module in enumerate(modules):
        if number and not OTHER.search(module.split("(")[0].strip()):
            sites += [(number, m) for m in SITE.finditer(module) if not harmless(module, m)]
    # A module with hundreds of adders (a compressor) must not take all the faults.
    rng = random.Random(seed)
    by_module: dict[int, list] = {}
    for number, match in sites:
        by_module.setdefault(number, []).append(match)
    chosen = []
    while len(chosen) < FAULTS:
        number = rng.choice(sorted(by_module))
        if by_module[number]:
            matches = by_module[number]
            chosen.append((number, matches.pop(rng.randrange(len(matches)))))
    words = {}
    for k, (number, match) in enumerate(chosen, 1):
        old = match[0]
        left, operator, right = match[3], match[4], match[5]
        new = (
            f"{match[1]}faulty.s_axil_araddr == 16'd{4096 + k} ? "
            f"({left} {WRONG[operator]} {right}) : ({left} {operator} {right});"
        )
        assert modules[number].count(old) == 1
        modules[number] = modules[number].replace(old, new)
        words[k] = f"{modules[number].split('(')[0].strip()}: {old.strip()}"
    return "".join(modules), words


@pytest.fixture(scope="module")
def rig():
    net = network()
    design = fold(net, FOLDING, axis_width=16)
    top = elaborate(net, design, taps=True)
    status = next(r.address for r in top.control.registers if r.name == "status")
    text, words = plant(verilog_text(top, "faulty"))
    rng = np.random.default_rng(3)
    shares = rng.random((1, 60, 1, 1, 1))  # from dark to full
    images = (rng.random((6, 60, 2, 7, 6)) < shares).astype(np.uint8)
    images[:, 1], images[:, 2] = 1, 0
    taps = [Tap.from_json(t) for t in design.taps]
    model = BatchModel.build(text, "faulty", taps, 2, 4, optimize="none")
    golden = run(net, images, trace="all")
    return SimpleNamespace(
        model=model,
        golden=golden,
        words=words,
        rows=image_bits(net.input, images, 6),
        design=design,
        net=net,
        status=status,
    )


def load(rig, net):
    images = memory_images(net, rig.design)
    regions = {i.number: region_words(i) for i in images}
    structure = files.structure_id(net, rig.design.to_json())
    image = parse_weights_image(pack_weights_image(structure, files.weights_id(net), regions))
    for address, value in weight_writes(image, len(image.regions)):
        rig.model.write(address, value)


def caught(rig):
    """Why the run is refused, or None: without stalls, with stalls at both ends as the fuzzer has
    them, with an output that hardly moves so that every FIFO fills; and idle at the end."""
    for stalls in (0.0, 0.5):
        try:
            done = rig.model.run(rig.rows, watchdog=2000, in_stall=stalls, out_stall=stalls)
        except SimulationError as e:
            return str(e)
        result = Result(
            done.words[:, 1:].view(np.int32),
            (done.words[:, 0] & 0xFFFF).astype(np.int64),
            {name: done.spikes(name) for name in rig.golden.spikes},
        )
        found = compare(rig.golden, result)
        if found is not None or (done.words[:, 0] >> 16).any():
            return str(found)
        slow = rig.design.interval * 1.02 + 2
        if not stalls and done.interval[2:].max() > slow:
            return "slower than the law"
    try:
        done = rig.model.run(rig.rows, trace=(), watchdog=5000, out_stall=0.985)
    except SimulationError as e:
        return str(e)
    if (done.words[:, 1:].view(np.int32) != rig.golden.logits).any():
        return "first difference where the output hardly moves"
    return None if rig.model.read(rig.status) & 1 else "not idle at the end"


def test_the_images_exercise_the_network(rig):
    spikes = rig.golden.spikes
    assert all(0 < spikes[name].mean() < spikes[name].max() for name in ("n", "p", "m", "q"))
    assert len(np.unique(rig.golden.logits)) > 3


def test_changed_operators_are_caught(rig):
    """Most single faults in the data path show. The others looked at change nothing here: masks of
    maps without padding, counters modulo their period, x ^ y where never both are 1, one of two
    copies of a leak's rounding, and what only broken packets do."""
    rig.model.reset()
    assert caught(rig) is None, "without a fault everything is right"
    missed = []
    for k, word in rig.words.items():
        rig.model.reset()
        # Memories are not reset, and addresses without a register answer SLVERR.
        with contextlib.suppress(AxiError):
            rig.model.read(4096 + k)
        if caught(rig) is None:
            missed.append(word)
    with contextlib.suppress(AxiError):
        rig.model.read(0)
    rig.model.reset()
    assert caught(rig) is None, "and again without a fault"
    assert len(missed) <= FAULTS // 3, "\n".join(missed)


CHANGES = {
    "a trit of c": lambda v: v["c"].__setitem__((2, 0, 1, 1), -v["c"][2, 0, 1, 1] or 1),
    "a corner trit of c": lambda v: v["c"].__setitem__((0, 0, 0, 0), -v["c"][0, 0, 0, 0] or 1),
    "a sign of d": lambda v: v["d"].__setitem__((0, 1, 0, 1), -v["d"][0, 1, 0, 1]),
    "a trit of f": lambda v: v["f"].__setitem__((1, 3), -v["f"][1, 3] or 1),
    "a threshold of n": lambda v: v["n"].__setitem__(1, v["n"][1] + 1),
    "a threshold of m": lambda v: v["m"].__setitem__(0, v["m"][0] + 1),
    "a bias of r": lambda v: v["bias"].__setitem__(2, v["bias"][2] + 1),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_wrong_number_is_caught(rig, name):
    """One weight, one threshold, one bias of another network in the memories."""
    rig.model.reset()
    load(rig, network(CHANGES[name]))
    found = caught(rig)
    rig.model.reset()
    load(rig, rig.net)
    assert found is not None and "first difference" in found
    assert caught(rig) is None
