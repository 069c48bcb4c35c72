"""Sweeps on workers that are processes: they die, they are interrupted, they are elsewhere."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sweepcase import write_plan

pytestmark = pytest.mark.slow
JOB = '[[jobs]]\nkind = "script"\ncall = "calls.py:nap"\n'
NAP = """
import os, signal, time
def nap(n, mark="", killer=-1):
    if n == killer and not os.path.exists(mark):
        open(mark, "a").close() if mark else None
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.3)
    print("a library that prints")
    return {"twice": 2 * n, "worker": os.getpid()}
"""


def sterna(*words: str | Path, **how) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "sterna.cli", "sweep", "--run-scripts", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **how,
    )


def finished(*words: str | Path) -> tuple[int, str, str]:
    process = sterna(*words)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def results(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (out / "results").glob("*.json")}


def test_a_worker_that_dies_once_and_one_that_always_dies(tmp_path):
    job = JOB + f'arguments = {{ n = "0-9", killer = 4, mark = "{tmp_path}/mark" }}\n'
    always = JOB + 'arguments = { n = "0-3", killer = 2 }\n'
    plan = write_plan(tmp_path / "plan", job + always, NAP)
    code, out, err = finished(plan, "-o", tmp_path / "out", "--workers", "2", "--json")
    once, ever = (job["rows"] for job in json.loads(out)["jobs"])
    assert [r["twice"] for r in once] == [2 * n for n in range(10)], err
    assert [r["state"] for r in ever] == ["done", "done", "failed", "done"]
    assert "its worker died each time" in ever[2]["error"] and code == 1


def test_ctrl_c_is_one_sentence_leaves_nobody_and_the_next_run_goes_on(tmp_path):
    plan = write_plan(tmp_path / "plan", JOB + 'arguments = { n = "0-29" }\n', NAP)
    out = tmp_path / "out"
    process = sterna(plan, "-o", out, "--workers", "2")
    end = time.monotonic() + 120
    while len(results(out) if out.is_dir() else ()) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers, too
    _, err = process.communicate(timeout=30)  # all ends of the pipes are closed: nobody is left
    assert process.returncode == 130, err
    assert err.splitlines()[-1] == (
        "sterna sweep: interrupted; run the same command again to go on"
    )
    assert "Traceback" not in err and "nanny" not in err.lower()
    kept = results(out)
    assert 3 <= len(kept) < 30
    code, said, _ = finished(plan, "-o", out, "--json")
    assert code == 0 and json.loads(said)["ran"] == 30 - len(kept)
    assert {name: data for name, data in results(out).items() if name in kept} == kept


def test_a_client_that_is_killed_leaves_no_worker(tmp_path):
    plan = write_plan(tmp_path / "plan", JOB + 'arguments = { n = "0-29" }\n', NAP)
    out = tmp_path / "out"
    process = sterna(plan, "-o", out, "--workers", "2")
    end = time.monotonic() + 120
    while len(results(out) if out.is_dir() else ()) < 1 and time.monotonic() < end:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)  # as above
    assert results(out)


@contextlib.contextmanager
def running(*words: str, says: str = ""):
    """A program of dask's, once its stderr has said a word."""
    process = subprocess.Popen(
        [sys.executable, "-m", *words], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        for line in process.stderr:
            if says in line:
                break
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def scheduler(port: int, *more: str):
    words = "distributed.cli.dask_scheduler", "--no-dashboard", "--port", str(port), *more
    return running(*words, says="Scheduler at")


def worker(address: str, folder: Path, *more: str):
    words = "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"
    words += "--local-directory", str(folder), *more
    return running(*words, says="Registered to")


def test_workers_at_a_scheduler_of_another_address(tmp_path):
    """Two workers on two loopback addresses and folders; inputs are sent to them."""
    plan = write_plan(tmp_path / "plan", JOB + 'arguments = { n = "0-9" }\n', NAP)
    address = f"tcp://127.0.0.1:{(port := free_port())}"
    with (
        scheduler(port, "--host", "127.0.0.1"),
        worker(address, tmp_path / "one", "--host", "127.0.0.2"),
        worker(address, tmp_path / "two", "--host", "127.0.0.3"),
    ):
        code, out, err = finished(plan, "-o", tmp_path / "out", "--scheduler", address, "--json")
    assert code == 0, err
    rows = json.loads(out)["jobs"][0]["rows"]
    assert len({r["worker"] for r in rows}) == 2 and len(rows) == 10


def test_workers_started_here_listen_to_this_machine_only():
    """The client's process and the workers', by what the system says of their sockets."""
    import psutil

    from sterna.sweep.cluster import Place, connected

    me = psutil.Process()
    before = {c.laddr for c in me.net_connections() if c.status == "LISTEN"}
    with connected(Place(workers=1)) as client:
        client.wait_for_workers(1)
        found = {
            c.laddr
            for process in (me, *me.children(recursive=True))
            for c in process.net_connections()
            if c.status == "LISTEN"
        }
    assert len(found - before) >= 3 and {a.ip for a in found - before} == {"127.0.0.1"}


@pytest.fixture(scope="module")
def pem(tmp_path_factory) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    line = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=sterna -keyout {key}"
    subprocess.run([*line.split(), "-out", cert], check=True, capture_output=True)
    return cert, key


def test_tls_keeps_out_who_has_no_certificate(tmp_path, pem):
    cert, key = map(str, pem)
    plan = write_plan(tmp_path / "plan", JOB + 'arguments = { n = "0-3" }\n', NAP)
    dask = "--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key
    ours = "--tls-ca", cert, "--tls-cert", cert, "--tls-key", key
    port = free_port()
    safe = f"tls://127.0.0.1:{port}"
    with (
        scheduler(port, "--host", "tls://127.0.0.1", *dask),
        worker(safe, tmp_path / "one", *dask),
    ):
        refused, _, err = finished(
            plan, "-o", tmp_path / "a", "--scheduler", safe.replace("tls", "tcp")
        )
        assert refused == 1 and "no scheduler answers" in err, err
        code, _, err = finished(plan, "-o", tmp_path / "b", "--scheduler", safe, *ours)
        assert code == 0, err
    code, _, err = finished(plan, "-o", tmp_path / "c", "--workers", "1", *ours)
    assert code == 0, err


@pytest.mark.yosys
def test_seeds_are_those_that_bitstream_places(tmp_path):
    """The same netlist and so the same clocks as on one machine by `sterna bitstream`."""
    from sterna.gen.board.bitstream import BoardOptions
    from sterna.gen.board.for_board import for_board
    from sterna.gen.build.stages import Options, open_build
    from sterna.shipped import example_folder

    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[jobs]]\nkind = "seeds"\nbuild = "digits"\nboard = "icebreaker"\nseeds = "1-2"\n'
    )
    code, out, err = finished(plan, "-o", tmp_path / "out", "--json")
    assert code == 0, err
    rows = json.loads(out)["jobs"][0]["rows"]
    built = open_build(example_folder("digits"), tmp_path / "b", ("icebreaker", "ice40"))
    facts = for_board(built, BoardOptions("icebreaker", seeds=2), Options(family="ice40"))
    assert max(r["mhz"] for r in rows) == round(facts["fmax_mhz"]["sync"], 3)


@pytest.mark.yosys
def test_foldings_are_counted_and_placed(tmp_path):
    """A small network: what yosys counts, what a board takes, both fronts."""
    import tinyboard

    from sterna.golden.files import network_files

    network_files.save(tinyboard.network(0), tmp_path / "my net")
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[jobs]]\nkind = "foldings"\nnetwork = "my net"\nboard = "icebreaker"\nclock = 12\n'
        "points = 2\n"
    )
    code, out, err = finished(plan, "-o", tmp_path / "out", "--json")
    assert code == 0, err
    rows = json.loads(out)["jobs"][0]["rows"]
    assert len(rows) == 2 and rows[0]["clocks"] < rows[1]["clocks"]
    placed = [row for row in rows if row["placed_mhz"] is not None]
    assert rows[1] in placed and all("takes" in r["why"] for r in rows if r not in placed)
    for row in placed:
        assert row["luts"] > 0 and row["used_luts"] >= row["luts"] and row["placed_mhz"] > 5
        assert row["placed_fps"] == pytest.approx(row["placed_mhz"] * 1e6 / row["clocks"], rel=1e-3)
    assert [r["front"] for r in rows if r not in placed] in ([], ["estimated"])
