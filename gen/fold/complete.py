"""Completion: PE, SIMD and TP of every core that are not given."""

from math import prod

from sterna.gen.design.engines import engine_choices
from sterna.gen.design.folding import Folding, Foldings, Given, refusal
from sterna.gen.design.graph import CoreNodes, neuron_of, pool_of
from sterna.gen.design.legal import MAX_LANES, legal_folding, narrow_words, word_clocks
from sterna.golden.errors import DesignError
from sterna.golden.network import Network
from sterna.hw.core.law import early_clocks, last_clocks, visit_clocks

__all__ = [
    "completed",
    "compute_clocks",
    "legal_choices",
    "neuron_groups",
    "smallest",
    "visit_items",
]


def completed(
    network: Network,
    groups: list[list[str]],
    given: dict[str, Given],
    target: int,
    fps: float | None,
    family: str,
) -> Foldings:
    """``given`` with what it leaves open. DesignError where it, or an engine that it demands,
    cannot be."""
    out: Foldings = {}
    for group in groups:
        if all(given[name].whole for name in group):
            out |= {name: given[name].complete() for name in group}
        else:
            out |= smallest(network, group, target, given, fps, family)
        _check_pe(group, out)
        for name in group:
            if why := refusal(network, name, out[name]):
                raise DesignError(why)
    return out


def compute_clocks(network: Network, name: str, folding: Folding) -> int:
    """The compute term of the law, clocks an image."""
    node = network.weighted(name)
    _, oh, ow = network.shape[neuron_of(network, name).name]
    items = visit_items(network, name, folding.simd, folding.tp)
    groups = node.out_channels // folding.pe
    if folding.nest == "arrival":
        word = word_clocks(network, name, folding.tp)
        last = last_clocks(items // word, word, network.steps, folding.banks, folding.pe)
        return early_clocks(items // word, groups, word) + groups * last
    visit = visit_clocks(items, network.steps, folding.banks)
    return oh * ow * groups * visit


def visit_items(network: Network, name: str, simd: int, tp: int) -> int:
    """Clocks of a visit's window words, at all positions of a pool of sums."""
    node, pool = network.weighted(name), pool_of(network, name)
    channels, (kh, kw) = node.window
    positions = 1 if pool is None else prod(pool.kernel)
    return positions * (channels * kh * kw // simd) * word_clocks(network, name, tp)


def neuron_groups(network: Network, cores: list[CoreNodes]) -> list[list[str]]:
    """Weighted nodes by the neuron they feed, in the order of their main ones."""
    out: dict[str, list[str]] = {}
    for core in cores:
        if core.op == "conv":
            out.setdefault(core.target, []).append(core.name)
    return list(out.values())


def _check_pe(group: list[str], foldings: Foldings) -> None:
    first = foldings[group[0]].pe
    for name in group[1:]:
        if foldings[name].pe != first:
            raise DesignError(
                f"node '{name}': pe {foldings[name].pe} differs from the pe {first} of "
                f"'{group[0]}', which feeds the same neuron; give both the same"
            )


def smallest(
    network: Network,
    group: list[str],
    target: int,
    given: dict[str, Given],
    fps: float | None,
    family: str,
) -> Foldings:
    """The cheapest foldings, of one pe, of the weighted inputs ``group`` of a neuron that are not
    slower than ``target``; else the fastest there are. DesignError, naming a node, where what is
    ``given`` leaves none."""
    legal = {name: legal_choices(network, name, given[name], family) for name in group}
    shared = set.intersection(*(set(c["pe"]) for c in legal.values()))
    best: tuple[tuple[bool, int, float], Foldings] | None = None
    for pe in sorted(shared):
        found = {
            name: _cheapest(network, name, legal[name], pe, target, given[name]) for name in group
        }
        if any(f is None for f in found.values()):
            continue
        keys = [f[0] for f in found.values() if f is not None]
        key = max(k[0] for k in keys), max(k[1] for k in keys), sum(k[2] for k in keys)
        if best is None or key < best[0]:
            best = key, {name: f[1] for name, f in found.items() if f is not None}
    if best is None:
        raise DesignError(_none_left(network, group, legal, shared, given))
    if best[0][1] and fps is not None:
        raise DesignError(
            f"node '{group[0]}': its fastest folding takes {target + best[0][1]} clocks an image, "
            f"{target} are left at {fps:g} fps; lower the fps or raise the clock"
        )
    return best[1]


def _none_left(
    network: Network,
    group: list[str],
    legal: dict[str, dict[str, list[int]]],
    shared: set[int],
    given: dict[str, Given],
) -> str:
    """Why a neuron's weighted inputs have no folding together."""
    for name in group if shared else ():
        for pick in (min, max):  # words are too wide for the smallest, addresses for the largest
            pe, simd, tp = pick(shared), pick(legal[name]["simd"]), min(legal[name]["tp"])
            if why := refusal(network, name, given[name].complete(pe=pe, simd=simd, tp=tp)):
                return why
    return (
        f"node '{group[-1]}': no pe is possible for {', '.join(map(repr, group))} together, which "
        "feed one neuron; give them the same pe, with simd and tp of fewer lanes"
    )


def legal_choices(network: Network, name: str, given: Given, family: str) -> dict[str, list[int]]:
    """Legal pe, simd and tp, of the engine, that agree with what is ``given`` of them."""
    legal = legal_folding(network, name)
    legal["tp"] = [n for n in legal["tp"] if word_clocks(network, name, n) >= given.reads]
    legal |= {k: [getattr(given, k)] for k in legal if k in given.said}
    legal |= narrow_words(network, name, legal)
    return legal | engine_choices(network, name, given.engine, family, legal)


def _cheapest(
    network: Network,
    name: str,
    legal: dict[str, list[int]],
    pe: int,
    target: int,
    given: Given,
) -> tuple[tuple[bool, int, float], Folding] | None:
    """((too many lanes, clocks too many, cost), folding) of one weighted node with this pe."""
    best: tuple[tuple[bool, int, float], Folding] | None = None
    for simd in legal["simd"]:
        for tp in legal["tp"]:
            folding = given.complete(pe=pe, simd=simd, tp=tp)
            clocks = compute_clocks(network, name, folding)
            # Lanes cost most; a neuron costs about 20 of them; wide reads cost ports.
            cost = pe * simd * tp + 20 * pe + 2 * pe * simd / 8
            key = pe * simd * tp > MAX_LANES, max(0, clocks - target), cost
            if (best is None or key < best[0]) and not refusal(network, name, folding):
                best = key, folding
    return best
