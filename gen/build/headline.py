"""The few figures that stand first: each with where it comes from, None where nothing says it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sterna.gen.build.resources import KEYS
from sterna.golden.words.shares import wilson

__all__ = ["headline"]

ENGINES = ("sim_batch", "sim_cocotb", "sim_netlist")
"""Measurements of the Verilog, the one of most images first."""


def headline(answer: Mapping[str, Any]) -> dict[str, Any]:
    """``accuracy``, ``exact``, ``rate``, ``latency``, ``luts``, ``ff``, ``bram``, ``fmax`` and
    ``work`` of a report that has all else. ``how`` of a figure: counted, estimated, simulated,
    synthesised or placed; ``by``: what says it."""
    measured, placed = answer["measured"], answer["placed"]
    sim = next((n for n in ENGINES if n in measured), None)
    clock = placed["clock_mhz"] if placed is not None else answer["clock_mhz"]
    at = {"clock_mhz": clock, "clock_how": "placed" if placed is not None else "assumed"}
    return {
        "accuracy": _accuracy(measured, sim),
        "exact": _exact(measured, sim),
        "rate": _rate(answer, measured.get(sim or "", {}), sim, at),
        "latency": _latency(answer, measured.get(sim or "", {}), sim, at),
        **{key: _resource(answer["resources"], key) for key in KEYS},
        "fmax": None
        if placed is None
        else {"mhz": placed["fmax_mhz"]["sync"], "how": "placed", "by": "nextpnr"},
        "work": _work(measured.get("eval", {}).get("counted")),
    }


def _accuracy(measured: Mapping[str, Mapping[str, Any]], sim: str | None) -> dict[str, Any] | None:
    by = "eval" if "eval" in measured else sim
    found = measured.get(by or "", {})
    if found.get("accuracy") is None:
        return None
    low, high = wilson(found["accuracy"], found["images"])
    of = {"data": found.get("data"), "split": found.get("split"), "images": found["images"]}
    right = round(found["accuracy"] * found["images"])
    return {"value": found["accuracy"], "right": right, "low": low, "high": high, "by": by, **of}


def _exact(measured: Mapping[str, Mapping[str, Any]], sim: str | None) -> dict[str, Any] | None:
    if sim is None:
        return None
    wanted = ("images", "spikes_compared", "logits_compared", "mismatches", "engine")
    return {k: measured[sim].get(k) for k in wanted} | {"by": sim}


def _rate(
    answer: Mapping[str, Any], found: Mapping[str, Any], sim: str | None, at: dict[str, Any]
) -> dict[str, Any]:
    if found.get("clocks_per_image"):
        clocks, how, by = found["clocks_per_image"], "simulated", sim
    else:
        modelled = answer["modelled_clocks_per_image"] or 0
        law = answer["clocks_per_image"]
        clocks, how, by = (law, "counted", "the law")
        if modelled > law:
            clocks, how, by = modelled, "estimated", "the model of streams"
    fps = at["clock_mhz"] * 1e6 / clocks
    return {"images_per_second": fps, "clocks": clocks, "how": how, "by": by, **at}


def _latency(
    answer: Mapping[str, Any], found: Mapping[str, Any], sim: str | None, at: dict[str, Any]
) -> dict[str, Any] | None:
    clocks, how, by = answer["latency_clocks"], "estimated", "the model of streams"
    if found.get("latency_clocks"):
        clocks, how, by = found["latency_clocks"], "simulated", sim
    if clocks is None:
        return None
    microseconds = clocks / at["clock_mhz"]
    return {"microseconds": microseconds, "clocks": clocks, "how": how, "by": by, **at}


def _resource(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, Any] | None:
    """The surest that says it of the device, else the surest."""
    known = [r for r in rows if r[key] is not None]
    row = next((r for r in reversed(known) if r["shares"]), known[-1] if known else None)
    if row is None:
        return None
    share = row["shares"][key] if row["shares"] else None
    return {"used": row[key], "share": share} | {k: row[k] for k in ("how", "by", "family")}


def _work(counted: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if counted is None:
        return None
    operations = counted["synaptic_operations"]
    return {
        "images": counted["images"],
        "spikes": counted["spikes"],
        "synaptic_operations": operations["effective_acs"] + operations["effective_macs"],
        "dense": operations["dense"],
        "activation_sparsity": counted["activation_sparsity"],
        "packed_bytes": counted["footprint"]["packed_bytes"],
        "by": "eval",
    }
