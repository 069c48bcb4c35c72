"""The table of training methods: every row from its recipe to the simulated Verilog.

    python benchmarks/training.py NAME ... [--runs runs] [--images 1000] [--write]
    python benchmarks/training.py --list

For each row and each of its seeds: ``sterna train`` (goes on where it stopped), ``quantize``,
``build`` and ``sim`` on test images, every spike compared with golden. A row lands in
``benchmarks/results/training.json``; ``--write`` puts the table of all rows into docs/results.md.
Accuracy is of the whole test part; intervals are Wilson's 95%.
"""

import argparse
import json
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import ROOT, write_results

from sterna.golden.words.shares import wilson

RESULTS = ROOT / "benchmarks" / "results" / "training.json"
DOCS = ROOT / "docs" / "results.md"
START, END = "<!-- table: benchmarks/training.py -->", "<!-- end of table -->"
STERNA = (sys.executable, "-m", "sterna.cli")
SMALL_SAMPLE = 1000  # images, up to which a figure never stands without its interval
SPIKES_OVER = 1000  # test images over which spikes are counted


@dataclass(frozen=True)
class Row:
    """A recipe under examples/, what the table calls it, the seeds it is run with, and for which
    rate (images/s at 100 MHz) it is folded; 0: as fast as its image is read."""

    recipe: str
    method: str
    seeds: tuple[int, ...] = (1,)
    fps: int = 0


ROWS = {
    "mnist_binary_wide": Row("mnist_binary_wide", "NQ, tuned", fps=5000),
    "fashion": Row("fashion", "surrogate gradient", fps=2000),
    "fashion_binary": Row("fashion_binary", "NQ, tuned; warm start from `fashion`", fps=2000),
    "fashion_binary_wide": Row("fashion_binary_wide", "QCFS, tuned", fps=2000),
    "cifar10": Row("cifar10", "QCFS, tuned", fps=1000),
    "resnet20": Row("resnet20", "QCFS, tuned; residual blocks", fps=2700),
    "nmnist": Row("nmnist", "surrogate gradient"),
    "ttfs": Row("ttfs", "STiDi-BP, exact rule"),
    "ttfs_wide": Row("ttfs_wide", "STiDi-BP, exact rule", fps=2000),
    "ttfs_local": Row("ttfs/local.toml", "STiDi-BP, local rule"),
    "ttfs_real": Row("ttfs/real.toml", "STiDi-BP, exact rule"),
    "ttfs_fashion": Row("ttfs_fashion", "STiDi-BP, exact rule"),
    "ttfs_fashion_wide": Row("ttfs_fashion_wide", "STiDi-BP, exact rule", fps=2000),
    "nq": Row("nq", "NQ with FTBC, converted only"),
    "nq_qcfs": Row("nq/qcfs.toml", "QCFS, converted only"),
    "nq_real": Row("nq/real.toml", "NQ, converted only"),
    "nq_real_qcfs": Row("nq/real_qcfs.toml", "QCFS, converted only"),
    "tna_alone": Row("tna/alone.toml", "alone, same compute", (1, 2, 3)),
    "tna_same": Row("tna/same.toml", "alone, same epochs", (1, 2, 3)),
    "tna_distill": Row("tna/distill.toml", "distilled from a second network", (1, 2, 3)),
    "tna": Row("tna", "TNA", (1, 2, 3)),
}


def sterna(*words: str, show: bool = False) -> dict[str, Any]:
    """Run a command of the project; its JSON answer. Progress goes to the terminal."""
    print("$ sterna", *words, flush=True)
    done = subprocess.run(
        [*STERNA, *words, *([] if show else ["--json"])],
        cwd=ROOT,
        text=True,
        stdout=None if show else subprocess.PIPE,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return {} if show else json.loads(done.stdout)


def spikes_per_image(network: Any, images: np.ndarray) -> float:
    """Spikes of all neurons (not of the input), mean over images."""
    from sterna.golden.exact import run
    from sterna.golden.network import Neuron

    names = tuple(n.name for n in network.nodes if isinstance(n, Neuron))
    axis = 1 if network.input.coding == "frames" else 0
    count = min(SPIKES_OVER, images.shape[axis])
    total = 0
    for k in range(0, count, 100):
        part = np.take(images, range(k, min(k + 100, count)), axis)
        total += sum(int(s.sum()) for s in run(network, part, trace=names).spikes.values())
    return total / count


def measure(name: str, row: Row, seed: int, runs: Path, images: int) -> dict[str, Any]:
    """Everything the table says of one network."""
    recipe, body = recipe_of(row)
    key = name if seed == body.get("seed", 1) else f"{name}_{seed}"
    run, build = runs / key, ROOT / "build" / "training" / key
    sterna("train", str(recipe), "-o", str(run), "--seed", str(seed), show=True)
    trained = json.loads((run / "run.json").read_bytes())
    from sterna.train.data import datasets

    test_images, labels = datasets.load(body["data"]).test
    net = body["network"]
    out: dict[str, Any] = {
        "method": row.method,
        "data": body["data"],
        "kind": net.get("kind", "ternary"),
        "seed": seed,
        "steps": net["steps"],
        "coding": net.get("coding", "direct"),
        "layers": json.dumps(net["layers"]).replace('"', ""),
        "tested": len(labels),
        "epochs": trained["epochs"],
        "minutes": trained["minutes"],
        "validation": trained.get("validation_folded", trained["validation_real"]),
        "float": trained["test_real"],
        "conversion": trained.get("conversion", {}),
    }
    if out["kind"] == "real":  # nothing to build: reported beside its ternary or binary form
        return out | {"interval": wilson(out["float"], len(labels))}
    sterna("quantize", str(run), "-o", str(build))
    rate = ["--fps", str(row.fps)] if row.fps else []
    answer = sterna("sim", str(build), "--images", str(min(images, len(labels))), *rate)
    from sterna.gen.build.stages import open_build
    from sterna.golden.exact import run as golden

    network = open_build(build).network
    right = float((golden(network, test_images).classes == labels).mean())
    weights = sum(int(n.weight.size) for n in network.nodes if hasattr(n, "weight"))
    return out | {
        "integer": right,
        "interval": wilson(right, len(labels)),
        "weights": weights,
        "spikes": spikes_per_image(network, test_images),
        "rtl": answer["accuracy"],
        "rtl_images": answer["images"],
        "mismatches": answer["mismatches"],
        "spikes_compared": answer["spikes_compared"],
        "clocks": answer["clocks_per_image"],
    }


def recipe_of(row: Row) -> tuple[Path, dict[str, Any]]:
    """(file, what it says) of a row's recipe."""
    path = ROOT / "examples" / row.recipe
    path = path / "recipe.toml" if path.is_dir() else path
    return path, tomllib.loads(path.read_text())


def method(row: Row) -> str:
    """A row's method, and of its recipe what decides whose method it is: the rule of single
    spikes, and whether conversion was trained with noise."""
    body = recipe_of(row)[1]
    told = row.method
    if "stidi" in body:
        told += " (ours)" if body["stidi"].get("rule", "exact") == "exact" else " (the paper's)"
    if "nq" in body:
        told += "; noise on" if body["nq"].get("noise", True) else "; noise off"
    return told


def ships(name: str, result: dict[str, Any]) -> bool:
    """Whether the network of a result is in the repository: beside its recipe, of the recipe's own
    seed, with as many steps and weights."""
    path, body = recipe_of(ROWS[name])
    if path.name != "recipe.toml" or result["seed"] != body.get("seed", 1):
        return False
    if not (path.parent / "network.json").is_file():
        return False
    from sterna import load

    network = load(str(path.parent))
    weights = sum(int(n.weight.size) for n in network.nodes if hasattr(n, "weight"))
    return (network.steps, weights) == (result["steps"], result["weights"])


def with_interval(value: float, count: int) -> str:
    """An accuracy of ``count`` images in percent, with its interval where these are few."""
    if count > SMALL_SAMPLE:
        return percent(value)
    low, high = wilson(value, count)
    return f"{percent(value)} ({percent(low)} to {percent(high)})"


def percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def lines(results: dict[str, Any]) -> list[str]:
    """The table in Markdown, one line a network, rows in the order of ROWS."""
    out = [
        "| row | method | data | weights | T | seed | parameters | spikes/image | clocks/image "
        "| float % | integer % (95%) | RTL %, images, mismatches | min |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in ROWS:
        for r in (results[k] for k in sorted(results) if results[k]["row"] == name):
            low, high = (percent(v) for v in r["interval"])
            real, whole, rtl = f"{percent(r['float'])} ({low} to {high})", "-", "-"
            if "integer" in r:
                real = with_interval(r["float"], r["tested"])
                whole = f"{percent(r['integer'])} ({low} to {high})"
                whole += "" if ships(name, r) else ", not shipped"
                rtl = with_interval(r["rtl"], r["rtl_images"])
                rtl += f", {r['rtl_images']}, {r['mismatches']}"
            cells = [
                f"`{name}`",
                method(ROWS[name]),
                r["data"],
                r["kind"],
                r["steps"],
                r["seed"],
                r.get("weights", "-"),
                f"{r['spikes']:.0f}" if "spikes" in r else "-",
                f"{r['clocks']:.0f}" if "clocks" in r else "-",
                real,
                whole,
                rtl,
                f"{r['minutes']:.0f}",
            ]
            out.append("| " + " | ".join(map(str, cells)) + " |")
    return out


def conversion_lines(results: dict[str, Any]) -> list[str]:
    """What conversion costs at each T: test accuracy of the ANN and of the SNN made of it, before
    any tuning; the interval is T = 4's."""
    times = (1, 2, 4, 8, 16)
    heads = ["row", "noise", "images", "ANN %", *(f"T = {t}" for t in times), "T = 4, 95%"]
    out = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for key in sorted(results):
        name, count = results[key]["row"], results[key]["tested"]
        found, row = results[key]["conversion"], f"`{name}`"
        for form, what in (
            ("T", row),
            ("corrected_T", f"{row}, biases corrected"),
            ("normed_T", f"{row}, norms of each T"),
        ):
            if f"test_{form}1" in found:
                noise = recipe_of(ROWS[name])[1]["nq"].get("noise", True)
                cells = [found["test_ann"], *(found[f"test_{form}{t}"] for t in times)]
                low, high = (percent(v) for v in wilson(found[f"test_{form}4"], count))
                cells = [what, "on" if noise else "off", str(count), *map(percent, cells)]
                out.append("| " + " | ".join([*cells, f"{low} to {high}"]) + " |")
    return out


def spread_lines(results: dict[str, Any]) -> list[str]:
    """Rows of several seeds: mean and standard deviation of the integer accuracy."""
    out = ["| row | method | seeds | integer %, mean | deviation |", "|---" * 5 + "|"]
    for name, row in ROWS.items():
        found = [
            100 * r["integer"] for r in results.values() if r["row"] == name and "integer" in r
        ]
        if len(row.seeds) > 1 and len(found) > 1:
            mean, spread = np.mean(found), np.std(found, ddof=1)
            out.append(f"| `{name}` | {method(row)} | {len(found)} | {mean:.2f} | {spread:.2f} |")
    return out


def write_docs(results: dict[str, Any]) -> None:
    text = DOCS.read_text()
    before, rest = text.split(START)
    after = rest.split(END)[1]
    parts = (lines(results), spread_lines(results), conversion_lines(results))
    shown = ["\n".join(p) for p in parts if len(p) > 2]  # more than a heading
    body = "\n".join([START, "\n\n".join(shown), END])
    DOCS.write_text(before + body + after)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true", help="the table into docs/results.md")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{k}: examples/{r.recipe}, seeds {r.seeds}" for k, r in ROWS.items()))
        return 0
    if unknown := [n for n in options.names if n not in ROWS]:
        print(f"no row {unknown[0]!r}; use {', '.join(ROWS)}", file=sys.stderr)
        return 2
    for name in options.names:
        for seed in ROWS[name].seeds:
            found = measure(name, ROWS[name], seed, options.runs.resolve(), options.images)
            results = json.loads(RESULTS.read_bytes()) if RESULTS.is_file() else {}
            results[f"{name}_{seed}"] = {"row": name} | found
            write_results("training", results)
            print("\n".join(lines({"": results[f"{name}_{seed}"]})))
    if options.write:
        write_docs(json.loads(RESULTS.read_bytes()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
