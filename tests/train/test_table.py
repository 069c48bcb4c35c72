"""The table of training methods: rows with hardware and without, several seeds, conversion."""

import json

import pytest

from sterna.train.nq import read_nq
from sterna.train.recipe import read_recipe

CONVERSION = {"test_ann": 0.9} | {f"test_T{t}": 0.5 + t / 100 for t in (1, 2, 4, 8, 16)}


@pytest.fixture
def table(benchmark_module):
    return benchmark_module("training")


def row(name: str, **more) -> dict:
    made = {"row": name, "method": "m", "data": "d", "kind": "ternary", "steps": 4, "seed": 1,
            "float": 0.5, "interval": (0.4, 0.6), "minutes": 1.2, "conversion": {}}  # fmt: skip
    return made | more


def built(name: str, integer: float, **more) -> dict:
    return row(name, integer=integer, rtl=0.75, rtl_images=1000, mismatches=0, clocks=6272.0,
               spikes=12.4, weights=99, **more)  # fmt: skip


def test_every_row_names_a_recipe(table) -> None:
    for name, entry in table.ROWS.items():
        path = table.ROOT / "examples" / entry.recipe
        assert path.is_file() or (path / "recipe.toml").is_file(), name


def test_results_have_the_method_of_their_row_and_of_its_recipe(table) -> None:
    for result in json.loads(table.RESULTS.read_text()).values():
        entry = table.ROWS[result["row"]]
        assert result["method"] == entry.method, result["row"]
        path = table.ROOT / "examples" / entry.recipe
        recipe = read_recipe(path)
        nq = None if recipe.nq is None else read_nq("", recipe.nq)
        word = "surrogate" if nq is None else "NQ" if nq.noise else "QCFS"
        if recipe.stidi is None and recipe.twin is None and "alone" not in entry.method:
            assert entry.method.split()[0].rstrip(",") == word, result["row"]


def test_rows_of_hardware_and_of_real_weights(table) -> None:
    found = table.lines({"a": built("fashion", 0.25), "b": row("nq_real", kind="real")})[2:]
    assert found == [
        "| `fashion` | surrogate gradient | d | ternary | 4 | 1 | 99 | 12 | 6272 | 50.00 "
        "| 25.00 (40.00 to 60.00) | 75.00, 1000, 0 | 1 |",
        "| `nq_real` | NQ, converted only | d | real | 4 | 1 | - | - | - "
        "| 50.00 (40.00 to 60.00) | - | - | 1 |",
    ]


def test_seeds_are_joined_and_real_weights_left_out(table) -> None:
    results = {k: built("tna", v) for k, v in (("a", 0.5), ("b", 0.52), ("c", 0.54))}
    found = table.spread_lines(results | {"d": row("nq_real")})[2:]
    assert found == ["| `tna` | TNA | 3 | 52.00 | 2.00 |"]


def test_conversion_with_and_without_corrected_biases(table) -> None:
    both = CONVERSION | {f"test_corrected_T{t}": 0.8 for t in (1, 2, 4, 8, 16)}
    found = table.conversion_lines({"a": row("nq", conversion=both), "b": row("fashion")})[2:]
    assert found == [
        "| `nq` | 90.00 | 51.00 | 52.00 | 54.00 | 58.00 | 66.00 |",
        "| `nq`, biases corrected | 90.00 | 80.00 | 80.00 | 80.00 | 80.00 | 80.00 |",
    ]


def test_the_interval_is_wilsons(table) -> None:
    low, high = table.interval(0.99, 100)  # of a table of confidence intervals: 94.6 to 99.8
    assert low == pytest.approx(0.9455, abs=1e-4) and high == pytest.approx(0.9982, abs=1e-4)
