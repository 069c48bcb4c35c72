"""What ``sterna eval`` says: accuracy by class, and the network's work, counted."""

import argparse
from typing import Any

import sterna.images as images
from sterna.evaluation import Evaluation, counted_run
from sterna.gen.build.folder import Build
from sterna.gen.build.measurements import keep_measurement
from sterna.gen.build.tables import rows_text
from sterna.gen.model.counted import Counts
from sterna.gen.model.raster import raster
from sterna.golden.files.classes import class_name
from sterna.golden.files.sources import read_source
from sterna.golden.network import Network

__all__ = ["counts_text", "evaluated"]

SHOWN = 20
"""Classes whose confusions are printed."""
KEPT = 1000
"""Classes whose confusions are in the answer: a matrix grows with their square."""


def evaluated(
    options: argparse.Namespace, built: Build, found: images.Chosen
) -> tuple[dict[str, Any], str]:
    """The answer of `eval` and its text; writes --predictions, and where there are labels
    measured/eval.json and raster.json."""
    network = built.network
    result, counts = counted_run(network, found.images)
    answer, text = images.outcome(options, found, result)
    lines = [text]
    if found.warning:
        answer["warning"] = found.warning
        lines[0] += f"\nwarning: {found.warning}"
    if found.labels is not None:
        outputs = network.shape[network.readout.name][0]
        facts = Evaluation(result.classes, found.labels, outputs, counts)
        each, shown = _classes(facts, found.classes)
        answer |= each
        lines += shown
    answer["counted"] = counts.as_dict()
    lines.append(counts_text(counts))
    if found.labels is not None:
        of = _set(options, built)
        keep_measurement(built, "eval", of | answer, design=False)
        keep_measurement(
            built, "raster", of | _raster(network, found, int(found.labels[0])), design=False
        )
    return answer, "\n\n".join(lines)


def _raster(network: Network, found: images.Chosen, label: int) -> dict[str, Any]:
    """What the first image does, for the report."""
    from sterna.golden.exact import run
    from sterna.train.module.frames import pick

    one = pick(found.images, slice(1))
    kept = raster(network, one, run(network, one, trace="all"))
    return {"image": 0, "label": label, **kept}


def _set(options: argparse.Namespace, built: Build) -> dict[str, str]:
    """Which images these were; no path, since the same inputs give the same bytes."""
    name = images.data_name(options, built.data)
    own = read_source(name, "--data").own
    return {"data": "own" if own else name, "split": options.split or "test"}


def _classes(facts: Evaluation, names: tuple[str, ...]) -> tuple[dict[str, Any], list[str]]:
    """Accuracy of each class and the confusion matrix, as an answer and as tables."""
    if facts.outputs > KEPT:
        return {"per_class": None, "confusion": None}, []
    confusion = facts.confusion
    called = [class_name(names, k) for k in range(facts.outputs)]
    right = [*confusion.diagonal().tolist(), 0]
    rows = [
        {
            "class": k if k < facts.outputs else None,
            "name": called[k] if k < facts.outputs else "none of them",
            "images": int(confusion[k].sum()),
            "right": right[k],
            "accuracy": None if share != share else float(share),  # NaN: none of this class
        }
        for k, share in enumerate(facts.class_accuracy)
    ]
    answer = {"per_class": rows, "confusion": confusion.tolist()}
    if facts.outputs > SHOWN:
        return answer, [f"{facts.outputs} classes: see per_class and confusion of --json"]
    cells = [
        (r["name"], r["images"], _percent(r["accuracy"]), *(n or "." for n in line))
        for r, line in zip(rows, confusion.tolist())
    ]
    heads = ("label", "images", "right", *(f"as {name}" for name in called))
    return answer, [rows_text(heads, cells)]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def counts_text(counts: Counts) -> str:
    """NeuroBench's metrics as tables; all but shares and sizes are an image's."""
    found = counts.as_dict()
    whole = found["synaptic_operations"]
    operations = [
        (c["node"], c["weights"], _percent(c["sparsity"]), *_operations(c))
        for c in found["connections"]
    ]
    weights = sum(c["weights"] for c in found["connections"])
    total = _percent(found["connection_sparsity"])
    operations.append(("all", weights, total, *_operations(whole)))
    spikes = [
        (a["node"], a["sites"], f"{a['spikes']:.1f}", _percent(a["sparsity"]))
        for a in found["activations"]
    ]
    sites = sum(a["sites"] for a in found["activations"])
    whole_sparsity = _percent(found["activation_sparsity"])
    spikes.append(("all", sites, f"{found['spikes']:.1f}", whole_sparsity))
    return "\n".join(
        (
            "an image, by NeuroBench's definitions:",
            rows_text(("weights of", "", "zero", "Dense", "Eff_ACs", "Eff_MACs"), operations),
            rows_text(("neurons of", "outputs", "spikes", "sparsity"), spikes),
            f"footprint {counts.packed_bytes:,} bytes packed, {counts.tensor_bytes:,} as tensors",
        )
    )


def _operations(of: dict[str, Any]) -> tuple[str, ...]:
    return f"{of['dense']}", f"{of['effective_acs']:.1f}", f"{of['effective_macs']:.1f}"
