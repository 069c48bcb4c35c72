"""The choice of an engine: where it is refused, what it leaves out, whose weights it takes."""

import json
from dataclasses import replace

import numpy as np
import pytest

from sterna.gen.build.report import core_rows
from sterna.gen.design.design import Design
from sterna.gen.design.engines import one_row
from sterna.gen.fold.fold import fold
from sterna.gen.model.cost import estimate
from sterna.gen.verilog.elaborate import elaborate, filled_spec, verilog_text
from sterna.gen.verilog.memory_images import memory_images, region_words, weights_image
from sterna.gen.verilog.placeholders import Placeholders
from sterna.golden.errors import DesignError
from sterna.golden.files.network_files import structure_id
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.hw.core.conv_spec import ConvSpec


def network(seed=0, groups=1, zeros=False):
    rng = np.random.default_rng(seed)
    draw = lambda *s: (rng.integers(-1, 2, s) * (not zeros)).astype(np.int8)  # noqa: E731
    return Network(
        2,
        [
            Input("x", (4, 4, 4), "frames"),
            Conv2d("c", "x", draw(4, 4 // groups, 3, 3), padding=(1, 1, 1, 1), groups=groups),
            Neuron("n", ("c",), NeuronRule(np.array([1, 2, 3, 2]))),
            Linear("f", "n", draw(3, 64)),
            Readout("r", ("f",), NeuronRule(np.zeros(3, int), reset="none")),
        ],
        name="net",
    )


CONSTANT = {"c": {"engine": "constant"}}
NET = network()


def refused(net, folding, **settings) -> str:
    with pytest.raises(DesignError) as e:
        fold(net, folding, **settings)
    return str(e.value)


@pytest.mark.parametrize(
    ("entry", "settings", "sentence"),
    [
        (
            {"engine": "magic"},
            {},
            "folding of 'c': engine 'magic' is not one of compress, constant, tables",
        ),
        (
            {"engine": ["x"]},
            {},
            "folding of 'c': engine ['x'] is not one of compress, constant, tables",
        ),
        (
            {"engine": "constant", "pe": 2},
            {},
            "node 'c': engine 'constant' needs all weights at work in every clock, pe 4 and simd "
            "36, not pe 2 and simd 36; give it these, or use engine 'compress'",
        ),
        (
            {"engine": "constant", "memory": "ram"},
            {},
            "node 'c': engine 'constant' has its weights in the logic, so its memory is 'rom', not "
            "'ram'; change that, or use engine 'compress'",
        ),
        ({"engine": "constant"}, {"memory": "ram"}, "so its memory is 'rom', not 'ram'"),
        (
            {"engine": "tables"},
            {"family": "ice40"},
            "node 'c': engine 'tables' needs LUT RAM, which ice40 has not; use engine 'compress'",
        ),
        (
            {"engine": "tables", "pe": 4, "simd": 12, "tp": 1},
            {"family": "ecp5"},
            "node 'c': pe 4 and simd 12 make 3 rows of weights, and engine 'tables' has at most 2 "
            "on ecp5; raise pe or simd, or use engine 'compress'",
        ),
        (
            {"engine": "tables", "pe": 1},
            {"family": "ecp5"},
            "node 'c': pe 1 and simd 36 make 4 rows of weights",
        ),
        (
            {"engine": "constant"},
            {"patchable": True},
            "where no bitstream can be patched; fold without --patchable, or use engine 'compress'",
        ),
        (
            {"ram_style": "tape"},
            {},
            "folding of 'c': ram_style 'tape' is not one of auto, block, distributed",
        ),
        ({"ram_style": ["block"]}, {}, "ram_style ['block'] is not one of auto, block,"),
        (
            {"engine": "constant", "ram_style": "block"},
            {},
            "node 'c': ram_style 'block' is of a weight memory, and engine 'constant' has none; "
            "leave ram_style out",
        ),
        (
            {"ram_style": "distributed"},
            {"patchable": True},
            "node 'c': ram_style 'distributed' puts fixed weights into logic, where no bitstream "
            "can be patched; use 'block', or fold without --patchable",
        ),
        (
            {"ram_style": "distributed"},
            {"family": "ice40", "memory": "ram"},
            "node 'c': iCE40 has no LUT RAM for the ram_style 'distributed'; use 'block'",
        ),
    ],
)
def test_refusals_name_the_node_the_cause_and_the_way_out(entry, settings, sentence):
    assert sentence in refused(NET, {"c": entry}, **settings)


def test_groups_are_refused_and_depthwise_is_not():
    assert refused(network(groups=2), CONSTANT) == (
        "node 'c': engine 'constant' needs all weights at work in every clock, and a convolution "
        "of several groups works on one at a time; use engine 'compress'"
    )
    core = fold(network(groups=4), CONSTANT).core("c")
    assert (core.pe, core.simd, core.engine) == (4, 9, "constant")


def test_a_dilated_window_is_never_one_row():
    conv = Conv2d("c", "x", np.ones((2, 2, 3, 3), int), dilation=(2, 2))
    network = Network(
        2,
        [
            Input("x", (2, 6, 6), "frames"),
            conv,
            Neuron("n", ("c",), NeuronRule(np.ones(2, int))),
            Linear("f", "n", np.ones((2, 8), int)),
            Readout("r", ("f",), NeuronRule(np.zeros(2, int), "none")),
        ],
    )
    assert one_row(network, "c") == {}
    with pytest.raises(DesignError, match="with dilation works on one pixel of its window at a"):
        fold(network, {"c": {"engine": "constant"}})
    with pytest.raises(DesignError, match="'c': simd 6 is not legal; use one of 1, 2"):
        fold(network, {"c": {"pe": 1, "simd": 6, "tp": 1}})


def test_the_solver_gives_constants_all_lanes():
    design = fold(NET, CONSTANT)
    assert {k: design.folding["c"][k] for k in ("pe", "simd", "engine", "memory")} == {
        "pe": 4,
        "simd": 36,
        "engine": "constant",
        "memory": "rom",
    }
    assert design.folding["f"]["engine"] == "compress" and design.core("f").constants is None
    assert fold(NET, design.folding).to_json() == design.to_json()
    assert Design.from_json(design.to_json()) == design


def test_a_design_without_engines_has_weights_in_memories():
    body = json.loads(fold(NET).to_json())
    for core in body["cores"]:
        del core["engine"], core["constants"]
    assert Design.from_json(json.dumps(body)) == fold(NET)


def test_constants_need_no_weight_memory():
    design = fold(NET, CONSTANT)
    assert [i.name for i in memory_images(NET, design)] == ["c_params", "f_weights", "f_params"]
    rows = {r["name"]: r for r in core_rows(NET, design)}
    assert rows["c"]["weight_bits"] == 0 and rows["f"]["weight_bits"] == 2 * 3 * 64
    assert rows["c"]["engine"] == "constant"
    spec = filled_spec(NET, design, contents=Placeholders("abc", "ecp5"))
    core = {c.name: c.spec for c in spec.cores}["c"]
    assert isinstance(core, ConvSpec)
    assert len(core.front.weights) == 1, "placeholders may not stand in for what is logic"


@pytest.mark.parametrize("memory", ["rom", "ram"])
def test_storage_is_what_was_demanded(memory):
    """In design.json, the Verilog and the estimate; left to the synthesiser nothing is said."""
    lutram, bram, marks = {}, {}, {}
    for style in ("auto", "block", "distributed"):
        entry = {"pe": 2, "simd": 12, "tp": 1, "ram_style": style}
        design = fold(NET, {"c": entry}, memory=memory, family="ecp5")
        assert design.folding["c"].get("ram_style", "auto") == style
        assert Design.from_json(design.to_json()).core("c").ram_style == style
        total = estimate(NET, design).total
        lutram[style], bram[style] = total.lutram, total.bram
        text = verilog_text(elaborate(NET, design), "net")
        marks[style] = {m for m in ("block", "distributed", "logic") if f'_style = "{m}"' in text}
    assert bram["block"] > bram["auto"] == bram["distributed"]  # six rows: too few for a block
    assert marks["block"] - marks["auto"] <= {"block"}
    if memory == "ram":
        assert lutram["distributed"] == lutram["auto"] > lutram["block"]
        assert marks["distributed"] - marks["auto"] == {"distributed"}
    else:
        assert marks["distributed"] - marks["auto"] == {"logic"}


def test_weights_in_the_logic_are_part_of_the_structure():
    """Other weights make another design, or are refused; other parameters are not."""
    other, design = network(1), fold(NET, CONSTANT)
    assert design.core("c").constants != fold(other, CONSTANT).core("c").constants
    ids = {structure_id(n, fold(n, CONSTANT).to_json()) for n in (NET, other)}
    assert len(ids) == 2
    for use in (memory_images, weights_image, elaborate):
        with pytest.raises(DesignError) as e:
            use(other, design)
        assert str(e.value) == (
            "node 'c': has its weights in the logic (engine 'constant'), and these are others; "
            "fold the network anew, or use engine 'compress'"
        )
    last = NET["f"]
    assert isinstance(last, Linear)
    turned = replace(last, weight=np.ascontiguousarray(last.weight[:, ::-1]))
    retrained = Network(2, [*NET.nodes[:3], turned, NET.nodes[4]], "net")
    assert weights_image(retrained, design) != weights_image(NET, design)


def test_a_layer_of_zeros_builds():
    net = network(zeros=True)
    assert "module" in verilog_text(elaborate(net, fold(net, CONSTANT)), "net")


def rows(core) -> int:
    return 4 // core.pe * (36 // core.simd)


@pytest.mark.parametrize(("family", "most"), [("ecp5", 2), ("xilinx7", 4), ("generic", 4)])
@pytest.mark.parametrize("target", [1, 10**6])
def test_tables_get_few_rows_of_weights(family, most, target):
    """As many lanes as the rate needs, and never more rows than LUT RAM is deep for."""
    design = fold(NET, {"c": {"engine": "tables"}}, family=family, target=target)
    core = design.core("c")
    assert core.engine == "tables" and core.constants is None
    assert rows(core) == (1 if target == 1 else most)
    assert fold(NET, design.folding, family=family, target=target).to_json() == design.to_json()


def test_tables_keep_a_half_that_is_given():
    core = fold(NET, {"c": {"engine": "tables", "pe": 2}}, family="ecp5").core("c")
    assert (core.pe, core.simd) == (2, 36)
    core = fold(NET, {"c": {"engine": "tables", "simd": 12}}).core("c")
    assert (core.pe, core.simd) == (4, 12)


def test_two_groups_are_two_rows_of_tables_and_four_are_refused_on_ecp5():
    core = fold(network(groups=2), {"c": {"engine": "tables"}}, family="ecp5").core("c")
    assert (core.pe, core.simd) == (2, 18)
    core = fold(network(groups=4), {"c": {"engine": "tables"}}, family="ecp5").core("c")
    assert core.pe * core.simd in (18, 36), "depthwise: half or all of the channels"


@pytest.mark.parametrize("memory", ["rom", "ram"])
def test_tables_have_their_weights_in_words(memory):
    """A memory of 32 bits, the same words as the wide one of 'compress' where the row is whole."""
    entry = {"pe": 4, "simd": 36, "tp": 1, "memory": memory}
    wide, narrow = (
        fold(NET, {"c": entry | {"engine": e}}, family="ecp5") for e in ("compress", "tables")
    )
    wide, narrow = (memory_images(NET, d)[0] for d in (wide, narrow))
    assert (narrow.name, narrow.depth, narrow.width) == ("c_weights", 9, 32)
    assert narrow.rows == list(region_words(wide))[:9] and not any(region_words(wide)[9:])
    assert list(region_words(narrow)) == narrow.rows


def test_placeholders_stand_in_for_the_words_of_tables():
    design = fold(NET, {"c": {"engine": "tables"}}, family="ecp5", patchable=True)
    spec = filled_spec(NET, design, contents=Placeholders("abc", "ecp5"))
    core = {c.name: c.spec for c in spec.cores}["c"]
    assert isinstance(core, ConvSpec) and core.front.ram_style == "block"
    assert len(core.front.weights) == 512 and max(core.front.weights) < 1 << 32
    assert "module" in verilog_text(
        elaborate(NET, design, contents=Placeholders("abc", "ecp5")), "n"
    )


def test_tables_are_estimated_with_their_lut_ram():
    """4 outputs of 36 inputs in threes, two to a LUT RAM of 6 LUT4, in two planes."""
    design = fold(NET, {"c": {"engine": "tables", "pe": 4, "simd": 36, "tp": 2}}, family="ecp5")
    plain = fold(NET, {"c": {"pe": 4, "simd": 36, "tp": 2}}, family="ecp5")
    tables, compress = (estimate(NET, d).cores["c"] for d in (design, plain))
    assert tables.lutram - compress.lutram == 2 * 12 * 2 * 6
    assert tables.luts < compress.luts
