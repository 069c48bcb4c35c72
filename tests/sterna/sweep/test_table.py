"""The table of a sweep: medians with intervals, fronts, and all rows in a file."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from sterna.sweep.plan import Job
from sterna.sweep.store import DONE, FAILED
from sterna.sweep.table import csv_text, job_text, median_interval, rows_of, summary_of
from sterna.sweep.task import Task


def found(row, **made):
    return {"state": DONE, "row": row, "made": {"seconds": 1.0, "host": "here", **made}}


def job(kind, **said):
    return Job(kind, "mine", said, Path(), "plan")


def test_the_median_has_its_interval():
    assert median_interval(range(5)) is None  # 2 / 2**5 is more than 5%
    assert median_interval(range(6)) == (0, 5)
    assert median_interval(range(10)) == (1, 8)  # of the sign test: 2nd and 9th of ten
    assert median_interval(range(100)) == (39, 60)
    low, high = median_interval(range(10_000))
    assert (low, high) == (4901, 5098)


@pytest.mark.parametrize("count", [6, 17, 60])
def test_the_interval_holds_the_median_as_often_as_it_says(count):
    rng = np.random.default_rng(1)
    held = [
        low <= np.log(2) <= high
        for low, high in (median_interval(rng.exponential(size=count)) for _ in range(2000))
    ]
    assert np.mean(held) > 0.94


def test_the_true_front_beside_the_estimated_one():
    points = [(100, 50, 60), (80, 40, 70), (60, 30, 20), (50, 35, 10)]  # fps, estimated, counted
    tasks = [Task("foldings", {"folding": n}, {}, None, "mine") for n in range(4)]
    rows = rows_of(
        job("foldings"),
        [
            (t, found({"fps": fps, "estimated_luts": guess, "luts": luts, "clocks": 9}))
            for t, (fps, guess, luts) in zip(tasks, points)
        ],
    )
    assert [r["front"] for r in rows] == ["both", "estimated", "both", "true"]
    summary = summary_of(job("foldings"), rows)
    assert (summary["front_true"], summary["front_estimated"]) == (3, 3)
    assert "3 on the true front" in job_text(job("foldings"), rows, summary)


def test_slices_of_a_test_set_are_added_up():
    tasks = [Task("accuracy", {"network": "net", "first": n}, {}, None, "mine") for n in (0, 90)]
    results = [found({"images": 90, "right": 81}), found({"images": 10, "right": 9})]
    rows = rows_of(job("accuracy"), list(zip(tasks, results)))
    (one,) = summary_of(job("accuracy"), rows)["networks"]
    assert (one["images"], one["right"], one["accuracy"]) == (100, 90, 0.9)
    assert one["accuracy_95"][0] < 0.9 < one["accuracy_95"][1]


def test_failed_missing_and_different_tools_are_said():
    tasks = [Task("seeds", {"board": "b", "seed": n}, {}, None, "mine") for n in range(4)]
    results = [
        found({"mhz": 40.0, "fps": 1.0}, tools={"nextpnr": {"version": "1", "kind": "wasm"}}),
        found({"mhz": 42.0, "fps": 1.0}, tools={"nextpnr": {"version": "2", "kind": "wasm"}}),
        {"state": FAILED, "error": "no, really", "made": {}},
        None,
    ]
    rows = rows_of(job("seeds"), list(zip(tasks, results)))
    text = job_text(job("seeds"), rows, summary := summary_of(job("seeds"), rows))
    assert (summary["done"], summary["failed"], summary["missing"]) == (2, 1, 1)
    assert "different versions of nextpnr: 1, 2" in text and "FAILED" in text
    assert "the best is seed 1" in text and "no, really" in text
    table = list(csv.DictReader(io.StringIO(csv_text(rows))))
    assert [r["state"] for r in table] == ["done", "done", "failed", "missing"]
    assert table[2]["error"] == "no, really" and table[1]["mhz"] == "42.0"
