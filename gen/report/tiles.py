"""The tiles that stand first on a page and in notebooks: one figure each, and what it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sterna.gen.report.figures import Figures

__all__ = ["Tile", "energy", "tiles"]

_WORDS = {"luts": "LUTs", "ff": "Flip-flops", "bram": "Block RAMs"}


@dataclass(frozen=True)
class Tile:
    """value: what it says, None where nothing is known yet; then run: the command that makes it.
    how: counted, estimated, simulated, synthesised, placed, or measured by a meter. share: of a
    device, 0 .. 1."""

    name: str
    value: Markup | None
    note: Markup = Markup("")
    how: str = ""
    run: str = ""
    share: float | None = None
    state: str = ""


def tiles(f: Figures) -> list[Tile]:
    """Of a report."""
    said = f.answer["headline"]
    found = [_accuracy(f, said), _exact(f, said), _rate(f, said), _latency(f, said)]
    found += [_resource(f, said, key) for key in _WORDS]
    return [*found, _fmax(f, said), energy(f), _work(f, said), _weights(f)]


def _missing(f: Figures, name: str, part: str) -> Tile:
    return Tile(name, None, run=f.answer["commands"][part])


def _text(form: str, *parts: object) -> Markup:
    """A sentence, its names escaped."""
    return Markup(form).format(*parts)


def _accuracy(f: Figures, said: Mapping[str, Any]) -> Tile:
    found = said["accuracy"]
    if found is None:
        return _missing(f, "Accuracy", "eval")
    at = "headline", "accuracy"
    note = _text(
        "95% interval {} to {}; {} of {} images right",
        f(*at, "low", form="percent"),
        f(*at, "high", form="percent"),
        f(*at, "right", form="int"),
        f(*at, "images", form="int"),
    )
    if found["data"] is not None:
        note += _text(" ({}, {})", f(*at, "data"), f(*at, "split"))
    return Tile("Accuracy", f(*at, "value", form="percent2"), note, "counted")


def _exact(f: Figures, said: Mapping[str, Any]) -> Tile:
    found = said["exact"]
    if found is None:
        return _missing(f, "Verilog against golden", "sim")
    at = "headline", "exact"
    note = _text(
        "differ, of {} spikes and {} logits on {} images ({})",
        f(*at, "spikes_compared", form="int"),
        f(*at, "logits_compared", form="int"),
        f(*at, "images", form="int"),
        f(*at, "engine"),
    )
    state = "bad" if found["mismatches"] else "good"
    value = f(*at, "mismatches", form="int")
    return Tile("Verilog against golden", value, note, "simulated", state=state)


def _clock(f: Figures, at: tuple[str, ...]) -> Markup:
    assumed = f.value(*at, "clock_how") == "assumed"
    mhz = f(*at, "clock_mhz")
    return _text("at {} MHz (assumed)" if assumed else "at {} MHz (as placed)", mhz)


def _rate(f: Figures, said: Mapping[str, Any]) -> Tile:
    at = "headline", "rate"
    note = _text("{} clocks an image {}", f(*at, "clocks"), _clock(f, at))
    value = f(*at, "images_per_second", form="int" if _large(f, *at) else "number")
    return Tile("Images a second", value, note, said["rate"]["how"])


def _large(f: Figures, *at: str) -> bool:
    return f.value(*at, "images_per_second") >= 1000


def _latency(f: Figures, said: Mapping[str, Any]) -> Tile:
    if said["latency"] is None:
        return _missing(f, "Latency", "sim")
    at = "headline", "latency"
    note = _text("{} clocks {}", f(*at, "clocks", form="int"), _clock(f, at))
    value = _text("{} µs", f(*at, "microseconds"))
    return Tile("Latency of one image", value, note, said["latency"]["how"])


def _resource(f: Figures, said: Mapping[str, Any], key: str) -> Tile:
    found, at = said[key], ("headline", key)
    if found is None:
        return _missing(f, _WORDS[key], "synth")
    if found["share"] is None:
        note = _text("of {}; no device of that family is chosen", f(*at, "family"))
    else:
        note = _text(
            "{} of the {} of {}",
            f(*at, "share", form="percent"),
            f("device", key, form="int"),
            f("device", "board"),
        )
    value = f(*at, "used")
    return Tile(_WORDS[key], value, note, found["how"], share=found["share"])


def _fmax(f: Figures, said: Mapping[str, Any]) -> Tile:
    if said["fmax"] is None:
        fits = f.answer["device"] is None or f.answer["device"]["holds"] is not False
        return _missing(f, "Highest clock", "bitstream" if fits else "refold")
    value = _text("{} MHz", f("headline", "fmax", "mhz"))
    note = _text("on {}, placed and routed", f("placed", "board"))
    return Tile("Highest clock", value, note, "placed")


def energy(f: Figures) -> Tile:
    """What `sterna power` left: a meter's reading before bounds, else why there is no figure."""
    name, at = "Energy of an image", ("measured", "power")
    read, bounds = (*at, "measured"), (*at, "energy")
    if f.value(*read, "mj_per_image") is not None:
        note = _text(
            "{} mW at {} images a second; {} images a second a watt",
            f(*read, "mw"),
            f(*read, "images_per_second"),
            f(*read, "images_per_second_per_watt"),
        )
        value = _text("{} mJ", f(*read, "mj_per_image"))
        return Tile(name, value, note, str(f.value(*read, "label") or ""))
    if None not in (f.value(*bounds, "low_mj"), f.value(*bounds, "high_mj")):
        note = _text(
            "{} to {} mW on {}; left out: {}",
            f(*bounds, "low_mw"),
            f(*bounds, "high_mw"),
            f(*bounds, "device"),
            f(*bounds, "left_out"),
        )
        value = _text("{} to {} mJ", f(*bounds, "low_mj"), f(*bounds, "high_mj"))
        return Tile(name, value, note, str(f.value(*bounds, "label") or ""))
    if f.value(*bounds, "why") is not None:
        return Tile(name, Markup("–"), f(*bounds, "why"))
    return _missing(f, name, "power")


def _work(f: Figures, said: Mapping[str, Any]) -> Tile:
    if said["work"] is None:
        return _missing(f, "Spikes an image", "eval")
    at = "headline", "work"
    note = _text(
        "over {} images; {} synaptic operations of {} dense ones",
        f(*at, "images", form="int"),
        f(*at, "synaptic_operations", form="int"),
        f(*at, "dense", form="int"),
    )
    if said["work"]["activation_sparsity"] is not None:
        note += _text("; {} of outputs silent", f(*at, "activation_sparsity", form="percent"))
    return Tile("Spikes an image", f(*at, "spikes", form="int"), note, "counted")


def _weights(f: Figures) -> Tile:
    note = _text("{} time steps, {} lanes", f("steps", form="int"), f("lanes", form="int"))
    if f.value("headline", "work", "packed_bytes") is not None:
        size = f("headline", "work", "packed_bytes", form="int")
        note += _text("; {} bytes, packed", size)
    return Tile("Weights", f("weights", form="int"), note, "counted")
