"""One fuzz case: a random network, folded at random, simulated, compared spike by spike.

python tests/helpers/fuzzrun.py FIRST COUNT [--big] [--graph] [--pools] [--counts]   runs seeds,
prints those that fail; --pools: with pools of weighted sums; --counts: frames of several bits
"""

import re
import sys
import tempfile
import time
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from fuzz import Limits, Seeded, describe, random_images, random_network
from fuzzdag import BIG_GRAPH, GRAPH, GraphLimits, random_graph

from sterna.gen.design.design import Design
from sterna.gen.design.engines import engine_choices, one_row
from sterna.gen.design.folding import Folding, legal_values
from sterna.gen.design.graph import neuron_of, pool_of, weighted_inputs
from sterna.gen.design.instances import core_instances
from sterna.gen.design.legal import legal_folding, weight_rows_of
from sterna.gen.design.top_spec import top_spec
from sterna.gen.fold.candidates import bank_choices, read_choices
from sterna.gen.fold.fold import fold
from sterna.gen.fold.solve import solve
from sterna.gen.model.tokens import TokenModel
from sterna.gen.tools.cache import Cache
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.gen.verilog.memory_images import memory_images, region_words
from sterna.golden.coding import image_bits
from sterna.golden.device.fabric import FABRICS
from sterna.golden.errors import DesignError, NetworkError
from sterna.golden.exact import run
from sterna.golden.network import Conv2d, Linear, Network, Neuron, Readout
from sterna.golden.result import Result, compare
from sterna.golden.rule import LEVELS
from sterna.hw.control.registers import register_map
from sterna.hw.stream.merge import MergeSpec
from sterna.sim.batch import BatchModel, BatchResult
from sterna.sim.taps import Tap

__all__ = [
    "Case",
    "check_case",
    "clocks_differ",
    "load_weights",
    "of_seed",
    "random_case",
    "random_folding",
    "retrained",
]

TINY = Limits(channels=4, side=5, layers=2, steps=16, planes=24, classes=4, work=20_000)
BIG = Limits(channels=8, side=9, layers=3, steps=32, planes=64, classes=6, work=120_000)
LIMITS = {"tiny": TINY, "big": BIG, "graph": GRAPH, "big_graph": BIG_GRAPH}


@dataclass(frozen=True, eq=False)
class Case:
    """Everything a run depends on. stalls: probability of a pause at the input and the output."""

    network: Network
    design: Design
    images: np.ndarray
    stalls: tuple[float, float]
    seed: int

    def __str__(self) -> str:
        return (
            f"{describe(self.network)}\nfolding {self.design.folding} family {self.design.family} "
            f"axis {self.design.axis_width} stalls {self.stalls} "
            f"images {self.images.shape} seed {self.seed}"
        )


def random_folding(network: Network, draw: Seeded, work: int = 4000) -> dict[str, dict[str, Any]]:
    """Legal pe, simd, tp, memory, engine, banks, reads and nest of every core: at most about
    ``work`` clocks each. The weighted inputs of a neuron get the same pe and memory.
    """
    out: dict[str, dict[str, Any]] = {}
    for node in network.nodes:
        if not isinstance(node, (Conv2d, Linear)):
            continue
        legal = legal_folding(network, node.name)
        group = weighted_inputs(network, neuron_of(network, node.name))
        shared = set.intersection(*(set(legal_folding(network, i)["pe"]) for i in group))
        first = next((out[i] for i in group if i in out), None)
        legal["pe"] = sorted(shared) if first is None else [first["pe"]]
        entry = {key: draw.pick(values) for key, values in legal.items()}
        sites = int(np.prod(network.shape[node.name])) * node.weight[0].size
        if pool := pool_of(network, node.name):
            sites = int(np.prod((*network.shape[pool.name], *pool.kernel))) * node.weight[0].size
        for key in ("simd", "pe", "tp"):  # enough lanes to be done in time
            while (
                sites * network.planes(node.input) // (entry["pe"] * entry["simd"] * entry["tp"])
                > work
                and entry[key] != legal[key][-1]
            ):
                entry[key] = legal[key][legal[key].index(entry[key]) + 1]
        memory = draw.pick(("rom", "ram")) if first is None else first["memory"]
        out[node.name] = entry | {"memory": memory}
    for node in network.nodes:
        if isinstance(node, Neuron | Readout):
            group = weighted_inputs(network, node)
            _constants(network, draw, group, out)
            _tables(network, draw, group, out)
    _banks(network, draw, out)
    for name, entry in out.items():  # now and then, weight words read in pieces
        if (choices := read_choices(network, name, Folding(**entry))) and draw.chance(40):
            entry["reads"] = draw.pick(range(2, max(choices) + 1))
    for name, entry in out.items():  # now and then, a Linear that takes its map as it arrives
        if "arrival" in legal_values(network, name, "nest") and draw.chance(50):
            entry["nest"] = "arrival"
    return out


def _constants(
    network: Network, draw: Seeded, group: list[str], out: dict[str, dict[str, Any]]
) -> None:
    """Now and then, some of a neuron's fixed weighted inputs with their weights in the logic."""
    whole = {name: found for name in group if (found := one_row(network, name))}
    if out[group[0]]["memory"] == "rom" and len(whole) == len(group) and draw.chance(40):
        for name, found in whole.items():
            if name == group[0] or draw.chance(50):
                out[name] |= found | {"engine": "constant"}
            out[name]["pe"] = found["pe"]


def _banks(network: Network, draw: Seeded, out: dict[str, dict[str, Any]]) -> None:
    """Now and then, several banks of scans, whether there are visits enough for them or not."""
    for name in out:
        if len(bank_choices(network, name, 1)) > 1 and draw.chance(40):
            out[name]["banks"] = draw.pick(range(2, network.steps + 1))


def _solved(network: Network, draw: Seeded, family: str, width: int | None) -> Design | None:
    """What the solver makes of a rate or of all the room there is; None where it refuses."""
    goal = {"fps": 1e8 / draw.pick((300, 1000, 4000))}
    if draw.chance(40):
        goal = {"luts": 1_000_000}
    memory = draw.pick((None, "rom", "ram"))
    try:
        return solve(network, family=family, axis_width=width, memory=memory, **goal).design
    except (DesignError, NetworkError) as e:
        if not any(text in str(e) for text in ("lower the fps", "32 bits", "wider than")):
            raise
        return None


def _tables(
    network: Network, draw: Seeded, group: list[str], out: dict[str, dict[str, Any]]
) -> None:
    """Now and then, some of a neuron's weighted inputs with tables of sums, which want few rows of
    weights."""
    legal = {name: legal_folding(network, name) for name in group}
    pe = max(set.intersection(*(set(choices["pe"]) for choices in legal.values())))
    if any("engine" in out[name] for name in group) or not draw.chance(40):
        return
    for name in group:
        # ECP5 has the fewest rows.
        choices = engine_choices(network, name, "tables", "ecp5", legal[name] | {"pe": [pe]})
        if weight_rows_of(network, name, pe, choices["simd"][0]) <= 2 and draw.chance(70):
            out[name] |= {"simd": draw.pick(choices["simd"]), "engine": "tables"}
        out[name]["pe"] = pe


def random_case(
    draw: Seeded, limits: Limits = TINY, count: int = 5, network: Network | None = None
) -> Case:
    """A random network, where none is given, with a folding that can be built, images and
    stalls."""
    if network is None:
        graph = isinstance(limits, GraphLimits)
        network = random_graph(draw, limits) if graph else random_network(draw, limits)
    family = draw.pick(tuple(FABRICS))
    width = draw.pick((None, 8, 16, 32, 64))
    design = None
    if draw.chance(30):
        design = _solved(network, draw, family, width)
    while design is None:
        folding = random_folding(network, draw)
        try:
            design = fold(network, folding, family=family, axis_width=width)
        except DesignError as e:  # a beat above 512 bits may not fit, nor tables into an iCE40
            if not re.search("wider than|needs LUT RAM", str(e)):
                raise
        except NetworkError:  # nor may the worst case of reloadable parameters fit 32 bits
            pass
    images = random_images(draw, network, count)
    stalls = draw.pick(((0.0, 0.0), (0.0, 0.5), (0.5, 0.0), (0.3, 0.3), (0.9, 0.9)))
    return Case(network, design, images, stalls, draw.integer(1, 2**31))


def retrained(network: Network, design: Design, draw: Seeded) -> Network:
    """Other weights and parameters in the reloadable cores, inside the ranges they declared."""
    rng, nodes = draw.rng(), {n.name: n for n in network.nodes}
    for core in design.cores:
        if core.memory != "ram":
            continue
        node, target = nodes[core.name], nodes[core.target]
        assert isinstance(node, (Conv2d, Linear)) and isinstance(target, (Neuron, Readout))
        values = (-1, 0, 1) if node.kind == "ternary" else (-1, 1)
        weight = rng.choice(values, node.weight.shape).astype(np.int8)
        nodes[core.name] = replace(node, weight=weight)
        if not core.main:
            continue
        order = rng.permutation(target.rule.channels)
        rule = replace(
            target.rule,
            **{k: a[..., order] for k in LEVELS if (a := getattr(target.rule, k)) is not None},
            coef=tuple(c[order] for c in target.rule.coef),
        )
        nodes[core.target] = replace(target, rule=rule)
    return Network(network.steps, [nodes[n.name] for n in network.nodes], network.name)


def load_weights(model: BatchModel, network: Network, design: Design) -> None:
    """What a host does: hold, wait for idle, write every region, check it by CRC, go on."""
    names = [c.name for c in core_instances(network, design) if not isinstance(c.spec, MergeSpec)]
    at = {r.name: r.address for r in register_map(names, ram=True)}
    model.write(at["control"], 2)
    while not model.read(at["status"]) & 1:
        pass
    for image in memory_images(network, design):
        if image.region is None:
            continue
        words = region_words(image)
        model.write(at["chain_address"], image.region << 24)
        for word in words:
            model.write(at["chain_data"], int(word))
        model.write(at["chain_address"], image.region << 24)
        model.write(at["crc_words"], len(words))
        while model.read(at["status"]) >> 8 & 1:
            pass
        crc = zlib.crc32(words.astype("<u4").tobytes())
        if model.read(at["crc_result"]) != crc or model.read(at["status"]) >> 10 & 1:
            raise AssertionError(f"region {image.region}: the CRC pass found other contents")
    model.write(at["weights_id_lo"], 1)  # else every result says that nobody vouches for them
    model.write(at["control"], 0)


def check_case(case: Case, optimize: str = "none", store: Cache | None = None) -> str | None:
    """Build and run; None where every spike, logit and class is that of the golden model, packets
    are whole, and back-to-back images with free ends keep to the law of the interval.

    store: where the simulator is kept; else it is gone afterwards."""
    network, design = case.network, case.design
    text = verilog_text(elaborate(network, design, taps=True), network.name)
    taps = [Tap.from_json(t) for t in design.taps]
    classes = network.shape[network.readout.name][0]
    with tempfile.TemporaryDirectory() as folder:
        model = BatchModel.build(
            text,
            network.name,
            taps,
            design.axis_width // 8,
            classes + 1,
            seed=case.seed,
            random_memory=True,
            optimize=optimize,
            store=store or Cache(folder),
        )
        if not design.reloadable:
            return _compare(model, case, (0.0, 0.0)) or _compare(model, case, case.stalls)
        load_weights(model, network, design)
        found = _compare(model, case, (0.0, 0.0))
        if found is None:
            other = retrained(network, design, Seeded(case.seed))
            load_weights(model, other, design)
            found = _compare(model, replace(case, network=other), case.stalls)
            found = found and f"after a reload, {found}"
        return found


def _compare(model: BatchModel, case: Case, stalls: tuple[float, float]) -> str | None:
    network, design = case.network, case.design
    golden = run(network, case.images, trace="all")
    rows = image_bits(network.input, case.images, network.steps)
    free = stalls == (0.0, 0.0)
    done = model.run(
        rows, in_stall=stalls[0], out_stall=stalls[1], seed=case.seed, watchdog=20_000, timed=free
    )
    result = Result(
        done.words[:, 1:].view(np.int32),
        (done.words[:, 0] & 0xFFFF).astype(np.int64),
        {name: done.spikes(name) for name in golden.spikes},
    )
    found = compare(golden, result, names=("golden", "rtl"))
    if found is not None:
        return f"stalls {stalls}: {found}"
    if (done.words[:, 0] >> 16).any():
        return f"stalls {stalls}: flags {done.words[:, 0] >> 16} are not zero"
    if free and (found := clocks_differ(TokenModel(top_spec(network, design)), done)):
        return found
    if free and len(rows) >= 5:
        # 2% by the law, and a few clocks that maps of a dozen clocks cannot hide.
        measured = int(done.interval[2:].max())
        if measured > design.interval * 1.02 + 6:
            return f"interval {measured}, law {design.interval} ({design.bottleneck})"
    return None


def clocks_differ(model: TokenModel, done: BatchResult) -> str | None:
    """The first clock in which the token model and the RTL differ; None where none does: of the
    words in and out of every image and of every beat of every tapped stream."""
    timing = model.run(len(done.clocks), taps=True)
    start = done.clocks[0, 0] - timing.begins[0]
    pairs = {"first words in": (timing.begins, done.clocks[:, 0])}
    pairs["last words out"] = timing.ends, done.clocks[:, 3]
    for node, clocks in done.beat_clocks.items():
        pairs[f"beats of '{node}'"] = timing.beats[node][: clocks.size], clocks.ravel()
    for what, (mine, rtl) in pairs.items():
        if len(mine) != len(rtl):
            return f"the token model has {len(mine)} {what}, the RTL {len(rtl)}"
        if (wrong := np.flatnonzero(mine != rtl - start)).size:
            at = int(wrong[0])
            return f"{what}: number {at} in clock {mine[at]} by the model, {rtl[at] - start} in RTL"
    return None


def of_seed(seed: int, limits: str = "tiny", pools: int = 0, counts: int = 0) -> dict[str, int]:
    """A task of ``sterna sweep`` (benchmarks/fuzz.toml): the case of a seed, with limits by their
    name and percents of pools of sums and of frames of several bits. AssertionError where the RTL
    differs."""
    within = LIMITS[limits]
    case = random_case(Seeded(seed), replace(within, pools=pools, counts=counts))
    if (found := check_case(case)) is not None:
        raise AssertionError(f"{found}; {case}")
    return {"nodes": len(case.network.nodes), "clocks": case.design.interval}


def main(first: int, count: int, limits: Limits) -> int:
    failures = 0
    for seed in range(first, first + count):
        start = time.monotonic()
        try:
            case = random_case(Seeded(seed), limits)
        except Exception as e:
            failures += 1
            print(f"seed {seed}: GENERATOR {type(e).__name__}: {e}", flush=True)
            continue
        try:
            found = check_case(case)
        except Exception as e:
            found = f"{type(e).__name__}: {e}"
        took = time.monotonic() - start
        print(f"seed {seed}: {found or 'ok'} [{took:.1f} s]", flush=True)
        if found:
            failures += 1
            print(str(replace(case)) + "\n", flush=True)
    return failures


if __name__ == "__main__":
    big, graph = ("--big" in sys.argv), ("--graph" in sys.argv)
    limits = (BIG_GRAPH if big else GRAPH) if graph else (BIG if big else TINY)
    limits = replace(limits, pools=70) if "--pools" in sys.argv else limits
    limits = replace(limits, counts=100) if "--counts" in sys.argv else limits
    sys.exit(bool(main(int(sys.argv[1]), int(sys.argv[2]), limits)))
