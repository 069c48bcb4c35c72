"""`sterna sweep`: overhead a task, speed-up over workers, a worker that dies, two hosts.

    python benchmarks/sweep_speed.py [--hosts]

Tasks that do nothing show what a task costs beside its own time; tasks that wait, how workers share
them where no core is lacking; tasks that compute, the same with the cores there are. One of four
workers is killed in the middle, and what was done twice is counted. ``--hosts``, as root: two
network namespaces stand for two hosts, joined by a bridge, each with an empty folder where the
sweep's is.
Results: ``benchmarks/results/sweep_speed.json``.
"""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from common import table, write_results

SCRIPT = """
import os, time

def nothing(n):
    return {}

def wait(n):
    time.sleep(0.5)

def compute(n):
    end, k = time.process_time() + 0.5, 0
    while time.process_time() < end:
        k += 1
    return {}

def wait_and_tell(n, log):
    with open(log, "a") as told:
        told.write(f"{n} {os.getpid()}\\n")
    time.sleep(0.5)
    return {}

def where(n):
    time.sleep(0.2)
    address = os.popen("hostname -I").read().split()
    return {"address": address[0] if address else "", "sees": os.path.exists(HERE)}
"""
TASKS = {"nothing": 200, "wait": 48, "compute": 16}
WORKERS = {"nothing": (1, 2, 4), "wait": (1, 2, 4, 8), "compute": (1, 2)}
PORT = 18786


def plan(folder: Path, call: str, count: int, more: str = "") -> Path:
    (folder / "calls.py").write_text(SCRIPT.replace("HERE", repr(str(folder / "calls.py"))))
    path = folder / f"{call}.toml"
    path.write_text(
        f'[[jobs]]\nkind = "script"\ncall = "calls.py:{call}"\n'
        f'arguments = {{ n = "0-{count - 1}"{more} }}\n'
    )
    return path


def sterna(*words: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "sterna.cli", "sweep", "--run-scripts", *map(str, words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> tuple[dict[str, Any], float]:
    """The answer, and the seconds that the tasks took by the command's own line."""
    out, err = process.communicate()
    if process.returncode:
        raise SystemExit(f"sterna sweep failed: {err}")
    (line,) = [text for text in err.splitlines() if text.startswith("[2/2]") and "... " in text][
        -1:
    ]
    return json.loads(out), float(line.rpartition("... ")[2].removesuffix(" s"))


def speed(folder: Path, call: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    count = TASKS[call]
    for workers in WORKERS[call]:
        out = folder / f"{call}_{workers}"
        start = time.monotonic()
        answer, seconds = finished(
            sterna(plan(folder, call, count), "-o", out, "--workers", workers)
        )
        own = sum(r["seconds"] for r in answer["jobs"][0]["rows"])
        row = {"tasks": call, "count": count, "workers": workers, "seconds": seconds}
        row["start_and_end"] = round(time.monotonic() - start - seconds, 1)
        row["speedup"] = round(rows[0]["seconds"] / seconds, 2) if rows else 1.0
        row["ms_beside"] = round((seconds * workers - own) / count * 1e3, 1)
        rows.append(row)
        print(row, file=sys.stderr, flush=True)
    return rows


def death(folder: Path) -> dict[str, Any]:
    """One of four workers is killed once a quarter of the tasks is filed."""
    count, log, out = 40, folder / "log", folder / "death"
    path = plan(folder, "wait_and_tell", count, f', log = "{log}"')
    process = sterna(path, "-o", out, "--workers", 4)

    def kill() -> None:
        while len(list(out.glob("results/*.json"))) < count // 4:
            time.sleep(0.02)
        os.kill(int(log.read_text().split()[-1]), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    answer, seconds = finished(process)
    ran = len(log.read_text().splitlines())
    done = answer["jobs"][0]["summary"]["done"]
    return {"tasks": count, "done": done, "begun": ran, "seconds": seconds}


def run(line: str) -> None:
    subprocess.run(line.split(), check=True, capture_output=True)


@contextlib.contextmanager
def namespaces() -> Iterator[list[str]]:
    """Two namespaces on a bridge; the names. CalledProcessError where that is not permitted."""
    names = [f"sterna{n}" for n in (1, 2)]
    try:
        run("ip link add sternabr type bridge")
        run("ip addr add 10.99.7.100/24 dev sternabr")
        run("ip link set sternabr up")
        for n, name in enumerate(names, 1):
            run(f"ip netns add {name}")
            run(f"ip link add {name}v type veth peer name {name}p")
            run(f"ip link set {name}v netns {name}")
            run(f"ip link set {name}p master sternabr")
            run(f"ip link set {name}p up")
            run(f"ip -n {name} addr add 10.99.7.{n}/24 dev {name}v")
            run(f"ip -n {name} link set {name}v up")
            run(f"ip -n {name} link set lo up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", "sternabr"], check=False, capture_output=True)


@contextlib.contextmanager
def program(words: list[str], says: str) -> Iterator[None]:
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if says in line:
                break
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def hosts(folder: Path) -> dict[str, Any]:
    """Workers in two namespaces, with the sweep's folder hidden from them."""
    dask = [sys.executable, "-m"]
    address = f"tcp://10.99.7.100:{PORT}"
    with contextlib.ExitStack() as held:
        names = held.enter_context(namespaces())
        scheduler = "distributed.cli.dask_scheduler", "--no-dashboard", "--port", str(PORT)
        held.enter_context(program([*dask, *scheduler, "--host", "10.99.7.100"], "Scheduler at"))
        for name in names:
            work = Path(held.enter_context(tempfile.TemporaryDirectory()))
            worker = [*dask, "distributed.cli.dask_worker", address, "--nthreads", "1"]
            worker += ["--no-dashboard", "--local-directory", str(work)]
            hidden = f'mount -t tmpfs none "{folder}" && exec "$@"'
            inside = ["unshare", "-m", "sh", "-c", hidden, "sh", *worker]
            held.enter_context(program(["ip", "netns", "exec", name, *inside], "Registered to"))
        path = plan(folder, "where", 40)
        answer, seconds = finished(sterna(path, "-o", folder / "hosts", "--scheduler", address))
    rows = answer["jobs"][0]["rows"]
    found = {a: sum(r["address"] == a for r in rows) for a in sorted({r["address"] for r in rows})}
    return {
        "tasks": 40,
        "by_address": found,
        "seconds": seconds,
        "saw": any(r["sees"] for r in rows),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hosts", action="store_true", help="two network namespaces, as root")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sterna-sweep-speed-") as name:
        folder = Path(name)
        rows = [row for call in TASKS for row in speed(folder, call)]
        body: dict[str, Any] = {"cores": os.cpu_count(), "rows": rows, "death": death(folder)}
        if options.hosts:
            body["hosts"] = hosts(folder)
    write_results("sweep_speed", body)
    heads = ["tasks", "count", "workers", "seconds", "speedup", "ms_beside", "start_and_end"]
    print(table([heads, *([r[h] for h in heads] for r in rows)]))
    print(f"a worker killed: {body['death']}")
    if options.hosts:
        print(f"two namespaces: {body['hosts']}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
