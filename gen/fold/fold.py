"""Folding: PE, SIMD and TP of every core, the streams between them, and the clocks they cost."""

from typing import Any

from sterna.gen.design.banks import banks_of, check_banks
from sterna.gen.design.design import FOLDING_KEYS, Design
from sterna.gen.design.engines import ENGINES, check_styles, engine_choices, engine_of, one_row
from sterna.gen.design.fixed_widths import with_widths
from sterna.gen.design.graph import CoreNodes, walk
from sterna.gen.design.legal import MAX_LANES, legal_folding, narrow_words, refusal, wide_step
from sterna.gen.design.plan import plan
from sterna.gen.design.reads import check_reads, reads_of, word_clocks
from sterna.gen.device.memories import STYLES
from sterna.gen.fold.goals import (
    LEAST,
    MEMORIES,
    MOST,
    as_folding,
    check_network,
    check_settings,
    python_number,
    with_memories,
)
from sterna.gen.model.buffers import size_buffers
from sterna.golden.errors import DesignError
from sterna.golden.names import show
from sterna.golden.network import Network
from sterna.golden.values import integer
from sterna.golden.window import window_of
from sterna.hw.core.law import visit_clocks

__all__ = [
    "check_folding",
    "compute_clocks",
    "fold",
    "legal_choices",
    "legal_folding",
    "neuron_groups",
    "smallest",
    "visit_items",
]


def fold(
    network: Network,
    folding: dict[str, dict[str, Any]] | None = None,
    *,
    family: str = "generic",
    clock_mhz: float = 100.0,
    fps: float | None = None,
    axis_width: int | None = None,
    memory: str | None = None,
    patchable: bool = False,
    target: int | None = None,
) -> Design:
    """Decide everything about the hardware of a network.

    Parameters
    ----------
    network : Network
    folding : dict, optional
        Some or all keys of a folding of some or all weighted nodes, by name; the rest gets the
        fewest lanes that reach ``fps``, or without ``fps`` that are not slower than the given ones
        (without those: than reading the image at one pixel in 8 clocks).
    family : str
        'generic', 'ecp5', 'xilinx7' or 'ice40'.
    clock_mhz : float
        Clock that ``fps`` and estimates assume, MHz.
    fps : float, optional
        Images a second to reach.
    axis_width : int, optional
        Bits of the AXI4-Stream input.
    memory : str, optional
        'rom' or 'ram', of every core, whatever ``folding`` says of it.
    patchable : bool
        Fixed cores are sized as reloadable ones are, for all weights whose parameters are in the
        declared ranges, so that a bitstream can take retrained ones; else for the weights at hand.
    target : int, optional
        Clocks an image that streams keep up with, instead of what follows from the above.

    Returns
    -------
    Design

    Raises
    ------
    DesignError
        A folding is illegal, or no folding reaches ``fps``; names the node.
    """
    check_network(network)
    folding = as_folding(folding)
    check_settings(
        family=family,
        clock_mhz=clock_mhz,
        axis_width=axis_width,
        memory=memory,
        patchable=patchable,
    )
    clock_mhz, axis_width, fps, target = map(python_number, (clock_mhz, axis_width, fps, target))
    if fps is not None and (type(fps) not in (int, float) or not LEAST < fps < MOST):
        raise DesignError(f"fps {show(fps)} must be a number above {LEAST:g} and below {MOST:g}")
    if target is not None:
        wanted = f"target {show(target)} must be a whole number of clocks"
        target = integer(wanted, target, 1, 10**30, DesignError)
    cores = walk(network)
    convs = [c.name for c in cores if c.op == "conv"]
    check_folding(network, convs, folding)
    groups = neuron_groups(network, cores)
    folding = with_memories(groups, folding, memory)
    check_styles(folding, patchable, family)
    given, whole = folding, [n for n in convs if {"pe", "simd", "tp"} <= set(folding.get(n, {}))]
    if target is not None:
        pass
    elif fps is not None:
        target = int(clock_mhz * 1e6 / fps)
    elif whole:
        target = max(compute_clocks(network, n, **_pace(folding[n])) for n in whole)
    else:
        _, h, w = network.input.shape
        target = 8 * h * w
    folding = _completed(network, groups, given, target, fps, family)
    if fps is None:
        target = max(target, *(compute_clocks(network, n, **_pace(folding[n])) for n in convs))
    rest = family, clock_mhz, axis_width, patchable
    design = plan(network, cores, folding, target, *rest)
    for times in (2, 4, target) if fps is not None and design.interval > target else ():
        # Streams hold it up; more lanes may have wider ones.
        folding = _completed(network, groups, given, target // times, None, family)
        design = min(design, plan(network, cores, folding, target, *rest), key=_interval)
        if design.interval <= target:
            break
    if fps is not None and design.interval > target:
        raise DesignError(
            f"node '{design.bottleneck}': takes {design.interval} clocks an image, {target} are "
            f"left at {fps:g} fps and {clock_mhz:g} MHz; lower the fps or raise the clock"
        )
    return size_buffers(network, with_widths(network, design))


def _interval(design: Design) -> int:
    return design.interval


def _completed(
    network: Network,
    groups: list[list[str]],
    given: dict[str, dict[str, Any]],
    target: int,
    fps: float | None,
    family: str,
) -> dict[str, dict[str, Any]]:
    """``given`` with what it leaves open. DesignError where it, or an engine that it demands,
    cannot be."""
    folding = dict(given)
    for group in groups:
        if not all({"pe", "simd", "tp"} <= set(given.get(name, {})) for name in group):
            folding |= smallest(network, group, target, folding, fps, family)
        _check_pe(group, folding)
        for name in group:
            if why := refusal(network, name, folding[name]):
                raise DesignError(why)
    return folding


def check_folding(network: Network, convs: list[str], folding: dict[str, dict[str, Any]]) -> None:
    """DesignError, naming the node, where a given folding (of any origin) is none: unknown cores
    or keys, values that are not legal. ``convs``: the weighted nodes."""
    for name, entry in folding.items():
        if not isinstance(entry, dict):
            raise DesignError(
                f"folding of '{name}': is not an object with {', '.join(FOLDING_KEYS)}"
            )
        if name not in convs:
            raise DesignError(
                f"folding: there is no core '{name}'; the cores are {', '.join(convs)}"
            )
        if unknown := set(entry) - {*FOLDING_KEYS}:
            raise DesignError(
                f"folding of '{name}': unknown {', '.join(sorted(unknown))}; use "
                f"{', '.join(FOLDING_KEYS)}"
            )
        if entry.get("memory", "rom") not in MEMORIES:
            raise DesignError(f"folding of '{name}': memory {entry['memory']!r} is not rom or ram")
        if engine_of(entry) not in ENGINES:
            raise DesignError(
                f"folding of '{name}': engine {entry['engine']!r} is not one of "
                f"{', '.join(ENGINES)}"
            )
        if entry.get("ram_style", "auto") not in STYLES:
            raise DesignError(
                f"folding of '{name}': ram_style {entry['ram_style']!r} is not one of "
                f"{', '.join(STYLES)}"
            )
        _check_numbers(network, name, entry)
        _check_whole(network, name, entry)
        check_banks(network, name, banks_of(entry))
        check_reads(network, name, entry)


def _check_numbers(network: Network, name: str, entry: dict[str, Any]) -> None:
    legal = legal_folding(network, name)
    for key, values in legal.items():
        value = entry.get(key, values[0])
        if isinstance(value, bool) or not isinstance(value, int) or value not in values:
            whole = type(value) is int and value > 0 and network.shape[name][0] % value == 0
            if key == "pe" and whole and (why := wide_step(network, name, value)):
                raise DesignError(why)
            raise DesignError(
                f"node '{name}': {key} {value!r} is not legal; use one of "
                f"{', '.join(map(str, values))}"
            )


def _check_whole(network: Network, name: str, entry: dict[str, Any]) -> None:
    """DesignError where engine 'constant' is given to a node with too many weights for one row."""
    whole = one_row(network, name) if engine_of(entry) == "constant" else {}
    if whole and (why := refusal(network, name, {"tp": 1} | entry | whole)):
        cause, _, _ = why.partition("; ")
        raise DesignError(
            f"{cause}; engine 'constant' has all weights at work in every clock, so use engine "
            "'compress'"
        )


def _pace(entry: dict[str, Any]) -> dict[str, int]:
    """What decides how fast a core is."""
    return {k: entry[k] for k in ("pe", "simd", "tp")} | {"banks": banks_of(entry)}


def compute_clocks(network: Network, name: str, pe: int, simd: int, tp: int, banks: int = 1) -> int:
    """The compute term of the law, clocks an image."""
    node = network.weighted(name)
    _, oh, ow = network.shape[name]
    visit = visit_clocks(visit_items(network, name, simd, tp), network.steps, banks)
    return oh * ow * (node.out_channels // pe) * visit


def visit_items(network: Network, name: str, simd: int, tp: int) -> int:
    """Clocks of a visit's window words."""
    node = network.weighted(name)
    channels, (kh, kw) = window_of(node, network.shape[node.input])
    return channels * kh * kw // simd * word_clocks(network, name, tp)


def neuron_groups(network: Network, cores: list[CoreNodes]) -> list[list[str]]:
    """Weighted nodes by the neuron they feed, in the order of their main ones."""
    out: dict[str, list[str]] = {}
    for core in cores:
        if core.op == "conv":
            out.setdefault(core.target, []).append(core.name)
    return list(out.values())


def _check_pe(group: list[str], folding: dict[str, dict[str, Any]]) -> None:
    first = folding[group[0]]["pe"]
    for name in group[1:]:
        if folding[name]["pe"] != first:
            raise DesignError(
                f"node '{name}': pe {folding[name]['pe']} differs from the pe {first} of "
                f"'{group[0]}', which feeds the same neuron; give both the same"
            )


def smallest(
    network: Network,
    group: list[str],
    target: int,
    given: dict[str, Any],
    fps: float | None,
    family: str,
) -> dict[str, dict[str, Any]]:
    """The cheapest foldings, of one pe, of the weighted inputs ``group`` of a neuron that are not
    slower than ``target``; else the fastest there are. DesignError, naming a node, where what is
    ``given`` leaves none."""
    legal = {name: legal_choices(network, name, given.get(name, {}), family) for name in group}
    shared = set.intersection(*(set(c["pe"]) for c in legal.values()))
    best: tuple[tuple[bool, int, float], dict[str, dict[str, Any]]] | None = None
    for pe in sorted(shared):
        found = {
            name: _cheapest(network, name, legal[name], pe, target, given.get(name, {}))
            for name in group
        }
        if any(f is None for f in found.values()):
            continue
        keys = [f[0] for f in found.values() if f is not None]
        key = max(k[0] for k in keys), max(k[1] for k in keys), sum(k[2] for k in keys)
        if best is None or key < best[0]:
            best = key, {name: dict(f[1]) for name, f in found.items() if f is not None}
    if best is None:
        raise DesignError(_none_left(network, group, legal, shared, given))
    if best[0][1] and fps is not None:
        raise DesignError(
            f"node '{group[0]}': its fastest folding takes {target + best[0][1]} clocks an image, "
            f"{target} are left at {fps:g} fps; lower the fps or raise the clock"
        )
    for name in group:
        best[1][name]["memory"] = given.get(name, {}).get("memory", "rom")
        best[1][name]["engine"] = engine_of(given.get(name, {}))
        best[1][name]["ram_style"] = given.get(name, {}).get("ram_style", "auto")
        best[1][name]["banks"] = banks_of(given.get(name, {}))
        best[1][name]["reads"] = reads_of(given.get(name, {}))
    return best[1]


def _none_left(
    network: Network,
    group: list[str],
    legal: dict[str, dict[str, list[int]]],
    shared: set[int],
    given: dict[str, Any],
) -> str:
    """Why a neuron's weighted inputs have no folding together."""
    for name in group if shared else ():
        for pick in (min, max):  # words are too wide for the smallest, addresses for the largest
            pe, simd = pick(shared), pick(legal[name]["simd"])
            entry = {"pe": pe, "simd": simd, "tp": min(legal[name]["tp"])}
            if why := refusal(network, name, given.get(name, {}) | entry):
                return why
    return (
        f"node '{group[-1]}': no pe is possible for {', '.join(map(repr, group))} together, which "
        "feed one neuron; give them the same pe, with simd and tp of fewer lanes"
    )


def legal_choices(
    network: Network, name: str, given: dict[str, Any], family: str
) -> dict[str, list[int]]:
    """Legal pe, simd and tp, of the engine, that agree with what is ``given`` of them."""
    legal = legal_folding(network, name)
    legal["tp"] = [n for n in legal["tp"] if word_clocks(network, name, n) >= reads_of(given)]
    legal |= {k: [given[k]] for k in ("pe", "simd", "tp") if k in given}
    legal |= narrow_words(network, name, legal)
    return legal | engine_choices(network, name, engine_of(given), family, legal)


def _cheapest(
    network: Network,
    name: str,
    legal: dict[str, list[int]],
    pe: int,
    target: int,
    given: dict[str, Any],
) -> tuple[tuple[bool, int, float], dict[str, int]] | None:
    """((too many lanes, clocks too many, cost), folding) of one weighted node with this pe."""
    best: tuple[tuple[bool, int, float], dict[str, int]] | None = None
    for simd in legal["simd"]:
        for tp in legal["tp"]:
            entry = {"pe": pe, "simd": simd, "tp": tp}
            clocks = compute_clocks(network, name, **entry, banks=banks_of(given))
            # Lanes cost most; a neuron costs about 20 of them; wide reads cost ports.
            cost = pe * simd * tp + 20 * pe + 2 * pe * simd / 8
            key = pe * simd * tp > MAX_LANES, max(0, clocks - target), cost
            if (best is None or key < best[0]) and not refusal(network, name, given | entry):
                best = key, entry
    return best
