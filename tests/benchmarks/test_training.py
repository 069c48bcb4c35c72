"""The table of training methods: rows with hardware and without, several seeds, conversion."""

import json

import pytest
import training as table

from sterna.train.methods.stidi import read_stidi
from sterna.train.module.nq import read_nq
from sterna.train.recipe.recipe import read_recipe

CONVERSION = {"test_ann": 0.9} | {f"test_T{t}": 0.5 + t / 100 for t in (1, 2, 4, 8, 16)}


def row(name: str, **more) -> dict:
    made = {
        "row": name,
        "method": "m",
        "data": "d",
        "kind": "ternary",
        "steps": 4,
        "seed": 1,
        "tested": 10000,
        "float": 0.5,
        "interval": (0.4, 0.6),
        "minutes": 1.2,
        "conversion": {},
    }
    return made | more


def built(name: str, integer: float, **more) -> dict:
    return row(
        name,
        integer=integer,
        rtl=0.75,
        rtl_images=1000,
        mismatches=0,
        clocks=6272.0,
        spikes=12.4,
        weights=99,
        **more,
    )


def test_every_row_names_a_recipe() -> None:
    for name, entry in table.ROWS.items():
        path = table.ROOT / "examples" / entry.recipe
        assert path.is_file() or (path / "recipe.toml").is_file(), name


def test_results_have_the_method_of_their_row_and_of_its_recipe() -> None:
    for result in json.loads(table.RESULTS.read_text()).values():
        entry = table.ROWS[result["row"]]
        assert result["method"] == entry.method, result["row"]
        path = table.ROOT / "examples" / entry.recipe
        recipe = read_recipe(path)
        nq = None if recipe.nq is None else read_nq("", recipe.nq)
        word = "surrogate" if nq is None else "NQ" if nq.noise else "QCFS"
        if recipe.stidi is None and recipe.twin is None and "alone" not in entry.method:
            assert entry.method.split()[0].rstrip(",") == word, result["row"]


def test_rows_of_hardware_and_of_real_weights() -> None:
    found = table.lines({"a": built("fashion", 0.25), "b": row("nq_real", kind="real")})[2:]
    assert found == [
        "| `fashion` | surrogate gradient | d | ternary | 4 | 1 | 99 | 12 | 6272 | 50.00 "
        "| 25.00 (40.00 to 60.00), not shipped | 75.00 (72.22 to 77.58), 1000, 0 | 1 |",
        "| `nq_real` | NQ, converted only; noise on | d | real | 4 | 1 | - | - | - "
        "| 50.00 (40.00 to 60.00) | - | - | 1 |",
    ]


def test_seeds_are_joined_and_real_weights_left_out() -> None:
    results = {k: built("tna", v) for k, v in (("a", 0.5), ("b", 0.52), ("c", 0.54))}
    found = table.spread_lines(results | {"d": row("nq_real")})[2:]
    assert found == ["| `tna` | TNA | 3 | 52.00 | 2.00 |"]


def test_conversion_with_and_without_corrected_biases() -> None:
    both = CONVERSION | {f"test_corrected_T{t}": 0.8 for t in (1, 2, 4, 8, 16)}
    found = table.conversion_lines({"a": row("nq", conversion=both), "b": row("fashion")})[2:]
    assert found == [
        "| `nq` | on | 10000 | 90.00 | 51.00 | 52.00 | 54.00 | 58.00 | 66.00 | 53.02 to 54.98 |",
        "| `nq`, biases corrected | on | 10000 | 90.00 | 80.00 | 80.00 | 80.00 | 80.00 | 80.00 "
        "| 79.20 to 80.77 |",
    ]
    normed = CONVERSION | {f"test_normed_T{t}": 0.7 for t in (1, 2, 4, 8, 16)}
    found = table.conversion_lines({"a": row("nq", conversion=normed)})[3]
    assert found.startswith("| `nq`, norms of each T | on | 10000 | 90.00 | 70.00 |")
    few = table.conversion_lines({"a": row("resnet20", conversion=CONVERSION, tested=1000)})[2:]
    assert few[0].startswith("| `resnet20` | off | 1000 | 90.00 |")
    assert few[0].endswith("| 50.90 to 57.07 |")


def test_a_row_says_whose_rule_it_is_and_whether_noise_was_on() -> None:
    said = {name: table.method(entry) for name, entry in table.ROWS.items()}
    assert said["ttfs_wide"] == "STiDi-BP, exact rule (ours)"
    assert said["ttfs_local"] == "STiDi-BP, local rule (the paper's)"
    assert said["resnet20"] == "QCFS, tuned; residual blocks; noise off"
    assert said["nq"] == "NQ with FTBC, converted only; noise on"
    assert said["tna"] == "TNA" and said["fashion"] == "surrogate gradient"
    for name, entry in table.ROWS.items():  # and of every row its recipe decides, not its name
        recipe = read_recipe(table.ROOT / "examples" / entry.recipe)
        rule = None if recipe.stidi is None else read_stidi("", recipe.stidi)
        noise = None if recipe.nq is None else read_nq("", recipe.nq)
        assert (" rule (ours)" in said[name]) == (rule is not None and rule.rule == "exact")
        assert ("(the paper's)" in said[name]) == (rule is not None and rule.rule == "local")
        assert ("; noise on" in said[name]) == (noise is not None and noise.noise)
        assert ("; noise off" in said[name]) == (noise is not None and not noise.noise)


def test_a_row_without_its_network_in_the_repository_says_so() -> None:
    results = json.loads(table.RESULTS.read_text())
    missing = {
        r["row"] for r in results.values() if "integer" in r and not table.ships(r["row"], r)
    }
    own = {"cifar10", "fashion_binary_wide", "ttfs_wide", "ttfs_fashion_wide"}
    assert own <= missing
    assert missing - own <= {"nq_qcfs", "tna", "tna_alone", "tna_same", "tna_distill"}
    assert table.ships("tna", results["tna_1"]) and not table.ships("tna", results["tna_2"])
    told = {line.split("`")[1]: line for line in table.lines(results)[2:]}
    assert all(", not shipped |" in told[name] for name in own)
    assert ", not shipped" not in told["resnet20"] and ", not shipped" not in told["ttfs_real"]


def test_figures_of_few_images_never_stand_without_their_interval() -> None:
    assert table.with_interval(0.756, 1000) == "75.60 (72.84 to 78.16)"
    assert table.with_interval(0.756, 10000) == "75.60"
    found = table.lines({"a": built("resnet20", 0.756, tested=1000)})[2]
    assert "| 50.00 (46.91 to 53.09) | 75.60 (40.00 to 60.00)" in found
    assert "| 75.00 (72.22 to 77.58), 1000, 0 |" in found


def test_the_page_has_the_table_of_the_results() -> None:
    """docs/results.md is made again whenever results or rows change."""
    results = json.loads(table.RESULTS.read_text())
    page = table.DOCS.read_text()
    for part in (
        table.lines(results),
        table.spread_lines(results),
        table.conversion_lines(results),
    ):
        assert "\n".join(part) in page


def test_the_interval_is_wilsons() -> None:
    low, high = table.wilson(0.99, 100)  # of a table of confidence intervals: 94.6 to 99.8
    assert low == pytest.approx(0.9455, abs=1e-4) and high == pytest.approx(0.9982, abs=1e-4)
