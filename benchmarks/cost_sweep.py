"""The sweep that the cost model is fitted to, the fit, and how far off the model is.

    python benchmarks/cost_sweep.py [--families ecp5,xilinx7]     sweep what is missing, then fit
    python benchmarks/cost_sweep.py --take TABLE.json     first what a sweep counted
    python benchmarks/cost_sweep.py --check [--examples digits,mnist]     errors against yosys

Random chains of layers are synthesised whole and counted module by module
(benchmarks/results/cost_sweep.json); the coefficients are fitted to them
(gen/model/cost_coefficients.json, which `sterna.gen.model.cost` reads). The networks of ``--check``
are others: random single layers, some with other engines, and the examples. An interrupted run goes
on where it was; results of another version of the hardware are made again.
"""

import argparse
import functools
import hashlib
import json
import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, table, work_dir, write_results
from cost_nets import random_design
from cost_parts import by_module
from scipy.optimize import nnls

from sterna.gen.build.folding_file import read_folding
from sterna.gen.design.design import Design
from sterna.gen.design.top_spec import top_spec
from sterna.gen.fold.fold import fold
from sterna.gen.model import cost
from sterna.gen.model.features import top_parts
from sterna.gen.tools.yosys import count, synth
from sterna.gen.verilog.elaborate import elaborate, verilog_text
from sterna.golden.device.fabric import fabric_of
from sterna.golden.files import network_files as files
from sterna.golden.network import Network
from sterna.sweep.task import task_code

RESULTS = ROOT / "benchmarks" / "results" / "cost_sweep.json"
FITTED = 16  # chains of two layers and a classifier, a family
CHECKED = 20  # single layers and a classifier
FIRST_CHECKED = 1000  # their seeds
KINDS = {"constant": (500, 1500), "tables": (600, 1600), "banks": (700, 1700), "reads": (800, 1800)}
"""First seeds, of fit and check, of designs with other engines, with banks of scans, and with
weight words read in pieces."""
EACH = 5  # designs of such a kind, a family, for either


@functools.cache
def hardware_id() -> str:
    """Hash of the sources of the hardware: other hardware, other counts."""
    h = hashlib.sha256()
    for path in sorted((ROOT / "hw").rglob("*.py")):
        h.update(path.relative_to(ROOT).as_posix().encode() + path.read_bytes())
    return h.hexdigest()[:16]


def load_results() -> dict[str, Any]:
    if RESULTS.is_file():
        return json.loads(RESULTS.read_text())
    return {}


def measure(network: Network, design: Design, family: str, folder: Path) -> dict[str, Any]:
    """Counts of a whole design and of its modules, by yosys, which works in ``folder``."""
    verilog = folder / f"{network.name}.v"
    verilog.write_text(verilog_text(elaborate(network, design), network.name))
    found = synth([verilog], network.name, family, folder, json_netlist=True)
    parts = by_module(folder / f"{network.name}_{family}.json", network.name)
    keys = ("logic", "ff", "bram", "lutram", "carry")
    return {
        "total": {k: found[k] for k in keys},
        "parts": {p: {k: count(cells, family)[k] for k in keys} for p, cells in parts.items()},
    }


def get(results: dict[str, Any], name: str, family: str, make, old: bool = False) -> dict[str, Any]:
    """The entry ``name``, measured if it is not there or, unless ``old``, of other hardware."""
    hardware, key = hardware_id(), f"{family} {name}"
    if results.get(key, {}).get("hardware") != hardware and not (old and key in results):
        print(f"{key} ...", file=sys.stderr, flush=True)
        folder = work_dir("cost", family, name.replace(" ", "_"))
        results[key] = {"hardware": hardware, **measure(*make(), family, folder)}
        keep(results)
    return results[key]


def keep(results: dict[str, Any]) -> None:
    """Called after every design: an interrupted sweep goes on. A line a design, or it is large."""
    text = (
        f"{json.dumps(k)}: {json.dumps(v, sort_keys=True, separators=(',', ':'))}"
        for k, v in sorted(results.items())
    )
    RESULTS.write_text("{\n" + ",\n".join(text) + "\n}\n")


def seeded(seed: int, family: str) -> tuple[Network, Design]:
    """The design of a seed: of the sweep, or one of those it is checked with."""
    for engine, firsts in KINDS.items():
        if any(first <= seed < first + EACH for first in firsts):
            return random_design(seed, family, 2, engine=engine)
    if seed < FIRST_CHECKED:
        return random_design(seed, family, 2)
    return random_design(seed, family, 1, 400)


def kind_seeds(family: str, at: int) -> list[int]:
    """Seeds of designs of other kinds, to fit to (``at`` 0) or to check (1)."""
    kinds = [k for k in KINDS if k != "tables" or fabric_of(family).lut_ram]
    return [KINDS[k][at] + n for k in kinds for n in range(EACH)]


def sweep(families: list[str], old: bool) -> dict[str, Any]:
    """Everything measured for the fit, what is missing now; ``old``: of any version."""
    results = load_results()
    for family in families:
        for seed in [*range(FITTED), *kind_seeds(family, 0)]:
            get(results, f"seed {seed}", family, lambda s=seed, f=family: seeded(s, f), old)
    return results


def of_seed(seed: int, family: str) -> dict[str, Any]:
    """A task of ``sterna sweep`` (benchmarks/costs.toml): the counts of a seed's design."""
    with tempfile.TemporaryDirectory() as folder:
        return measure(*seeded(seed, family), family, Path(folder))


def take(path: str) -> None:
    """The counts in the table of a sweep by this very Sterna, among the results."""
    results = load_results()
    rows = [r for j in json.loads(Path(path).read_bytes())["jobs"] for r in j["rows"]]
    for row in rows:
        if row["state"] != "done" or row["code"] != task_code():
            raise SystemExit(f"{path}: {row['family']} seed {row['seed']} is not done, or old")
        counts = {k: row[k] for k in ("total", "parts")}
        results[f"{row['family']} seed {row['seed']}"] = {"hardware": hardware_id(), **counts}
    keep(results)


# --- the fit ----------------------------------------------------------------------------------

#: Modules of a core that are fitted together, because a register between two of them has one name.
GROUPS = {
    "walker": ("walker",),
    "buffer": ("buffer",),
    "dot": ("dot ternary", "dot binary", "dot constant", "dot tables", "assembler"),
    "sums": ("sums", "weights", "params"),
    "scan": ("scan", "readout"),
    "out": ("beats", "words"),
    "turns": ("turns",),
    "banks": ("banks",),
    "gear": ("gear",),
    "pool": ("pool",),
    "merge": ("merge",),
    "fork": ("fork",),
    "wait": ("wait registers", "wait lutram", "wait block"),
    "join": ("join",),
    "control": ("control",),
    "image": ("image",),
    "result": ("result",),
}


def group_of(path: str, pools: set[str]) -> tuple[str, str]:
    """(core, group) of a module's path in the netlist."""
    head, _, rest = path.partition(".")
    for prefix, core, group in (
        ("control", "control", "control"),
        ("image_input", "axis_input", "image"),
        ("result", "axis_output", "result"),
        ("gear_", "", "gear"),
        ("wait_", "", "wait"),
        ("fork_", "", "fork"),
    ):
        if head == prefix or (prefix.endswith("_") and head.startswith(prefix)):
            return core or head.removeprefix(prefix), group
    if not head:
        return "control", "control"
    inside = [re.sub(r"^(scan|out)_\d+$", r"\1", name) for name in rest.split(".")]  # of banks
    inside = ["dot" if name == "assembler" else name for name in inside]
    for word in ("walker", "buffer", "dot", "scan", "turns", "out", "banks"):
        if word in inside:
            return head, word
    if rest.startswith(("sums_", "shortcut_")):
        return head, "join"
    return head, "pool" if head in pools else "sums"


def rows_of(network: Network, design: Design, family: str, parts: dict[str, Any]):
    """(group, features by 'kind feature', counts) of every core and group of a design."""
    pools = {c.name for c in design.cores if c.op == "pool"}
    merges = {c.name for c in design.cores if c.op == "merge"}
    found: dict[tuple[str, str], dict[str, float]] = {}
    for path, cells in parts.items():
        core, group = group_of(path, pools)
        group = "merge" if core in merges and group == "sums" else group
        at = found.setdefault((core, group), {"logic": 0, "ff": 0})
        for resource in at:
            at[resource] += cells[resource]
    of_kind = {kind: group for group, kinds in GROUPS.items() for kind in kinds}
    features: dict[tuple[str, str], dict[str, float]] = {}
    for part in top_parts(top_spec(network, design), family):
        key = part.core, of_kind[part.kind]
        at = features.setdefault(key, {})
        for name, value in part.counts.items():
            if value:
                at[f"{part.kind}/{name}"] = at.get(f"{part.kind}/{name}", 0) + float(value)
    for key, counts in features.items():
        yield key[1], counts, found.get(key, {"logic": 0, "ff": 0})


def fit(results: dict[str, Any], family: str) -> dict[str, Any]:
    """Non-negative coefficients that fit the sweep, resource -> kind -> feature."""
    rows: dict[str, list[tuple[dict[str, float], dict[str, float]]]] = {}
    for seed in [*range(FITTED), *kind_seeds(family, 0)]:
        entry = results.get(f"{family} seed {seed}")
        if entry is None:
            continue
        for group, counts, found in rows_of(*seeded(seed, family), family, entry["parts"]):
            rows.setdefault(group, []).append((counts, found))
    out: dict[str, Any] = {"logic": {}, "ff": {}}
    for members in rows.values():
        names = sorted({name for counts, _ in members for name in counts})
        counted = np.array([[c.get(name, 0.0) for name in names] for c, _ in members])
        for resource in out:
            y = np.array([found[resource] for _, found in members], float)
            # Relative errors, but for the smallest; a little pull towards small coefficients.
            weight = 1 / (y + 0.3 * y.mean() + 5)
            scale = np.abs(counted).max(0)
            pull = 0.03 / (y.mean() + 1) * np.eye(len(names))
            a = np.vstack([counted / scale * weight[:, None], pull])
            values, _ = nnls(a, np.concatenate([y * weight, np.zeros(len(names))]))
            for name, value in zip(names, values / scale, strict=True):
                kind, feature = name.split("/")
                out[resource].setdefault(kind, {})[feature] = float(value)
    _level(out, results, family)
    return out


def _level(table: dict[str, Any], results: dict[str, Any], family: str) -> None:
    """Scale all coefficients so that half of the sweep's designs are above their estimate: relative
    errors of the parts pull the sum down."""
    ratios: dict[str, list[float]] = {resource: [] for resource in table}
    for seed in range(FITTED):
        entry = results.get(f"{family} seed {seed}")
        if entry is None:
            continue
        network, design = seeded(seed, family)
        parts = top_parts(top_spec(network, design), family)
        for resource, kinds in table.items():
            total = sum(
                kinds.get(p.kind, {}).get(name, 0.0) * value
                for p in parts
                for name, value in p.counts.items()
            )
            ratios[resource].append(entry["total"][resource] / total)
    for resource, kinds in table.items():
        scale = statistics.median(ratios[resource])
        for features in kinds.values():
            for name, value in features.items():
                features[name] = float(f"{value * scale:.4g}")


# --- how far off ------------------------------------------------------------------------------


def example(name: str, family: str) -> tuple[Network, Design]:
    """An example with its own folding, else the solver's default."""
    folder = ROOT / "examples" / name
    network = files.load(folder)
    settings: dict[str, Any] = {}
    if (folder / "folding.json").is_file():
        settings = read_folding(folder / "folding.json")
    return network, fold(network, **(settings | {"family": family}))


def compare(key: str, entry: dict[str, Any], network: Network, design: Design, family: str):
    """One row of the check: measured, estimated and relative errors."""
    guess = cost.estimate(network, design, family).total
    row: dict[str, Any] = {"network": key, "family": family}
    for k in ("logic", "ff", "lutram", "bram"):
        measured, guessed = entry["total"][k], getattr(guess, k)
        row[k] = [measured, round(guessed, 1)]
        row[f"{k}_error"] = (guessed - measured) / measured if measured else float(guessed != 0)
    return row


def check(families: list[str], examples: list[str], old: bool, there: bool) -> dict[str, Any]:
    """Errors on networks that are not in the fit; ``there``: on those measured already."""
    results, rows = load_results(), []
    for family in families:
        names = [(f"example {n}", lambda n=n, f=family: example(n, f)) for n in examples]
        seeds = [*range(FIRST_CHECKED, FIRST_CHECKED + CHECKED), *kind_seeds(family, 1)]
        names += [(f"seed {s}", lambda s=s, f=family: seeded(s, f)) for s in seeds]
        for name, make in names:
            if there and f"{family} {name}" not in results:
                continue
            entry = get(results, name, family, make, old)
            rows.append(compare(name, entry, *make(), family))
    summary = []
    for family in families:
        mine = [r for r in rows if r["family"] == family]
        for what in ("examples", "random layers", *(f"layers of {e}" for e in KINDS)):
            some = [r for r in mine if what_of(r["network"]) == what]
            if not some:
                continue
            line: dict[str, Any] = {"family": family, "networks": what, "count": len(some)}
            for k in ("logic", "ff", "lutram"):
                errors = [abs(r[f"{k}_error"]) for r in some]
                line[k] = [round(statistics.median(errors), 4), round(max(errors), 4)]
            line["bram_exact"] = sum(r["bram"][0] == r["bram"][1] for r in some)
            summary.append(line)
    return {"rows": rows, "summary": summary}


def what_of(name: str) -> str:
    """Which networks of the check one belongs to."""
    kind, _, number = name.partition(" ")
    if kind == "example":
        return "examples"
    kinds = [k for k, (_, first) in KINDS.items() if first <= int(number) < first + EACH]
    return f"layers of {kinds[0]}" if kinds else "random layers"


def show(found: dict[str, Any]) -> str:
    """Both tables."""
    lines: list[list[Any]] = [
        [
            "family",
            "network",
            "logic",
            "estimate",
            "",
            "FF",
            "estimate",
            "",
            "LUT RAM",
            "estimate",
            "BRAM",
            "estimate",
        ]
    ]
    for r in found["rows"]:
        lines.append(
            [
                r["family"],
                r["network"],
                r["logic"][0],
                round(r["logic"][1]),
                f"{r['logic_error']:+.1%}",
                r["ff"][0],
                round(r["ff"][1]),
                f"{r['ff_error']:+.1%}",
                r["lutram"][0],
                round(r["lutram"][1]),
                r["bram"][0],
                r["bram"][1],
            ]
        )
    heads = [
        "family",
        "networks",
        "count",
        "logic median",
        "worst",
        "FF median",
        "worst",
        "LUT RAM median",
        "worst",
        "BRAM exact",
    ]
    short: list[list[Any]] = [heads]
    for s in found["summary"]:
        numbers = [f"{v:.1%}" for k in ("logic", "ff", "lutram") for v in s[k]]
        short.append(
            [s["family"], s["networks"], s["count"], *numbers, f"{s['bram_exact']} of {s['count']}"]
        )
    return f"{table(lines)}\n\n{table(short)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", default="ecp5,xilinx7")
    parser.add_argument("--check", action="store_true", help="errors on networks not in the fit")
    parser.add_argument(
        "--examples",
        default="digits,peer_conv8,mnist",
        help="of --check, names with commas between, or nothing",
    )
    parser.add_argument("--refit", action="store_true", help="fit to what is there")
    parser.add_argument(
        "--old", action="store_true", help="results of an earlier version of the hardware will do"
    )
    parser.add_argument(
        "--there", action="store_true", help="of --check: only what has been measured already"
    )
    parser.add_argument("--take", metavar="TABLE.json", help="of a sweep, before anything else")
    args = parser.parse_args()
    if args.take:
        take(args.take)
    families = args.families.split(",")
    if args.check:
        found = check(families, [n for n in args.examples.split(",") if n], args.old, args.there)
        write_results("cost_check", found)
        print(show(found))
        return
    results = load_results() if args.refit else sweep(families, args.old)
    body = json.loads(cost.COEFFICIENTS.read_text()) if cost.COEFFICIENTS.is_file() else {}
    known = body.get("families", {}) | {family: fit(results, family) for family in families}
    text = json.dumps({"hardware": hardware_id(), "families": known}, indent=1, sort_keys=True)
    cost.COEFFICIENTS.write_text(text + "\n")
    print(f"{cost.COEFFICIENTS}: fitted for {', '.join(families)}")


if __name__ == "__main__":
    main()
