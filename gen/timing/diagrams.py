"""Which clocks of a simulated block its datasheet shows, and what there is to say of them.

All of it follows from the samples: a diagram has no value and a sentence no figure of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sterna.gen.timing.samples import Samples, Scene
from sterna.gen.timing.wavejson import Lane, shown_clocks, wavejson

__all__ = ["Diagram", "diagrams"]

_MOST = 24
"""Clocks that are drawn of a packet."""
_WORDS = 6
"""Logits of a result that its text says."""
_REGISTERS = ("aw", "w", "b", "ar", "r")
_PAYLOAD = {
    "aw": ("addr",),
    "w": ("data", "strb"),
    "b": ("resp",),
    "ar": ("addr",),
    "r": ("data", "resp"),
}


@dataclass(frozen=True)
class Diagram:
    """``key``: of its file's name and its place on the page; ``text``: what is to be seen;
    ``scene``: whose samples it shows; ``wave``: its WaveJSON."""

    key: str
    title: str
    text: str
    scene: str
    wave: Mapping[str, Any]


def diagrams(samples: Samples) -> list[Diagram]:
    """Of all scenes that were simulated."""
    return [_MADE[name](samples, name, scene) for name, scene in samples if name in _MADE]


def _stream(name: str) -> list[Lane]:
    valid = f"{name}_tvalid"
    payload = [Lane(f"{name}_{part}", valid) for part in ("tdata", "tlast")]
    return [Lane(valid), Lane(f"{name}_tready"), *payload]


def _axil() -> list[Lane]:
    out = []
    for channel in _REGISTERS:
        name = f"s_axil_{channel}"
        group = "write" if channel in ("aw", "w", "b") else "read"
        out += [Lane(f"{name}{part}", "", group) for part in ("valid", "ready")]
        out += [Lane(f"{name}{part}", f"{name}valid", group) for part in _PAYLOAD[channel]]
    return out


def _span(
    scene: Scene, lanes: Sequence[Lane], core: tuple[int, int], whole: tuple[int, int]
) -> tuple[int, int]:
    """Of the clocks of ``whole`` (first, end) so many that `_MOST` are drawn, ``core`` in any case:
    first up to the end, then from the beginning on."""
    (first, end), (whole_first, whole_end) = core, whole
    found = shown_clocks(scene, lanes, first, min(whole_end, scene.clocks))
    end = max(end, found[:_MOST][-1] + 1)
    found = shown_clocks(scene, lanes, max(whole_first, 0), end)
    return min(first, found[-_MOST:][0]), min(end, scene.clocks)


def _clocks(count: int) -> str:
    return f"{count:,} clock{'' if count == 1 else 's'}"


def _reset(samples: Samples, name: str, scene: Scene) -> Diagram:
    low = list(scene.where(**{samples.reset: samples.reset_level}))
    first = scene.taken("s_axis")[0]
    lanes = [Lane(samples.reset), *_stream("s_axis"), Lane("m_axis_tvalid")]
    ready = next(c for c in scene.where(s_axis_tready=1) if c > low[-1])
    text = (
        f"{samples.reset} is {samples.reset_level} for {_clocks(len(low))}, then an image is "
        f"offered; s_axis_tready is 1 first in clock {ready}, {_clocks(ready - low[-1] - 1)} "
        f"after the last one in reset, and the first word moves in clock {first}"
    )
    title = "Reset, and the first word of an image"
    wave = wavejson(samples, scene, lanes, 0, first + 4, title)
    return Diagram(name, title, text + ".", name, wave)


def _image(samples: Samples, name: str, scene: Scene) -> Diagram:
    lanes = _stream("s_axis")
    moved = scene.taken("s_axis")
    lasts = [c for c in moved if scene.at(c)["s_axis_tlast"]]
    waits = _stalls(scene, moved)
    at, count = max(waits, key=lambda w: w[1], default=(0, 0))
    end = next((c for c in lasts if c >= at), lasts[-1])  # of the packet with the longest wait
    before = max((c for c in lasts if c < end), default=-1)
    packet = [c for c in moved if before < c <= end]
    core = (max(0, at - 2), at + count + 2) if count else (packet[0], packet[0] + 2)
    first, end = _span(scene, lanes, core, (packet[0] - 1, packet[-1] + 2))
    text = (
        f"A packet of {len(packet):,} words in {_clocks(packet[-1] - packet[0] + 1)}. A word moves "
        "in each clock in which valid and ready are both 1; "
    )
    if count:
        text += (
            "where ready is 0 the source keeps valid, data and last as they are: here for up to "
            f"{_clocks(count)}, from clock {at} on"
        )
    else:
        text += "ready stayed 1 throughout"
    if not first <= packet[0] or not packet[-1] < end:
        text += ". Shown is a part of it"
    title = "An image's packet, with back-pressure" if count else "An image's packet"
    wave = wavejson(samples, scene, lanes, first, end, title)
    return Diagram(name, title, text + ".", name, wave)


def _stalls(scene: Scene, moved: Sequence[int]) -> list[tuple[int, int]]:
    """Of each stretch in which a word waits: its first clock, and its clocks."""
    out: list[tuple[int, int]] = []
    for run in scene.runs:
        if run.values["s_axis_tvalid"] and not run.values["s_axis_tready"]:
            if out and sum(out[-1]) == run.start:
                out[-1] = (out[-1][0], out[-1][1] + run.clocks)
            else:
                out.append((run.start, run.clocks))
    return [wait for wait in out if moved and wait[0] > moved[0]]


def _result(samples: Samples, name: str, scene: Scene) -> Diagram:
    lanes = _stream("m_axis")
    moved, start = scene.taken("m_axis"), next(scene.where(m_axis_tvalid=1))
    before = max(0, start - 2)
    first, end = _span(scene, lanes, (before, moved[0] + 1), (before, moved[-1] + 2))
    words = [scene.at(c)["m_axis_tdata"] for c in moved]
    logits = [str(w - (w >> 31 << 32)) for w in words[1:]]
    said = f"{', '.join(logits[:_WORDS])}{' and so on' if len(logits) > _WORDS else ''}"
    sent = scene.taken("s_axis")[0]
    text = (
        f"It begins {_clocks(start - sent)} after the first word of its image. Word 0 is "
        f"{words[0]:X}: class {words[0] & 0xFFFF} and flags {words[0] >> 16}; then come "
        f"{len(logits):,} logits: {said}. Where the receiver's ready is 0 valid and data stay"
    )
    if end <= moved[-1]:
        text += f". Shown are the first {sum(c < end for c in moved)} of its words"
    title = "A result's packet"
    wave = wavejson(samples, scene, lanes, first, end, title)
    return Diagram(name, title, text + ".", name, wave)


def _registers(samples: Samples, name: str, scene: Scene) -> Diagram:
    lanes = _axil()
    write, read = scene.at(scene.taken("s_axil_aw")[0]), scene.at(scene.taken("s_axil_ar")[0])
    data, found = scene.at(scene.taken("s_axil_w")[0]), scene.at(scene.taken("s_axil_r")[0])
    text = (
        f"{data['s_axil_wdata']:X} is written to address {write['s_axil_awaddr']:X}, then address "
        f"{read['s_axil_araddr']:X} is read, which holds {found['s_axil_rdata']:X}. A response of "
        "0 is OKAY, 2 is SLVERR"
    )
    moved = [c for ch in _REGISTERS for c in scene.taken(f"s_axil_{ch}")]
    first = next(scene.where(s_axil_awvalid=1))
    title = "A register is written, another one read"
    wave = wavejson(samples, scene, lanes, max(0, first - 1), max(moved) + 3, title)
    return Diagram(name, title, text + ".", name, wave)


def _wrong(samples: Samples, name: str, scene: Scene) -> Diagram:
    lanes = [*_stream("s_axis"), *_stream("m_axis")]
    sent, given = scene.taken("s_axis"), scene.taken("m_axis")
    flags = scene.at(given[0])["m_axis_tdata"] >> 16
    if name == "early":
        what = f"TLAST comes with word {len(sent) - 1:,}, the first being word 0; the rest of the "
        what += "image counts as zeros"
        title = "TLAST too early"
    else:
        what = f"The packet has {len(sent):,} words, more than an image; the rest is dropped"
        title = "TLAST too late"
    text = f"{what}, and the result has flags {flags}. The next image is computed right"
    first, end = min(*sent[-3:], given[0]) - 1, max(sent[-1] + 1, *given[:2]) + 1
    wave = wavejson(samples, scene, lanes, max(0, first), end, title)
    return Diagram(name, title, text + ".", name, wave)


_MADE: dict[str, Callable[[Samples, str, Scene], Diagram]] = {
    "reset": _reset,
    "image": _image,
    "result": _result,
    "registers": _registers,
    "early": _wrong,
    "late": _wrong,
}
