"""Sweeps on workers that are threads: results are filed, gone on with, done again where damaged."""

import csv
import json
import os
from dataclasses import replace

import pytest
from sweepcase import HERE, swept, write_plan

import sterna.sweep.work as work
from sterna import cli
from sterna.golden.errors import DesignError, SternaError, ToolMissing, UsageError
from sterna.sweep.cluster import Place, check_place, connected, job_script
from sterna.sweep.command import run_sweep
from sterna.sweep.plan import read_plan

JOB = '[[jobs]]\nkind = "script"\ncall = "calls.py:square"\nfiles = "helper.py"\n'


@pytest.fixture
def plan(tmp_path):
    return write_plan(tmp_path / "my plän", JOB + 'arguments = { n = "0-9", word = ["a", "b"] }\n')


def test_what_a_folder_brings_is_not_run_unasked(plan, tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["sweep", str(plan), "-o", str(out)]) == 2
    said = capsys.readouterr().err
    assert (
        "call = 'calls.py:square' runs with your rights; read it, then give --run-scripts" in said
    )
    assert not out.exists()


def test_what_is_filed_is_not_done_again(plan, tmp_path, capsys):
    out = tmp_path / "out ü"
    answer, text, failed = swept(plan, out)
    rows = answer["jobs"][0]["rows"]
    assert (answer["ran"], answer["tasks"], failed) == (20, 20, 2)
    assert [r["square"] for r in rows if r["state"] == "done" and r["word"] == "b"] == [
        n * n for n in range(10) if n != 3
    ]
    assert "ValueError: three is bad (calls.py, line 6)" in text
    kept = {p.name: p.read_bytes() for p in (out / "results").iterdir()}
    table = (out / "table.json").read_bytes(), (out / "table.csv").read_bytes()
    assert len(list(csv.reader((out / "table.csv").open()))) == 21

    again, _, failed = swept(plan, out)
    assert (again["ran"], failed) == (0, 2) and again["jobs"] == answer["jobs"]
    assert {p.name: p.read_bytes() for p in (out / "results").iterdir()} == kept
    assert table == ((out / "table.json").read_bytes(), (out / "table.csv").read_bytes())

    # More of the plan, and a file that was cut, edited, renamed: done again and named.
    plan.write_text(plan.read_text().replace("0-9", "0-10"))
    done = [p for p in sorted((out / "results").iterdir()) if '"done"' in p.read_text()]
    done[0].write_bytes(done[0].read_bytes()[:-40])
    done[1].write_text(done[1].read_text().replace('"square": ', '"square": 1'))
    done[2].write_bytes(done[3].read_bytes())
    os.unlink(done[4])
    capsys.readouterr()
    more, _, _ = swept(plan, out)
    said = capsys.readouterr().err
    assert more["ran"] == 2 + 4 and all(f"{p}: was cut or altered" in said for p in done[:3])
    rows = more["jobs"][0]["rows"]
    assert [r["square"] for r in rows if r["state"] == "done"] == [
        n * n for n in range(11) for _ in "ab" if n != 3
    ]


def test_what_failed_is_done_again_where_that_is_asked(plan, tmp_path):
    plan.with_name("calls.py").write_text(
        "import os\ndef square(n, word):\n"
        f"    if not os.path.exists({str(tmp_path / 'mended')!r}):\n"
        "        raise RuntimeError\n    return {'n2': n}\n"
    )
    plan.write_text(plan.read_text().replace("0-9", "0-1"))
    assert swept(plan, tmp_path / "out")[2] == 4
    (tmp_path / "mended").touch()
    assert swept(plan, tmp_path / "out")[2] == 4
    answer, _, failed = swept(plan, tmp_path / "out", retry=True)
    assert (answer["ran"], failed) == (4, 0)


@pytest.mark.parametrize("back", ["[1]", "{'x': float('nan')}", "{'x': open}", "{'tools': 1}"])
def test_a_script_returns_words_and_numbers(tmp_path, back):
    plan = write_plan(tmp_path, JOB + "arguments = {}\n", f"def square():\n    return {back}\n")
    _, text, failed = swept(plan, tmp_path / "out")
    assert failed == 1 and "return a dict of texts and finite numbers" in text


def test_a_folder_of_something_else_is_left_alone(plan, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").touch()
    with pytest.raises(UsageError, match="is no sweep, and not empty"):
        swept(plan, tmp_path / "mine")
    (tmp_path / "mine" / "sweep.json").write_text("{}")
    with pytest.raises(SternaError, match="not of a sweep that this Sterna reads"):
        swept(plan, tmp_path / "mine")


def test_a_test_set_in_slices_is_the_whole_one(tmp_path):
    import sterna
    from sterna.data import ImageSet

    plan = tmp_path / "plan.toml"
    plan.write_text('[[jobs]]\nkind = "accuracy"\nnetworks = "digits"\nslice = 100\n')
    answer, text, failed = swept(plan, tmp_path / "out")
    facts = sterna.evaluate(sterna.example("digits"), ImageSet("digits", "test"))
    (one,) = answer["jobs"][0]["summary"]["networks"]
    assert (one["images"], one["right"], failed) == (facts.images, facts.right, 0)
    assert f"{facts.right} of {facts.images} right" in text


def test_candidates_are_computed_once_and_filed(tmp_path, monkeypatch):
    """Without yosys: what it would count is the estimate here."""
    calls = []

    def counted(said, inputs, before, folder):
        calls.append(said)
        return {"clocks": 1, "fps": 1.0, "luts": 5, "estimated_luts": 4, "tools": {}}

    monkeypatch.setitem(work.KINDS, "foldings", counted)
    monkeypatch.setitem(work.NEEDS, "foldings", ((), ()))
    plan = tmp_path / "plan.toml"
    plan.write_text('[[jobs]]\nkind = "foldings"\nnetwork = "digits"\npoints = 3\n')
    answer, _, _ = swept(plan, tmp_path / "out")
    assert 1 <= answer["tasks"] == len(calls) <= 3
    assert all({"pe", "simd", "tp"} <= set(e) for c in calls for e in c["folding"].values())
    monkeypatch.setitem(work.KINDS, "candidates", None)  # called again it would fail
    assert swept(plan, tmp_path / "out")[0]["ran"] == 0


def test_a_folding_that_does_not_fit_says_by_how_much_and_looks_for_no_other(tmp_path, monkeypatch):
    import tinyboard

    import sterna.gen.board.bitstream as bitstream

    used = {"luts": (9000, 5280), "ff": (1, 5280), "bram": (3, 30)}
    monkeypatch.setattr(bitstream, "synthesise", lambda *_: {})
    monkeypatch.setattr(bitstream, "utilisation", lambda *_: used)
    monkeypatch.setattr(bitstream, "too_big", None)
    built = tinyboard.tiny_build(tmp_path, family="ice40")
    with pytest.raises(DesignError, match="tiny: takes 9000 of 5280 LUTs of icebreaker"):
        bitstream.placeable(built, bitstream.BoardOptions("icebreaker"))


# --- workers ------------------------------------------------------------------------------------


def test_another_sterna_on_a_worker_is_refused(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "task_code", lambda: "0.0.9 abc")
    with pytest.raises(SternaError, match=r"has Sterna 0\.0\.9 abc, this one is"):
        swept(plan, tmp_path / "out")
    with pytest.raises(work.Mismatch, match=r"0\.0\.9 abc"):  # one that came later
        work.run("script", {}, {}, None, "another")


def test_a_worker_that_lacks_an_extra_is_refused_and_nothing_is_filed(plan, tmp_path, monkeypatch):
    text = '[[jobs]]\nkind = "seeds"\nbuild = "digits"\nboard = "icebreaker"\nseeds = 1\n'
    plan.write_text(text)
    monkeypatch.setattr(work, "there", lambda name: name != "amaranth")
    with pytest.raises(ToolMissing, match=r"lacks something: amaranth is not installed; run: pip"):
        swept(plan, tmp_path / "out")
    assert not list((tmp_path / "out" / "results").iterdir())


def test_what_a_worker_cannot_import_is_no_result(tmp_path):
    plan = write_plan(tmp_path, JOB + "arguments = {}\n", "def square():\n    import nosuchthing\n")
    with pytest.raises(ToolMissing, match="nosuchthing"):
        swept(plan, tmp_path / "out")


def test_no_scheduler_at_an_address_is_one_sentence(plan, tmp_path, monkeypatch):
    monkeypatch.setattr("sterna.sweep.cluster.PATIENCE", 0.5)
    nobody = Place(scheduler="tcp://127.0.0.1:1")
    with pytest.raises(SternaError, match=r"no scheduler answers at tcp://127\.0\.0\.1:1"):
        run_sweep(read_plan(plan), tmp_path / "out", nobody)


def test_workers_of_this_machine_hear_nobody_else():
    with connected(HERE) as client:
        address = client.scheduler.address
    assert address.startswith(("tcp://127.0.0.1:", "inproc://"))


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Place(scheduler="here"), "write tcp://HOST:PORT"),
        (Place(scheduler="http://a:1"), "write tcp://HOST:PORT"),
        (Place(scheduler="tls://a:1"), "belong together"),
        (Place(scheduler="tcp://a:1", tls=("a", "b", "c")), "belong together"),
        (Place(scheduler="tcp://a:1", workers=2), "leave --workers and --slurm out"),
        (Place(tls=("/nosuch", "b", "c")), "does not exist"),
        (Place(slurm="/nosuch"), "does not exist"),
    ],
)
def test_places_that_are_none(place, said):
    with pytest.raises(SternaError) as caught:
        check_place(place)
    assert said in str(caught.value)


SITE = """
cores = 4
memory = "16GB"
walltime = "02:00:00"
queue = "short"
account = "snn"
job_script_prologue = ["module load python/3.11"]
python = "/opt/sterna/bin/python"
"""


def test_the_script_of_a_slurm_job(tmp_path):
    site = tmp_path / "my site.toml"
    site.write_text(SITE)
    place = Place(slurm=str(site))
    check_place(place)
    lines = job_script(place).splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    assert {"#SBATCH -p short", "#SBATCH -A snn", "#SBATCH -t 02:00:00"} <= set(lines)
    assert {"#SBATCH --cpus-per-task=4", "#SBATCH --mem=15G"} <= set(lines)
    assert "module load python/3.11" in lines
    (worker,) = (line for line in lines if "dask_worker" in line or "dask worker" in line)
    assert worker.startswith("/opt/sterna/bin/python -m distributed.cli.dask_worker tcp://")
    assert "--nworkers 4" in worker and "--nthreads 1" in worker


@pytest.mark.parametrize(
    ("site", "said"),
    [
        ("memory = '1GB'", "cores is missing"),
        ("cores = 1", "memory is missing"),
        ("cores = 1\nmemory = 4", "must be str"),
        ("cores = 1\nmemory = '1GB'\nqueu = 'a'", "did you mean 'queue'"),
        ("cores = true\nmemory = '1GB'", "must be int"),
    ],
)
def test_a_site_that_is_none(tmp_path, site, said):
    path = tmp_path / "site.toml"
    path.write_text(site)
    with pytest.raises(UsageError) as caught:
        check_place(replace(HERE, slurm=str(path)))
    assert said in str(caught.value)


def test_every_word_of_a_filed_result_is_json_and_says_what_made_it(plan, tmp_path):
    swept(plan, tmp_path / "out")
    for path in (tmp_path / "out" / "results").iterdir():
        body = json.loads(path.read_bytes())
        assert body["made"]["host"] and body["made"]["seconds"] >= 0
        assert body["task"]["code"] == work.task_code() and len(body["sha256"]) == 64
