"""Folding: what is decided of the hardware of one weighted node, and what each key of it may be.

`KEYS` describes every key once. Reading, completion (`gen.fold.complete`), search
(`gen.fold.candidates`), the plan and the last check before hardware is made (`gen.design.specs`)
ask the same functions: `check_keys` of what is said, `refusal` of a folding as a whole.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

from sterna.gen.design.graph import neuron_of, pool_of
from sterna.gen.design.legal import (
    is_depthwise,
    legal_folding,
    weight_rows_of,
    wide_step,
    word_clocks,
    word_lanes,
)
from sterna.golden.device.fabric import fabric_of
from sterna.golden.errors import DesignError
from sterna.golden.network import Network, Neuron
from sterna.hw.core.law import NESTS
from sterna.hw.dot.engines import ENGINES
from sterna.hw.memory.chain import ADDRESS_BITS, ChainLayout
from sterna.hw.memory.shape import STYLES
from sterna.hw.memory.word_assembler import MOST_READS
from sterna.hw.stream.edge import MAX_WIDTH

__all__ = [
    "Folding",
    "Foldings",
    "Given",
    "KEYS",
    "MEMORIES",
    "check_keys",
    "check_style",
    "legal_values",
    "refusal",
]

MEMORIES = ("rom", "ram")


@dataclass(frozen=True)
class Folding:
    """How a weighted node is folded; whole, but for `Given`.

    pe, simd, tp: outputs, inputs and planes at once. memory: of the weights, of `MEMORIES`.
    engine: of the dot product (`hw.dot.engines`). ram_style: storage demanded for the weights
    (`hw.memory.weight_memory`). banks: of neuron scans, which take visits in turns
    (`hw.neuron.scan_banks`). reads: of the memory for a weight word (`hw.memory.word_assembler`).
    nest: the order of its loops (`hw.core.law.NESTS`).
    """

    pe: int
    simd: int
    tp: int
    memory: str = "rom"
    engine: str = "compress"
    ram_style: str = "auto"
    banks: int = 1
    reads: int = 1
    nest: str = "window"

    def entry(self) -> dict[str, Any]:
        """That of a folding file. Keys that came after the first five only where they are not at
        their default, so that foldings from before are the same text."""
        found = {k: getattr(self, k) for k in KEYS}
        return {k: v for k, v in found.items() if k in _FIRST or v != getattr(Folding, k)}


Foldings = dict[str, Folding]
"""By weighted node."""
_FIRST = ("pe", "simd", "tp", "memory", "engine")


@dataclass(frozen=True)
class Given(Folding):
    """What is said of a folding: a key that is not among those ``said`` is open, and stands at 1 or
    at its default."""

    said: frozenset[str] = frozenset()

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> "Given":
        """Of a folding file's entry, unchecked (`check_keys`), with no other keys than `KEYS`."""
        values: dict[str, Any] = {"pe": 1, "simd": 1, "tp": 1, **entry}
        return cls(**values, said=frozenset(entry))

    @property
    def whole(self) -> bool:
        """No lanes are open."""
        return {"pe", "simd", "tp"} <= self.said

    def also(self, **more: Any) -> "Given":
        return replace(self, **more, said=self.said | set(more))

    def complete(self, **rest: Any) -> Folding:
        """With ``rest`` of the keys; others that are open get their default."""
        values: dict[str, Any] = {k: getattr(self, k) for k in KEYS}
        return Folding(**(values | rest))


def _nothing(*_: Any) -> str:
    return ""


@dataclass(frozen=True)
class Key:
    """One key of a folding.

    legal: the values that a weighted node of a network can have, all of one type. why: the cause
    where some other value has one of its own; note: what there is to say of the legal ones. rest:
    why a legal value does not go with the rest of a folding, whose open keys are at their default:
    a sentence, empty where it does.
    """

    legal: Callable[[Network, str], Sequence[Any]]
    why: Callable[[Network, str, int], str] = _nothing
    note: str = ""
    rest: Callable[[Network, str, Folding], str] = _nothing


def _lanes(key: str) -> Callable[[Network, str], Sequence[int]]:
    return lambda network, name: legal_folding(network, name)[key]


def _one_bank(network: Network, name: str) -> str:
    """Why the neuron of weighted node ``name`` can have one bank only; empty where it can more."""
    target = neuron_of(network, name)
    if not isinstance(target, Neuron):
        return f"'{target.name}' is a readout"
    if len(target.inputs) > 1:
        return f"'{target.name}' has several inputs"
    if target.rule.bias is not None and target.rule.bias.ndim == 2:
        return f"'{target.name}' has a bias for every time step"
    return ""


def _bank_numbers(network: Network, name: str) -> Sequence[int]:
    return range(1, 2 if _one_bank(network, name) else network.steps + 1)


def _why_banks(network: Network, name: str, banks: int) -> str:
    return _one_bank(network, name) if banks > 1 else ""


def _one_map(network: Network, name: str) -> str:
    """Why the inputs of weighted node ``name`` cannot be used as they arrive; empty where they
    can."""
    if not network.weighted(name).flattens:
        return "it is no Linear"
    if pool_of(network, name) is not None:
        return "a pool reads its sums"
    target = neuron_of(network, name)
    if len(target.inputs) > 1:
        return f"'{target.name}' has several inputs"
    return ""


def _short_words(network: Network, name: str, f: Folding) -> str:
    """Why weight words cannot be read in so many pieces."""
    if f.reads > 1 and not ENGINES[f.engine].in_pieces:
        those = " or ".join(repr(k) for k, engine in ENGINES.items() if engine.in_pieces)
        return (
            f"node '{name}': reads {f.reads} is of engine {those}, and its engine is "
            f"{f.engine!r}; use reads 1"
        )
    clocks = word_clocks(network, name, f.tp)
    if f.reads > clocks:
        lower = ", or a lower tp" if f.tp > 1 else ""
        return (
            f"node '{name}': reads {f.reads} needs a weight word to be used for as many clocks, "
            f"and with tp {f.tp} it is used for {clocks}; use reads {clocks}{lower}"
        )
    return ""


KEYS = {
    "pe": Key(_lanes("pe"), wide_step),
    "simd": Key(_lanes("simd")),
    "tp": Key(_lanes("tp")),
    "memory": Key(lambda *_: MEMORIES),
    "engine": Key(lambda *_: tuple(ENGINES)),
    "ram_style": Key(lambda *_: STYLES),
    "banks": Key(_bank_numbers, _why_banks, ", one for every time step at most"),
    "reads": Key(lambda *_: range(1, MOST_READS + 1), rest=_short_words),
    "nest": Key(
        lambda network, name: NESTS[: 1 if _one_map(network, name) else None],
        lambda network, name, nest: _one_map(network, name) if nest in NESTS else "",
    ),
}
assert list(KEYS) == [f.name for f in fields(Folding)]


@lru_cache(maxsize=1 << 12)
def legal_values(network: Network, name: str, key: str) -> Sequence[Any]:
    """Of a weighted node, by themselves; kept, since every design of a search is checked."""
    return KEYS[key].legal(network, name)


def _illegal(network: Network, name: str, key: str, value: Any) -> str:
    """Why a node cannot have a value, whatever else is said; empty where it can."""
    legal = legal_values(network, name, key)
    kind = type(legal[0])
    typed = isinstance(value, kind) and not isinstance(value, bool)
    if typed and value in legal:
        return ""
    why = KEYS[key].why(network, name, value) if typed else ""
    if kind is str and not why:
        names = " or ".join(legal) if len(legal) < 3 else f"one of {', '.join(legal)}"
        return f"folding of '{name}': {key} {value!r} is not {names}"
    ways = f"one of {', '.join(map(str, legal))}" if kind is not str else " or ".join(legal)
    if isinstance(legal, range):
        ways = f"1 to {legal[-1]}{KEYS[key].note}" if len(legal) > 1 else "1"
    cause = f", because {why}" if why else ""
    return f"node '{name}': {key} {value!r} is not legal{cause}; use {ways}"


def check_keys(network: Network, name: str, folding: Folding) -> None:
    """DesignError, naming the node, where a value of any origin is none that its key can have."""
    for key in KEYS:
        if why := _illegal(network, name, key, getattr(folding, key)):
            raise DesignError(why)
    for key in KEYS.values():
        if why := key.rest(network, name, folding):
            raise DesignError(why)


def refusal(network: Network, name: str, folding: Folding) -> str:
    """Why a weighted node cannot have a folding of legal keys, with the way out; empty where it
    can."""
    pe, simd, tp = folding.pe, folding.simd, folding.tp
    if why := _illegal(network, name, "pe", pe):
        return why
    if word_lanes(network, name, pe, simd) * tp > MAX_WIDTH:
        node = network.weighted(name)
        key = "pe" if is_depthwise(node, network.shape[node.input]) else "simd"
        return (
            f"node '{name}': a window word of {key} {getattr(folding, key)} x tp {tp} is wider "
            f"than {MAX_WIDTH} bits; use a smaller {key} or tp"
        )
    if folding.memory == "ram":
        words, most = _region_words(network, name, folding), 1 << ADDRESS_BITS
        if words > most:
            return (
                f"node '{name}': its weights take {words} chain addresses at pe {pe} and simd "
                f"{simd}, and a reloadable memory has at most {most}; use memory rom, or another "
                "pe or simd"
            )
    return ""


def _region_words(network: Network, name: str, f: Folding) -> int:
    """Chain addresses of a node's weights."""
    node = network.weighted(name)
    rows = weight_rows_of(network, name, f.pe, f.simd)
    width = f.pe * f.simd * (2 if node.kind == "ternary" else 1)
    return ChainLayout(*ENGINES[f.engine].memory_shape(rows, width, f.reads)).words


def check_style(name: str, folding: Folding, patchable: bool, family: str) -> None:
    """DesignError, naming the node, where its weights cannot have the storage it demands.
    ``patchable``: where fixed, a bitstream can take others."""
    style = folding.ram_style
    if style == "auto":
        return
    if ENGINES[folding.engine].in_logic:
        raise DesignError(
            f"node '{name}': ram_style {style!r} is of a weight memory, and engine "
            f"{folding.engine!r} has none; leave ram_style out"
        )
    if style == "distributed" and patchable and folding.memory == "rom":
        raise DesignError(
            f"node '{name}': ram_style 'distributed' puts fixed weights into logic, where no "
            "bitstream can be patched; use 'block', or fold without --patchable"
        )
    fabric = fabric_of(family)
    if style == "distributed" and fabric.lut_ram is None and folding.memory == "ram":
        raise DesignError(
            f"node '{name}': {fabric.title} has no LUT RAM for the ram_style 'distributed'; use "
            "'block'"
        )
