"""The order of a graph: inputs first, else as given; unknown nodes and cycles are named."""

import pytest

from sterna.golden.errors import NetworkError
from sterna.golden.graph import inputs_first


def test_a_list_in_order_keeps_it_and_others_follow_what_they_read():
    assert inputs_first({"a": (), "c": ("a",), "b": ("a",), "d": ("b", "c")}) == list("acbd")
    assert inputs_first({"d": ("b", "c"), "c": ("a",), "b": ("a",), "a": ()}) == list("abcd")
    deep = {f"n{k}": (f"n{k + 1}",) for k in range(5000)} | {"n5000": ()}
    assert inputs_first(deep) == list(reversed(deep))


def test_unknown_nodes_and_cycles_are_named():
    with pytest.raises(NetworkError, match="'b': reads unknown node 'x'; known nodes are a, b"):
        inputs_first({"a": (), "b": ("a", "x")})
    for inputs in ({"a": ("a",)}, {"a": ("b",), "b": ("a",)}):
        with pytest.raises(NetworkError, match="node 'a': is part of a cycle through '[ab]'"):
            inputs_first(inputs)
