"""Names: which there are, what becomes of others, and that no two become one."""

# Arguments of other types than declared are what is tested.
# pyright: reportArgumentType=false, reportCallIssue=false

import keyword
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sterna.golden.errors import NetworkError
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.golden.words.names import (
    BESIDE,
    MAX_NAME,
    NAME,
    Scope,
    check_name,
    legal_name,
    meant,
    module_name,
    not_one_of,
    show,
)
from sterna.golden.words.reserved import RESERVED

legal = st.from_regex(NAME, fullmatch=True)


def network(name: str = "net", node: str = "c") -> Network:
    rule = NeuronRule(np.ones(2))
    return Network(
        2,
        [
            Input("x", (1, 4, 4), bits=4),
            Conv2d(node, "x", np.ones((2, 1, 3, 3))),
            Neuron("n", node, rule),
            Linear("f", "n", np.ones((3, 8))),
            Readout("r", "f", NeuronRule(np.zeros(3), "none")),
        ],
        name,
    )


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("0.conv", "n0_conv"),
        ("layers.0.conv", "layers_0_conv"),
        ("MyBuild-1", "mybuild_1"),
        ("Conv", "conv"),
        ("", "network"),
        ("\u65e5\u672c", "network"),
        ("a b", "a_b"),
        ("a\0", "a"),
        ("a\n", "a"),
        ("\uff41", "network"),
        ("_x", "x"),
        ("x" * 250, "x" * 55 + "_"),
    ],
)
def test_a_name_outside_the_grammar_is_refused_with_one_inside(name: str, instead: str) -> None:
    rule = r"must match \[a-z\]\[a-z0-9_\]\*, at most 64 characters; call it '"
    for make, begin in (
        (lambda: network(name), "network: name .*"),
        (lambda: network(node=name), "node .*: names "),
    ):
        with pytest.raises(NetworkError, match=f"{begin}{rule}{instead}") as refused:
            make()
        assert "\n" not in str(refused.value) and len(str(refused.value)) < 300
    assert NAME.match(legal_name(name))


@pytest.mark.parametrize("name", [None, 5, b"conv", 10**5000, ["a"]], ids=range(5))
def test_a_name_is_text(name: object) -> None:
    with pytest.raises(NetworkError, match=r"must match .* 64 characters$"):
        check_name(name, f"node {show(name)}: names")


@given(st.text(max_size=300))
def test_every_text_has_a_legal_name(text: str) -> None:
    assert NAME.match(legal_name(text))


@given(legal)
def test_a_legal_name_is_its_own(name: str) -> None:
    assert legal_name(name) == name == check_name(name, "")


MADE = [f"_{word}" for word in BESIDE]
"""What is put behind the name of a network's module."""
ENDS, UNDERSCORES = st.sampled_from(["", *MADE]), st.sampled_from(["", "_", "__"])


@given(
    st.lists(
        st.one_of(
            legal,
            st.sampled_from(sorted(RESERVED)).flatmap(
                lambda w: st.sampled_from([w, f"sterna_{w}", f"sterna_sterna_{w}"])
            ),
            st.builds("{}{}{}".format, st.sampled_from(["a", "top"]), ENDS, UNDERSCORES),
            st.builds("{}_stall{}{}".format, st.sampled_from(["a", "event"]), ENDS, UNDERSCORES),
        ),
        unique=True,
    )
)
def test_no_two_networks_are_one_module(names: list[str]) -> None:
    modules = [module_name(name) for name in names]
    assert len(set(modules)) == len(names)
    for name, module in zip(names, modules, strict=True):
        kept = re.sub(r"_stall(?=_|$)", "", name)
        assert module.startswith((kept, f"sterna_{kept}")) and module not in RESERVED
        assert re.fullmatch(r"[a-z][a-z0-9_]*", module) and len(module) <= MAX_NAME + 11
        assert not {f"{module}{end}" for end in MADE} & set(modules)


def test_shipped_names_are_kept_and_reserved_ones_are_not() -> None:
    for name in ("digits", "mnist", "skip4_mix", "resnet20", "nmnist", "peer_conv8", "network"):
        assert module_name(name) == name
    for word in (
        "event",
        "module",
        "wire",
        "logic",
        "class",
        "int",
        "signal",
        "entity",
        "con",
        "nul",
        "com1",
        "lambda",
        "register",
        "s_axis_tdata",
        "tap_x_valid",
        "limit_0",
        "clk",
        "sterna_leaf_x",
        "sterna_pins",
        "uwire",
        "always_ff",
        "co_await",
        "top",
        "dut",
    ):
        assert module_name(word) == f"sterna_{word}"
    python = {word for word in (*keyword.kwlist, *keyword.softkwlist) if NAME.match(word)}
    assert python <= RESERVED and all(NAME.match(word) for word in RESERVED)


@given(st.lists(st.sampled_from(["a", "a__2", "a__3", "control", "gear_a", "gear_a_1"])))
def test_a_scope_gives_no_name_twice(wanted: list[str]) -> None:
    scope = Scope(("control",))
    given_names = [scope.name(name) for name in wanted]
    assert len({*given_names, "control"}) == len(wanted) + 1
    again = Scope(("control",))
    assert [again.name(name) for name in wanted] == given_names


def test_anything_can_be_shown() -> None:
    class Rude:
        def __repr__(self) -> str:
            raise RuntimeError

    assert show(10**5000) == "a number of 16610 bits" and show(True) == "True"
    assert show(Rude()) == "a Rude" and show([10**5000]) == "a list"
    assert len(show("x" * 999)) == 60 and "\n" not in show("a\nb")


def test_what_was_meant_is_said_where_something_is_like_it() -> None:
    assert meant("wron", ["wrong", "right"]) == " (did you mean 'wrong'?)"
    assert meant("WRONG", ["right", "wrong"]) == " (did you mean 'wrong'?)"
    for nothing in ("xyz", "", None, 3, ["wrong"], "wrong"):
        assert meant(nothing, ["wrong", "right"]) == ""
    assert meant("x" * 10**6, ["wrong"]) == ""
    assert meant("rigth", ["wrong", "right"]) == " (did you mean 'right'?)"
    assert meant("smi", ["slim", "sim"]) == " (did you mean 'sim'?)"
    boards = [f"ulx3s-{n}f" for n in (12, 85)]
    assert meant("ulx3", boards) == " (did you mean 'ulx3s-12f' or 'ulx3s-85f'?)"
    assert meant("vall", ["test", "validation"]) == " (did you mean 'validation'?)"
    assert meant("ul", boards) == "" and meant("abc", [f"abc{n:04}" for n in range(9)]) == ""
    words = ("ecp5", "ice40")
    assert not_one_of("ecp6", words) == "'ecp6' is not one of ecp5, ice40 (did you mean 'ecp5'?)"
    assert not_one_of(7, words) == "7 is not one of ecp5, ice40"
