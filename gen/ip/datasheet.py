"""``NAME_datasheet.html``: what an engineer asks of a block before it is in a design, in one file.

Every figure stands in `facts`, each is from the one place that knows it, and an element with
``data-figure`` says from which (`gen.report.figures`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from math import prod
from pathlib import Path
from typing import Any

from sterna.gen.ip import layout
from sterna.gen.ip.exported import Exported
from sterna.gen.report.figures import Figures
from sterna.gen.report.templated import template, text
from sterna.gen.report.tiles import tiles
from sterna.gen.timing.diagrams import Diagram
from sterna.gen.timing.wavedrom_svg import STYLE, svg
from sterna.gen.verilog.memory_images import memory_images
from sterna.golden.coding import image_axes, image_place
from sterna.golden.device.csr import FLAG_EARLY, FLAG_LATE, FLAG_UNLOADED
from sterna.golden.network import Input
from sterna.hw.control.register_files import csr_json

__all__ = ["datasheet", "facts", "places"]

TEMPLATES = Path(__file__).with_name("templates")
RESET = (
    "aresetn is active low. It may fall at any time and acts at once; it rises synchronous to "
    "aclk, and the block leaves its reset two clocks later. As long as the block is in reset every "
    "VALID and READY that it drives is 0. One clock of aresetn low is enough."
)
_FLAGS = {
    FLAG_EARLY: "the packet was short, the rest counts as zeros",
    FLAG_LATE: "the packet was too long, the rest was dropped",
    FLAG_UNLOADED: "weights_id was zero, nobody vouches for the weights",
}
_AXES = {"y": "row (y)", "x": "column (x)", "c": "channel (c)", "t": "time step (t)"}
_LOGIT = {
    "membrane": "its membrane after the last step",
    "count": "its spikes, counted",
    "first_spike": "the larger, the earlier it spikes",
}


def datasheet(
    block: Exported,
    answer: Mapping[str, Any],
    drawn: Sequence[Diagram],
    why: str = "",
    command: str = "",
) -> dict[str, str]:
    """The page and the files of its diagrams, by their names in the exported folder.

    Args:
        block: the block's facts.
        answer: the report of its build (`gen.build.report.report`).
        drawn: its timing diagrams; where there are none, ``why``, and the ``command`` that makes
            them.
    """
    found = facts(block, answer)
    figures = Figures(found)
    made = tiles(figures)
    page = template("datasheet.html.j2", TEMPLATES).render(
        answer=found,
        f=figures,
        tiles=[tile for tile in made if tile.value is not None],
        unknown=[tile for tile in made if tile.value is None],
        css=text("tiles.css") + text("page.css") + text("datasheet.css", TEMPLATES) + STYLE,
        diagrams=[
            {"key": d.key, "title": d.title, "text": d.text, "picture": svg(d.wave)} for d in drawn
        ],
        why=why.rstrip("."),
        command=command,
    )
    out = {layout.datasheet(block): page}
    for d in drawn:
        wave, picture = layout.timing(block, d.key)
        out[wave] = json.dumps(d.wave, indent=1, ensure_ascii=False) + "\n"
        out[picture] = f"{svg(d.wave, alone=True)}\n"
    return out


def facts(block: Exported, answer: Mapping[str, Any]) -> dict[str, Any]:
    """The report, and beside it ``block``, ``buses``, ``places`` (of bits in an image's packet),
    ``result`` (the fields of its packet), ``csr``, ``performance`` and ``memories``."""
    node = block.network.input
    return {
        **answer,
        "block": _block(block, answer),
        "buses": [asdict(b) | {"ports": [asdict(p) for p in b.ports]} for b in block.buses],
        "places": list(places(node, block.network.steps, block.axis_width)),
        "result": _result(block),
        "csr": csr_json(block.registers),
        "performance": list(_performance(answer)),
        "memories": [
            {
                "file": name,
                "rows": m.depth,
                "bits": m.width,
                "region": m.region,
            }
            for name, m in zip(
                layout.memories(block), memory_images(block.network, block.design), strict=True
            )
        ],
    }


def _block(block: Exported, answer: Mapping[str, Any]) -> dict[str, Any]:
    node, axes = block.network.input, image_axes(block.network.input, block.network.steps)
    channels, height, width = node.shape
    bits = prod(size for _, size in axes)
    kinds = sorted({row["kind"] for row in answer["layers"] if row["kind"]})
    return {
        "name": block.name,
        "wrapper": block.wrapper,
        "made": block.made,
        "version": block.version,
        "vlnv": list(block.vlnv),
        "channels": channels,
        "height": height,
        "width": width,
        "bits": node.bits,
        "coding": node.coding,
        "classes": block.classes,
        "readout": block.network.readout.mode,
        "kinds": " and ".join(kinds),
        "axis_width": block.axis_width,
        "image_beats": block.image_beats,
        "image_bits": bits,
        "pad_bits": block.image_beats * block.axis_width - bits,
        "result_words": block.result_words,
        "reloadable": block.design.reloadable,
        "header": layout.software(block)[0],
        "driver": layout.software(block)[2],
        "image": layout.image(block),
        "from_files": block.read_from_files,
        "memory_macro": block.memory_macro,
        "axes": [name for name, _ in axes],
        "order": ", ".join(_AXES.get(name, name) for name, _ in axes),
        "reset_text": RESET,
        "simulated": answer["headline"]["rate"]["how"] == "simulated",
        "synthesised": any(row["how"] == "synthesised" for row in answer["resources"]),
    }


def places(node: Input, steps: int, axis_width: int) -> Iterator[dict[str, Any]]:
    """The first and the last bit of the first two and the last beat of an image: ``beat``,
    ``tdata`` (the bit of TDATA) and ``value`` (its place in the image, by axis)."""
    bits = prod(size for _, size in image_axes(node, steps))
    beats = -(-bits // axis_width)
    for beat in sorted({0, min(1, beats - 1), beats - 1}):
        first, end = beat * axis_width, min(bits, (beat + 1) * axis_width)
        for at in sorted({first, end - 1}):
            value = image_place(node, steps, at)
            yield {"beat": beat, "tdata": at - first, "value": value}


def _result(block: Exported) -> list[dict[str, Any]]:
    flags = "; ".join(f"{flag}: {what}" for flag, what in _FLAGS.items())
    readout, last = block.network.readout, block.classes
    return [
        {"word": "0", "bits": "15:0", "text": "class: the first that has the largest logit"},
        {"word": "0", "bits": "31:16", "text": f"flags, added up: {flags}"},
        {
            "word": f"1 to {last}" if last > 1 else "1",
            "bits": "31:0",
            "text": f"logit of class 0 to {last - 1}, int32: {_LOGIT[readout.mode]}"
            + (f"; times {readout.scale:.6g} in real numbers" if readout.scale != 1 else ""),
        },
    ]


def _performance(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """How often and how soon images come out, by each that says it."""
    mhz = answer["clock_mhz"]
    law, modelled = answer["clocks_per_image"], answer["modelled_clocks_per_image"]
    rows = [("Interval between images", law, "the law")]
    if modelled and modelled != law:
        rows.append(("Interval between images", modelled, "the model of streams"))
    rows.append(
        ("Latency of one image", answer["latency_clocks"], "estimated (the model of streams)")
    )
    found = answer["headline"]
    for what, key in (("Interval between images", "rate"), ("Latency of one image", "latency")):
        if found[key] is not None and found[key]["how"] == "simulated":
            rows.append((what, found[key]["clocks"], f"simulated ({found[key]['by']})"))
    for what, clocks, by in rows:
        if clocks is None:
            continue
        rate = what.startswith("Interval")
        value, unit = (mhz * 1e6 / clocks, "images a second") if rate else (clocks / mhz, "µs")
        yield {"what": what, "clocks": clocks, "by": by, "value": value, "unit": unit}
