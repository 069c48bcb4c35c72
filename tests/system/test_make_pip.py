"""What `make venv` says while pip works, and that pip ends with it."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FAKE = """#!/bin/sh
echo "Collecting torch==2 (from sterna)"
echo "  Downloading torch.whl"
echo "$@" > arguments
echo $$ > pid
echo "Installing collected packages: torch"
{work}
"""


def make(folder: Path, work: str) -> subprocess.Popen[str]:
    """A target that has pip install something; ``work``: what pip does then."""
    program = folder / "env/bin/python"
    program.parent.mkdir(parents=True)
    program.write_text(FAKE.format(work=work))
    program.chmod(0o755)
    (folder / "sterna.mk").symlink_to(ROOT / "Makefile")  # a path with a space is two words of make
    (folder / "m").write_text("include sterna.mk\ntry:\n\t$(call pip,env,-e '.[a]' b==1)\n")
    return subprocess.Popen(
        ["make", "--no-print-directory", "-f", "m", "try"],
        cwd=folder,
        env={k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # Under nohup it is ignored, and by all that is started from there.
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )


@pytest.mark.parametrize(("work", "code"), [("exit 0", 0), ("exit 7", 2)])
def test_a_line_a_package_and_pips_exit_code(tmp_path: Path, work: str, code: int) -> None:
    found = make(tmp_path, work)
    lines = found.communicate(timeout=60)[0].splitlines()
    assert found.returncode == code, lines
    assert lines[:3] == [
        "pip install -e '.[a]' b==1",
        "Collecting torch==2 (from sterna)",
        "Installing collected packages: torch",
    ]
    given = (tmp_path / "arguments").read_text().split()
    assert given == [*"-m pip install --progress-bar off -e .[a] b==1".split()]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_pip_ends_with_make(tmp_path: Path, how: signal.Signals) -> None:
    """A terminal's signals go to all, others may go to make alone."""
    running = make(tmp_path, "exec sleep 60")
    until(lambda: (tmp_path / "pid").is_file() and (tmp_path / "pid").read_text().strip())
    pid = int((tmp_path / "pid").read_text())
    send = os.killpg if how in (signal.SIGINT, signal.SIGHUP) else os.kill
    send(running.pid, how)
    try:
        until(lambda: running.poll() is not None and not runs(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    running.communicate(timeout=60)


def runs(pid: int) -> bool:
    """A process that ended may wait for ever for somebody to ask how."""
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(found.stdout.strip()) and not found.stdout.startswith("Z")


def until(done: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.05)
