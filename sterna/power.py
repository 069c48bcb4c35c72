"""`power`: what a design's nets do on images, counted, and what may be said of its energy."""

import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np

from sterna.evaluation import counted_run
from sterna.gen.build.folder import Build
from sterna.gen.build.measurements import keep_measurement, measurements
from sterna.gen.build.stages import ensure
from sterna.gen.build.tables import rows_text
from sterna.gen.device.boards import Chip, chip_of
from sterna.gen.device.family import RESOURCES, TARGETS, family_of
from sterna.gen.power.currents import CURRENTS
from sterna.gen.power.reading import NO_RATE, check_reading, reading
from sterna.gen.power.simulated import OF
from sterna.gen.power.speed import Speed, speed
from sterna.gen.power.vivado import Simulated, scripts
from sterna.gen.tools.programs import find
from sterna.gen.tools.progress import Progress, progress_of
from sterna.golden.errors import UsageError
from sterna.golden.result import compare
from sterna.golden.words import values
from sterna.golden.words.given import images_of
from sterna.golden.words.names import not_one_of, show
from sterna.sim.batch import SimulationError
from sterna.sim.power.activity import FOLDER, PATH, Activity, Part, Recorded, record

__all__ = ["meter_of", "power", "power_of", "power_text", "read_meter"]

NAME = "power"
"""Of the measurement."""
NO_CURRENTS = (
    "no public currents of {what} are known, so no figure; give the vendor's calculator what "
    "stands below"
)


def power(
    build: Build,
    images: np.ndarray,
    of: str,
    target: str,
    where: Chip | None,
    progress: Progress,
) -> dict[str, Any]:
    """Simulate a build on images and count; the answer is kept in it as the measurement 'power'.

    Args:
        build: with its Verilog.
        images: as `sterna.run` takes them.
        of: 'rtl', or 'netlist' for ``target``.
        where: the board, or None.

    Returns:
        what docs/power.md says; every group has its ``label``.

    Raises: SimulationError (also where a logit is not golden's), ToolMissing, ToolFailed.
    """
    at = speed(build, target, where)
    progress.expect(2)
    with progress.step("golden model, and what it counts"):
        golden, counts = counted_run(build.network, images)
    with progress.step(f"toggles of the {of} in {len(golden.classes)} images"):
        found = record(build, images, of, target, at.clock_mhz)
    if (other := compare(golden, found.result, (), ("golden", f"the {of}"))) is not None:
        own = shlex.quote(str(build.folder))
        raise SimulationError(f"{other}; find out where: sterna compare {own}")
    cores = [core.name for core in build.design.cores]
    activity = Activity.of(found, target, cores)
    rate = _rate(build, at, found)
    answer = {
        "run": {
            "label": "counted",
            "of": of,
            "target": target,
            "board": None if where is None else where.name,
            "images": found.images,
            "clocks": found.clocks,
            "clock_mhz": at.clock_mhz,
            "clock_from": at.clock_from,
            "saif": f"{FOLDER}/{found.saif.name}",
            "scope": "/".join(PATH),
        },
        "activity": _activity(activity, found, cores),
        "operations": {"label": "counted", **counts.as_dict()["synaptic_operations"]},
        "rate": rate,
        "resources": None
        if at.resources is None
        else {"label": at.resources_label, "from": at.resources_from, **at.resources},
        "energy": _energy(target, where, at, rate["images_per_second"]),
        "calculator": _calculator(activity, found, at),
        "vivado": _vivado(build, of, where, at, found, rate["images_per_second"]),
    }
    return _keep(build, answer)


def power_of(
    build: Build, images: Any, board: Any, of: Any, target: Any, progress: Progress | None
) -> dict[str, Any]:
    """`power` of a build as a library is asked for it, its missing stages run. UsageError where an
    argument is none, DesignError where the board is of another family."""
    where = _board(board)
    if not isinstance(of, str) or of not in OF:
        raise UsageError(f"power: of {not_one_of(of, OF)}")
    if target is not None and (not isinstance(target, str) or target not in TARGETS):
        raise UsageError(f"power: target {not_one_of(target, TARGETS)}")
    if where is not None and target not in (None, where.family):
        raise UsageError(
            f"power: board {where.name} is {where.family}, not {target}; leave one out"
        )
    images, _ = images_of(images)
    for name in OF[of]:
        find(name)
    progress = progress_of(progress)
    built = ensure(build, "verilog", None, progress=progress)
    if where is not None:
        where.check_takes(built.design.family)
    target = target or family_of((where or built.design).family).target
    return power(built, images, of, target, where, progress)


def meter_of(
    build: Build, mw: Any, idle_mw: Any, images_per_second: Any, board: Any
) -> dict[str, Any]:
    """`read_meter` as a library is asked for it. UsageError where an argument is none."""
    mw = _above_0("mw", mw)
    if idle_mw is not None:
        idle_mw = 0.0 if values.real(idle_mw) == 0 else _above_0("idle_mw", idle_mw, " or 0")
    rate = None if images_per_second is None else _above_0("images_per_second", images_per_second)
    check_reading(mw, idle_mw)
    where = _board(board)
    return read_meter(ensure(build, "verilog", None), mw, idle_mw, rate, where)


def _above_0(name: str, value: Any, more: str = "") -> float:
    refusal = f"read_meter: {name} {show(value)} must be a number above 0{more}"
    return values.number(refusal, value, True, UsageError)


def _board(name: Any) -> Chip | None:
    if name is not None and not isinstance(name, str):
        raise UsageError(f"board {show(name)} must be a name")
    return None if name is None else chip_of(name)


def read_meter(
    build: Build, mw: float, idle_mw: float | None, rate: float | None, where: Chip | None
) -> dict[str, Any]:
    """What a user read from a meter, as energy an image; kept in the build beside what `power` has
    counted.

    Args:
        mw, idle_mw: of the rails that were read, busy and with nothing to compute.
        rate: images a second meanwhile, None for what the placed design of ``where`` makes.

    Raises: UsageError: no rate is known, or idle is more than busy.
    """
    come, how = "measured by the user", "measured"
    if rate is None:
        at = None
        if where is not None:
            at = speed(build, family_of(where.family).target, where)
        if at is None or not at.placed:
            raise UsageError(NO_RATE)
        clocks = build.design.modelled_interval or build.design.interval
        rate = at.clock_mhz * 1e6 / clocks
        come = f"{clocks} clocks, counted, at {at.clock_mhz:.3f} MHz, placed"
        how = "measured power, counted rate"
    found = {"label": how, "by": "the user", **reading(mw, idle_mw, rate, come)}
    return _keep(build, {"measured": found | {"board": None if where is None else where.name}})


def _keep(build: Build, answer: dict[str, Any]) -> dict[str, Any]:
    """The answer, with what stood there before of this design and these weights and is not new."""
    whole = measurements(build).get(NAME, {}) | answer
    keep_measurement(build, NAME, whole)
    return whole


def _rate(build: Build, at: Speed, found: Recorded) -> dict[str, Any]:
    """Images a second: clocks of the simulation where they are settled, else of the model."""
    clocks = found.interval or build.design.modelled_interval or build.design.interval
    return {
        "label": "estimated",
        "clocks_per_image": clocks,
        "clocks_from": "the simulation" if found.interval else "the model of streams",
        "clock": "placed" if at.placed else "assumed",
        "images_per_second": at.clock_mhz * 1e6 / clocks,
    }


def _share(part: Part, clocks: int) -> float:
    return part.toggles / (part.bits * clocks) if part.bits else 0.0


def _rows(parts: tuple[Part, ...], found: Recorded) -> list[dict[str, Any]]:
    return [
        {
            "name": p.name,
            "bits": p.bits,
            "toggles_per_clock_and_bit": _share(p, found.clocks),
            "toggles_per_image": p.toggles / found.images,
        }
        for p in parts
    ]


def _activity(activity: Activity, found: Recorded, cores: list[str]) -> dict[str, Any]:
    whole = activity.whole
    return {
        "label": "counted",
        "lower_bound": True,  # no delays, so no glitches
        "toggles_per_clock_and_bit": _share(whole, found.clocks),
        "bits": whole.bits,
        "parts": [r | {"core": r["name"] in cores} for r in _rows(activity.parts, found)],
        "cells": _rows(activity.cells, found),
    }


def _energy(target: str, where: Chip | None, at: Speed, rate: float) -> dict[str, Any]:
    """Bounds where somebody measured the device, else why there are none."""
    known = CURRENTS.get(where.device) if where is not None else None
    if known is not None and at.cells is not None:
        found = known.power(at.clock_mhz, at.cells, at.pll, rate)
        return {"label": "estimated", "device": where.part if where else None, **found}
    if where is None:
        why = "no board, no device: no figure; give --board"
    elif family_of(where.family).nextpnr is None:
        why = "Vivado says it, by the script"
    elif known is None:
        why = NO_CURRENTS.format(what=f"the {where.part}")
    else:
        why = f"its size is not known; run: sterna synth BUILD --target {target}"
    return {"label": "none", "why": why}


def _calculator(activity: Activity, found: Recorded, at: Speed) -> dict[str, Any]:
    """What a vendor's calculator asks for beside the size: the activity factor in percent of
    clocks."""
    kinds = {p.name: 100 * _share(p, found.clocks) for p in activity.cells}
    return {
        "label": "counted",
        "clock_mhz": at.clock_mhz,
        "activity_percent": 100 * _share(activity.whole, found.clocks),
        "activity_percent_of": kinds,
    }


def _vivado(
    build: Build, of: str, where: Chip | None, at: Speed, found: Recorded, rate: float
) -> dict[str, Any] | None:
    """Write the script, of a board whose vendor's tool is Vivado."""
    if where is None or family_of(where.family).nextpnr is not None:
        return None
    netlist = of != "rtl"
    verilog = f"{found.saif.stem}.v" if netlist else f"../{build.verilog.name}"
    sim = Simulated(verilog, netlist, found.saif.name, PATH, found.images, found.clocks)
    texts = scripts(build.name, where.part, at.clock_mhz, rate, sim)
    with build.held(FOLDER):
        build.workshop(FOLDER)
        for name, text in texts.items():
            build.write(f"{FOLDER}/{name}", text)
    name = next(iter(texts))
    run = f"cd {shlex.quote(str(build.folder / FOLDER))} && vivado -mode batch -source {name}"
    return {"label": "estimated", "script": f"{FOLDER}/{name}", "part": where.part, "run": run}


# --- for people -------------------------------------------------------------------------------


def power_text(answer: Mapping[str, Any]) -> str:
    """The answer of `power` or `read_meter` as tables and sentences."""
    lines: list[str] = []
    if "run" in answer:
        lines += _counted_text(answer)
    if "measured" in answer:
        lines += _measured_text(answer["measured"])
    return "\n".join(lines)


def _counted_text(answer: Mapping[str, Any]) -> list[str]:
    run, activity, rate = answer["run"], answer["activity"], answer["rate"]
    kind = "RTL" if run["of"] == "rtl" else f"yosys netlist for {run['target']}"
    rows = [
        (p["name"] or "(none)", p["bits"], *_activity_cells(p), "core" if p["core"] else "")
        for p in activity["parts"]
    ]
    rows.append(("all", activity["bits"], *_activity_cells(activity | _total(activity)), ""))
    lines = [
        f"{run['saif']}: {run['images']} images in {run['clocks']} clocks of the {kind}, "
        f"{run['clock_mhz']:.6g} MHz ({run['clock_from']})",
        "",
        "counted: toggles, without delays and so without glitches: a lower bound",
        rows_text(("part", "bits", "a clock and bit", "an image", ""), rows),
    ]
    if activity["cells"]:
        cells = [(c["name"], c["bits"], *_activity_cells(c)) for c in activity["cells"]]
        lines += ["", rows_text(("driven by", "bits", "a clock and bit", "an image"), cells)]
    operations = answer["operations"]
    lines += [
        "",
        f"counted: {operations['effective_acs']:.1f} Eff_ACs and "
        f"{operations['effective_macs']:.1f} Eff_MACs of {operations['dense']} synaptic operations "
        "an image (docs/counted.md)",
        f"estimated: {rate['images_per_second']:.6g} images a second, "
        f"{rate['clocks_per_image']:.6g} clocks each by {rate['clocks_from']}, at the "
        f"{rate['clock']} clock",
    ]
    lines += _energy_text(answer["energy"])
    if answer["vivado"] is not None:
        lines.append(f"by Vivado (untried here): {answer['vivado']['run']}")
    return [*lines, *_calculator_text(answer)]


def _total(activity: Mapping[str, Any]) -> dict[str, Any]:
    return {"toggles_per_image": sum(p["toggles_per_image"] for p in activity["parts"])}


def _activity_cells(of: Mapping[str, Any]) -> tuple[str, str]:
    return f"{of['toggles_per_clock_and_bit']:.4f}", f"{of['toggles_per_image']:.0f}"


def _energy_text(energy: Mapping[str, Any]) -> list[str]:
    if energy["label"] == "none":
        return [f"energy: {energy['why']}"]
    terms = ", ".join(
        f"{name} {low:.3g}" + (f" to {high:.3g}" if high > low else "")
        for name, (low, high) in energy["terms"].items()
    )
    return [
        f"estimated: {energy['low_mw']:.3g} to {energy['high_mw']:.3g} mW, {energy['low_mj']:.3g} "
        f"to {energy['high_mj']:.3g} mJ an image, on {energy['device']} (mW: {terms})",
        f"  by {energy['source']}",
        f"  left out: {energy['left_out']}",
    ]


def _calculator_text(answer: Mapping[str, Any]) -> list[str]:
    given, resources = answer["calculator"], answer["resources"]
    activity = f"activity factor {given['activity_percent']:.2f}%"
    if given["activity_percent_of"]:
        each = ", ".join(f"{k} {v:.2f}%" for k, v in given["activity_percent_of"].items())
        activity += f" ({each})"
    size = "size unknown: sterna synth"
    if resources is not None:
        counts = [f"{resources[k]:g} {word}" for k, word in RESOURCES.items() if k in resources]
        size = f"{', '.join(counts)} ({resources['label']} by {resources['from']})"
    return [f"for a calculator: clock {given['clock_mhz']:.6g} MHz, {activity}, {size}"]


def _measured_text(found: Mapping[str, Any]) -> list[str]:
    above = found["above_idle_mj_per_image"]
    more = "" if above is None else f", {above:.4g} mJ of it above {found['idle_mw']:g} mW idle"
    return [
        f"measured by the user: {found['mw']:g} mW at {found['images_per_second']:.6g} images a "
        f"second ({found['rate_from']}): {found['mj_per_image']:.4g} mJ an image{more}, "
        f"{found['images_per_second_per_watt']:.5g} images a second and watt"
    ]
