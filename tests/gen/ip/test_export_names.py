"""What an export makes carries the network's name, and no two networks make the same."""

import re
from functools import cache
from itertools import product
from pathlib import PurePosixPath

from exportcase import facts
from hypothesis import example, given
from hypothesis import strategies as st

from sterna.gen.ip import layout
from sterna.gen.ip.folder import block_files
from sterna.golden.words.names import BESIDE, NAME, module_name

_TEXT = re.compile(r"//[^\n]*|/\*.*?\*/|\"[^\"\n]*\"|(?<=#include )<[^>]*>", re.S)


@cache
def ends(which: int) -> frozenset[str]:
    """What stands behind the name in identifiers of Verilog and C and in names of files; of macros
    in capitals, and of the others in small letters. Names of nodes are `NODE`."""
    x = facts(which)
    added = [layout.datasheet(x), *layout.timing(x, "reset")]
    found = set()
    for name, data in (block_files(x) | dict.fromkeys(added, b"")).items():
        file = PurePosixPath(name).name
        if file.startswith(x.module):
            found.add(file[len(x.module) :])
        if file.endswith((".v", ".h", ".c", ".cpp")):
            for word in re.findall(r"[A-Za-z_]\w*", _TEXT.sub(" ", data.decode())):
                for prefix in (x.module, x.module.upper()):
                    if word.startswith(f"{prefix}_"):
                        found.add(word[len(prefix) :])
    nodes = "|".join(node for node in x.network.order)
    stalls = re.compile(rf"_STALL_({nodes.upper()})\Z")
    return frozenset({""} | {stalls.sub("_STALL_NODE", end) for end in found})


def every() -> set[str]:
    return set(ends(0) | ends(1))


def test_every_ending_of_an_export_is_reserved_or_no_ending_of_another() -> None:
    """X_S is what Y makes of its own ending T only if Y is X_R and S is R_T; and then R is one that
    no network's module has."""
    assert {"_dma", "_counters", "_axi", "_axi.v", "_csr.h", ".h", "_CRC_RESULT"} <= every()
    assert {"_STALL_NODE", "_CONTROL_HOLD_MASK", "_TB_PORTS", "_CSR_H", "_H"} <= every()
    for long, short in product(every(), every()):
        between = long.removesuffix(short)
        if long.isupper() and not short:
            continue  # the name alone is no macro
        if long.endswith(short) and re.fullmatch(r"_[A-Za-z0-9_]+", between):
            assert between[1:].lower() in BESIDE, (long, short)


MADE = [f"_{word}" for word in BESIDE]
PARTS = st.sampled_from([*MADE, "_stall", "_id", "_a", "_", "_sta_stall_ll", "_h"])
NAMES = st.builds(
    lambda first, parts: first + "".join(parts),
    st.sampled_from(["a", "event", "sterna", "s_axis_t", "stall"]),
    st.lists(PARTS, max_size=4),
)


@given(NAMES, NAMES, st.lists(st.sampled_from(["id", "a", "a__id", "b_id", "dma"])))
@example("x", "x_dma", [])
@example("x", "x_stall", ["id"])
@example("event", "event_stall_a", ["a__id"])
@example("sterna", "stall_dma", ["dma__id"])
def test_no_two_networks_make_the_same_name(a: str, b: str, nodes: list[str]) -> None:
    assert NAME.match(a) and NAME.match(b)
    if a == b:
        return
    open_ends = {f"_STALL_{node.upper()}" for node in nodes}
    made = [set(), set()]
    for names, module in zip(made, map(module_name, (a, b)), strict=True):
        for end in every() | open_ends:
            names.add((module.upper() if end.isupper() else module) + end)
    assert not made[0] & made[1]
