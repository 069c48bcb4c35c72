"""Every kind of node has all that it needs: no table forgets one."""

from typing import get_args

from sterna.gen.design.stream_cores import stream_core
from sterna.gen.model import features, token_graph
from sterna.gen.quantize import float_nodes
from sterna.golden.nodes import KINDS, StreamNode
from sterna.hw.top.network_top import CORES, CoreSpec


def test_every_node_of_streams_has_a_core() -> None:
    for kind in KINDS.values():
        core = stream_core(object.__new__(kind))
        assert (core is not None) == issubclass(kind, StreamNode), kind


def test_every_core_has_hardware_a_size_and_a_flow() -> None:
    specs = set(get_args(CoreSpec))
    assert set(CORES) == set(features._PARTS) == set(token_graph._FLOWS) == specs


def test_every_node_is_what_a_float_node_becomes() -> None:
    assert {op: kind.becomes for op, kind in float_nodes.KINDS.items()} == KINDS
