"""The program ``sterna`` and what comes from outside: Ctrl-C and kills at any moment, readers that
go away, closed and full streams, and letters that a stream cannot write (CASES T7, T8)."""

import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from repo import EXAMPLES, ROOT

DIGITS = str(EXAMPLES / "digits")
STERNA = [sys.executable, "-m", "sterna.cli"]
# What the script that pip makes does: no module of ours is imported before sterna.cli.
SCRIPT = [sys.executable, "-c", "import sys\nfrom sterna.cli import main\nsys.exit(main())"]


def start(words: list[str], **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


def stopped(words: list[str], number: int, delay: float, folder: Path, end: int = 0) -> str:
    """What it says where a signal comes after so long; 'done' where it was over by then, with the
    exit code ``end`` that it has without a signal."""
    process = start(words, cwd=folder)
    time.sleep(delay)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    if process.returncode == end:
        assert "interrupted" not in err and "terminated" not in err, (delay, err)
        return "done"
    # Before Python takes signals over, and after it has let go of them, the system ends it.
    assert process.returncode in (128 + number, -number), (delay, process.returncode, err)
    ours = [line for line in err.splitlines() if not line.startswith("[")]  # [1/3] fold ...
    if process.returncode < 0:
        assert not ours, (delay, err)
        return ""
    assert len(ours) == 1 and ours[0].endswith("; run the same command again to go on"), (
        delay,
        err,
    )
    assert not out, (delay, out)
    return ours[0]


def time_of(words: list[str], folder: Path) -> float:
    """Seconds that it takes where everything has been read from the disk before."""
    start(words, cwd=folder).communicate(timeout=120)
    begin = time.monotonic()
    start(words, cwd=folder).communicate(timeout=120)
    return time.monotonic() - begin


def past_python(code: list[str]) -> float:
    """Seconds until Python runs the first line of a program: before, nothing is ours."""
    begin = time.monotonic()
    subprocess.run([sys.executable, "-c", "import re"], check=True)
    return time.monotonic() - begin


def test_kill_at_the_start_while_imports_run_and_at_the_end(tmp_path: Path) -> None:
    words = ["eval", DIGITS, "-o", str(tmp_path / "build"), "--images", "2"]
    least, whole = past_python(SCRIPT), time_of(words, tmp_path)
    said = {
        stopped(words, signal.SIGINT, least + (whole - least) * k / 5, tmp_path)
        for k in range(1, 5)
    }
    assert said - {"done", ""} <= {
        "sterna: interrupted; run the same command again to go on",
        "sterna eval: interrupted; run the same command again to go on",
    } and said - {"done", ""}
    assert "terminated" in stopped(words, signal.SIGTERM, least + (whole - least) / 2, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        ["eval", DIGITS, "-o", "build", "--images", "2"],
        ["build", DIGITS, "-o", "build"],
        ["train", DIGITS, "-o", "run", "--untrained"],
        ["--help"],
        ["doctor", "--first"],
        ["identify", "--port", "/dev/ttyNONE"],
    ],
    ids=lambda words: words[0],
)
def test_kill_at_many_moments(words: list[str], tmp_path: Path) -> None:
    least, whole, rng = past_python(SCRIPT), time_of(words, tmp_path), random.Random(words[0])
    for k in range(25):
        number = signal.SIGTERM if k % 5 == 4 else signal.SIGINT
        late = least * 1.3 + rng.random() * max(0.05, whole - least)
        stopped(words, number, late, tmp_path, end=int(words[0] == "identify"))


def test_kill_in_a_place_that_swallows_it_and_twice(tmp_path: Path) -> None:
    """In a destructor, behind a bare except, and again while the command tidies up."""
    for body in (
        "class A:\n  def __del__(self): os.kill(os.getpid(), 2); time.sleep(.01)\n"
        "a = A(); del a; time.sleep(9)",
        "try: os.kill(os.getpid(), 2); time.sleep(1)\nexcept BaseException: raise ValueError(1)",
        "try: os.kill(os.getpid(), 2); time.sleep(1)\nexcept BaseException: pass",
        "try: os.kill(os.getpid(), 2); time.sleep(1)\n"
        "finally: os.kill(os.getpid(), 2); open('tidy', 'w').close()",
    ):
        indented = "".join(f"    {line}\n" for line in body.splitlines())
        code = (
            "import os, sys, time\nfrom sterna import cli\n"
            "from sterna.commands import networks as commands\n"
            f"def doctor(options):\n{indented}    return {{}}, 'done', 0\n"
            "commands.doctor = doctor\nsys.argv = ['sterna', 'doctor']\nsys.exit(cli.main())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
        said = "sterna doctor: interrupted; run the same command again to go on\n"
        assert (done.returncode, done.stdout, done.stderr) == (130, "", said), body
    assert (tmp_path / "tidy").is_file()


def sh(line: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = os.environ | more
    line = line.replace("STERNA", shlex.join(STERNA))
    return subprocess.run(
        ["bash", "-c", line],
        capture_output=True,
        text=True,
        env=env,
        timeout=120,
        check=False,
        cwd=ROOT,
        errors="replace",
    )


@pytest.mark.parametrize(
    "line, code, out, err",
    [
        ("STERNA doctor --first | head -c 1; echo ${PIPESTATUS[0]}", 0, None, ""),
        (
            "STERNA doctor --first >/dev/full",
            1,
            "",
            "sterna: stdout takes no more (No space left on "
            "device), so that the answer is lost; free some space\n",
        ),
        (
            "STERNA doctor --first --json >/dev/full",
            1,
            "",
            "sterna: stdout takes no more (No space",
        ),
        (
            "STERNA --help >/dev/full",
            1,
            "",
            "sterna: stdout takes no more (No space left on device)",
        ),
        (
            "STERNA doctor --first >&-",
            1,
            "",
            "sterna: stdout is closed, so that the answer is lost; give the command an open one\n",
        ),
        ("STERNA doctor --first --json 2>&-", 0, "{", ""),
        ("STERNA fold nowhere 2>&-", 2, "", ""),
        ("STERNA fold nowhere 2>/dev/full", 2, "", ""),
        ("STERNA fold nowhere <&- --json", 2, '{"error"', "sterna fold: nowhere: does not exist"),
    ],
)
def test_cases_of_streams_that_take_nothing(
    line: str, code: int, out: str | None, err: str
) -> None:
    done = sh(line)
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr
    if out is None:  # head went: silence, whatever the code
        assert done.stderr == "" and done.stdout[1:].strip() in ("0", "1")
        return
    assert done.returncode == code and done.stderr.startswith(err), (done.returncode, done.stderr)
    assert done.stdout.startswith(out) and bool(done.stdout) == bool(out)
    assert "{" not in done.stdout or json.loads(done.stdout)


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1:strict"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        {"LC_ALL": "POSIX"},
    ],
)
def test_cases_of_letters_that_a_stream_cannot_write(env: dict[str, str]) -> None:
    done = sh("STERNA fold $'n\\xc3\\xb6 \\xe2\\x82\\xac\\xff\\nw'", **env)
    assert done.returncode == 2 and "does not exist; give a build folder" in done.stderr
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr
    done = sh("STERNA fold $'\\xe2\\x82\\xac' --json", **env)
    assert "does not exist" in json.loads(done.stdout)["error"]
    done = sh("STERNA --help", **env)
    assert done.returncode == 0 and "Traceback" not in done.stderr
