"""What is asked of a folding: the same sentence whether it is solved or folded."""

import json
from typing import Any

import numpy as np
import pytest
from repo import EXAMPLES

from sterna.gen.build.folding_file import read_folding
from sterna.gen.build.stages import Options, ensure
from sterna.gen.fold.choice import Limits
from sterna.gen.fold.fold import fold
from sterna.gen.fold.goals import check_settings
from sterna.gen.fold.solve import solve
from sterna.golden.errors import DesignError, SternaError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.network import Conv2d, Input, Linear, Network, Neuron, Readout
from sterna.golden.rule import NeuronRule
from sterna.golden.words.names import show


def network() -> Network:
    """Two convolutions of one neuron and a classifier."""
    rng = np.random.default_rng(1)

    def trits(*shape: int) -> np.ndarray:
        return rng.integers(-1, 2, shape).astype(np.int8)

    return Network(
        2,
        [
            Input("x", (2, 4, 4), "direct"),
            Conv2d("c", "x", trits(4, 2, 1, 1)),
            Conv2d("d", "x", trits(4, 2, 1, 1)),
            Neuron("n", ("c", "d"), NeuronRule(np.full(4, 9), shifts=(0, 0))),
            Linear("f", "n", trits(3, 64)),
            Readout("r", ("f",), NeuronRule(np.zeros(3, int), "none")),
        ],
        name="goals",
    )


NET = network()


def refused(kind: type[SternaError], function, *given: Any, **settings: Any) -> str:
    with pytest.raises(kind) as e:
        function(*given, **settings)
    assert "\n" not in str(e.value)
    return str(e.value)


@pytest.mark.parametrize("value", [0, -1, "5", float("nan"), float("inf"), True, 1e-30, 10**400])
@pytest.mark.parametrize("goal", ["fps", "luts"])
def test_a_goal_is_a_positive_number(goal, value):
    text = refused(UsageError, solve, NET, family="ecp5", **{goal: value})
    assert text == f"{goal} {show(value)}: give a number above 1e-06 and below 1e+12"


def test_numbers_of_any_kind_and_size_are_goals():
    numbers: dict[str, Any] = {"fps": np.float32(1000), "luts": np.int64(20_000)}
    solve(NET, family="ecp5", **numbers)
    solve(NET, family="ecp5", fps=2e-6, clock_mhz=400)
    with pytest.raises(DesignError, match="lower the fps or raise the clock"):
        solve(NET, family="ecp5", fps=9e11, clock_mhz=2e-6)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"clock_mhz": "100"}, "clock_mhz '100' must be a number above 1e-06 and below 1e+12"),
        ({"clock_mhz": True}, "clock_mhz True must be a number above 1e-06 and below 1e+12"),
        ({"clock_mhz": 0}, "clock_mhz 0 must be a number above 1e-06 and below 1e+12"),
        ({"family": ["a"]}, "family ['a'] is not one of generic, ecp5, xilinx7, ice40"),
        ({"axis_width": "8"}, "an AXI4-Stream of '8' bits; use a multiple of 8 up to 512"),
        ({"axis_width": 12}, "an AXI4-Stream of 12 bits; use a multiple of 8 up to 512"),
    ],
)
def test_settings_are_refused_alike_with_and_without_a_goal(
    settings: dict[str, Any], sentence: str, tmp_path
):
    def folded(**goal: Any):
        options: dict[str, Any] = read_folding(path) | goal
        return ensure(tmp_path / "net", "fold", Options(**options), tmp_path / "b")

    files.save(NET, tmp_path / "net")
    path = tmp_path / "f.json"
    path.write_text(json.dumps(settings | {"folding": {}}))
    assert refused(DesignError, fold, NET, **settings) == sentence
    assert refused(DesignError, folded) == sentence
    for goal in ({"fps": 1000.0}, {"luts": 9000}):
        assert refused(DesignError, solve, NET, **settings, **goal) == sentence
        assert refused(DesignError, folded, **goal) == sentence


@pytest.mark.parametrize("make", [fold, solve])
def test_a_memory_and_patchable_are_checked_before_anything_is_solved(make):
    assert "memory 'flash' is not" in refused(DesignError, make, NET, memory="flash")
    assert "patchable 'no' is not" in refused(DesignError, make, NET, patchable="no")


@pytest.mark.parametrize("name", ["c", "d"])
def test_the_memory_of_one_input_of_a_neuron_holds_for_its_others(name):
    """As where nothing is solved; what is said of each is kept, and refused where it differs."""
    given = {name: {"memory": "ram"}}
    for found in (fold(NET, given), solve(NET, given, family="ecp5", fps=1000).design):
        assert {c.name: c.memory for c in found.cores} == {"c": "ram", "d": "ram", "f": "rom"}
    assert given == {name: {"memory": "ram"}}
    unlike = {"c": {"memory": "rom"}, "d": {"memory": "ram"}}
    for make, more in ((fold, {}), (solve, {"family": "ecp5", "fps": 1000})):
        assert "feeds the same neuron; give both" in refused(DesignError, make, NET, unlike, **more)


def test_a_folder_is_not_a_network():
    for do in (fold, solve):
        with pytest.raises(UsageError, match="is not a Network; give sterna.load"):
            do("examples/digits")  # pyright: ignore[reportArgumentType]


def test_a_family_that_is_not_the_boards_is_refused_however_it_is_said(tmp_path):
    folder = EXAMPLES / "digits"
    ensure(folder, "fold", Options(board="icebreaker", fps=100), tmp_path)
    before = (tmp_path / "design.json").read_bytes()
    for family in ("generic", "ecp5"):
        with pytest.raises(UsageError, match=f"of family ice40, not {family}; leave --family out"):
            ensure(folder, "fold", Options(family=family), tmp_path)
    assert (tmp_path / "design.json").read_bytes() == before


def test_given_storage_is_checked_before_the_search_and_rules_out_constants():
    net = network()
    with pytest.raises(DesignError, match="'c': iCE40 has no LUT RAM for the ram_style"):
        solve(net, {"c": {"ram_style": "distributed", "memory": "ram"}}, family="ice40", fps=100)
    with pytest.raises(DesignError, match="'d': memory rom differs from the ram of 'c', which"):
        solve(net, {"c": {"memory": "ram"}, "d": {"memory": "rom"}}, family="ecp5", fps=100)
    fastest = 0.99 * 100e6 / solve(net, family="ecp5", luts=100_000).design.interval
    assert solve(net, family="ecp5", fps=fastest).design.constants
    found = solve(net, {"c": {"ram_style": "block"}}, family="ecp5", fps=fastest)
    assert found.design.folding["c"]["ram_style"] == "block"
    assert "c" not in found.design.constants


def test_what_is_to_be_patched_stays_in_block_ram_where_it_is_short(monkeypatch):
    folder = EXAMPLES / "nmnist"
    net, few = files.load(folder), Limits(luts=100_000, bram=7, where="a board")
    monkeypatch.setattr("sterna.gen.fold.solve.board_limits", lambda board: ("ecp5", few))
    found = solve(net, board="icebreaker", fps=2000, patchable=True)
    assert all("ram_style" not in entry for entry in found.design.folding.values())
    assert found.chosen.estimate.total.bram <= 7


@pytest.mark.parametrize("beside", [{"board": "ulx3s-25f"}, {"luts": 5000}])
def test_limits_stand_alone(beside):
    """A board, or LUTs, would be taken for them without a word."""
    net = files.load(EXAMPLES / "digits")
    with pytest.raises(UsageError, match="a board or LUTs in its place, not both"):
        solve(net, limits=Limits(luts=9000, where="here"), **beside)


def test_a_rate_is_reached_by_the_whole_network():
    """Near the fastest there is, cores of a few clocks a row hold each other up."""
    rng = np.random.default_rng(6)
    trits = lambda *shape: rng.integers(-1, 2, shape).astype(np.int8)  # noqa: E731
    net = Network(
        8,
        [
            Input("x", (2, 4, 4), "direct"),
            Conv2d("c", "x", trits(4, 2, 3, 3), padding=(1, 1, 1, 1)),
            Neuron("n", ("c",), NeuronRule(np.full(4, 3))),
            Linear("f", "n", trits(4, 64)),
            Readout("r", ("f",), NeuronRule(np.zeros(4, int), "none")),
        ],
    )
    for target in (16, 17, 19, 32):
        design = solve(net, family="xilinx7", fps=100e6 / (target + 0.01)).design
        assert design.modelled_interval is not None and design.modelled_interval <= target
    with pytest.raises(DesignError, match="15 are left at .* lower the fps or raise the clock"):
        solve(net, family="xilinx7", fps=100e6 / 15.01)


@pytest.mark.parametrize(
    ("family", "most"), [("ecp5", 400), ("ice40", 275), ("xilinx7", 800), ("generic", 800)]
)
def test_a_clock_is_one_that_a_device_has(family: str, most: float) -> None:
    check_settings(family=family, clock_mhz=most)
    for asked in (most + 1, 5000.0, 9e11):
        with pytest.raises(DesignError, match=f"more than {most} MHz.*lower --clock"):
            check_settings(family=family, clock_mhz=asked)
    for make in (fold, solve):
        with pytest.raises(DesignError, match=f"more than {most} MHz"):
            make(NET, family=family, clock_mhz=most + 1)


def test_a_clock_is_one_that_the_board_has() -> None:
    """Whose family is not said."""
    with pytest.raises(DesignError, match="no PLL of iCE40 makes more than 275 MHz"):
        solve(NET, board="icebreaker", clock_mhz=300)
