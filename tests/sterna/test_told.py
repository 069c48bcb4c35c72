"""What commands tell: -q and -v, what was written; what is refused before the first stage."""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sterna import cli

FOLD = ["fold", "examples/digits"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_what_was_written_is_said_last_and_what_is_unchanged(capsys) -> None:
    assert cli.main(FOLD) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[-1] == "wrote build/digits/design.json"
    assert err.startswith("[1/1] fold ... ") and out.startswith("digits: ")
    assert cli.main(FOLD) == 0
    assert capsys.readouterr().err == "unchanged build/digits/design.json\n"
    assert cli.main([*FOLD, "--fps", "100", "--json"]) == 0
    out, err = capsys.readouterr()
    wrote = ["build/digits/design.json", "build/digits/solution.json"]
    assert json.loads(out)["wrote"] == wrote
    assert err.splitlines()[-1] == f"wrote {', '.join(wrote)}"
    assert cli.main([*FOLD, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrote"] == []


@pytest.mark.parametrize("words", [["-q", *FOLD], [*FOLD, "-q"]])
def test_quiet_is_results_and_errors_only(words: list[str], capsys) -> None:
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("digits: ") and err == ""
    assert cli.main(["-q", "fold", "nowhere"]) == 2
    assert capsys.readouterr().err.startswith("sterna fold: nowhere: does not exist")


def test_verbose_says_what_tools_were_called_with_and_their_time(capsys) -> None:
    assert cli.main(["-v", "lint", "examples/digits"]) == 0
    said = capsys.readouterr().err
    assert "in build/digits: verilator --lint-only" in said
    assert " s\n[4/4] verilator -Wall ... " in said and "yosys of Amaranth: " in said
    numbers = [line.split(" ")[0] for line in said.splitlines() if line.endswith(" s")]
    assert [n for n in numbers if n[0] == "["] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]"]


def test_a_shipped_network_is_had_by_its_name(capsys) -> None:
    for name in ("digits", "examples/digits", "examples/digits/"):
        assert cli.main(["fold", name, "-o", "b", "-q"]) == 0
    capsys.readouterr()
    Path("digits").mkdir()  # one's own comes first
    assert cli.main(["fold", "digits"]) == 2
    assert "digits: holds no network.json" in capsys.readouterr().err


def test_examples_are_listed_and_copied(capsys) -> None:
    assert cli.main(["examples"]) == 0
    out = capsys.readouterr().out
    assert out.splitlines()[0].split()[:3] == ["example", "data", "accuracy"]
    row = next(line for line in out.splitlines() if line.startswith("digits "))
    assert row.split() == ["digits", "digits", "99.17%", "360", "4", "5,008", "3", "9"]
    assert cli.main(["examples", "digits", "-o", "mine"]) == 0
    said = capsys.readouterr()
    assert said.err == "wrote mine\n" and said.out == "next: sterna sim mine\n"
    assert cli.main(["fold", "mine", "-q"]) == 0
    assert cli.main(["examples", "digits", "-o", "mine"]) == 2
    assert cli.main(["examples", "digitz"]) == 2
    assert "(did you mean 'digits'?)" in capsys.readouterr().err
    assert cli.main(["examples", "-o", "mine"]) == 2


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["eval", "--predictions", "file/p.csv"], "file: is a file where a folder is needed"),
        (["eval", "--predictions", "folder"], "folder: is a folder where a file is needed"),
        (["sim", "--wave", "file/w.vcd"], "file: is a file where a folder is needed"),
        (["sim", "-o", "file"], "file: is a file where a folder is needed"),
        (["build", "-o", "file/deep/er"], "file/deep/er: is below a file; choose another"),
        (["sim", "--images", "361"], "has 360 images, 361 were asked; say fewer with --images"),
        (["sim", "--data", "cifar10"], "images are [3, 32, 32], the network's input is [1, 8, 8]"),
        (["sim", "--data", "random_1x9x9"], "images are [1, 9, 9], the network's input is"),
        (["sim", "--data", "mnits"], "(did you mean 'mnist'?)"),
        (["fold", "--board", "ulx3"], "(did you mean 'ulx3s-12f', "),
        (["bitstream", "--board", "icebraker"], "(did you mean 'icebreaker'?)"),
        (["synth", "--target", "ecp"], "(did you mean 'ecp5'?)"),
    ],
)
def test_what_cannot_work_is_refused_before_the_first_stage(
    words: list[str], sentence: str, capsys
) -> None:
    Path("file").write_text("")
    Path("folder").mkdir()
    assert cli.main([words[0], "examples/digits", *words[1:]]) in (1, 2)
    out, err = capsys.readouterr()
    assert sentence in err and "[1/" not in err and out == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_may_not_be_written_is_refused_first(capsys) -> None:
    Path("closed").mkdir(mode=0o500)
    assert cli.main(["eval", "examples/digits", "--predictions", "closed/p.csv"]) == 1
    assert "closed: cannot be written (Permission denied)" in capsys.readouterr().err


def test_the_curves_of_a_training_are_refused_before_it(capsys) -> None:
    Path("file").write_text("")
    words = ["train", "examples/digits", "-o", "run", "--curves", "file/c.csv"]
    assert cli.main(words) == 1
    assert "file: is a file where a folder is needed" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.parametrize(("term", "drawn"), [("xterm", True), ("dumb", False)])
def test_a_bar_on_stderr_leaves_the_object_on_stdout_whole(term: str, drawn: bool) -> None:
    """A terminal for stderr alone; the step takes long enough for a bar, with no colour in it."""
    ours, theirs = os.openpty()
    code = (
        "import sys, time\nfrom sterna import cli\nfrom sterna.commands import networks\n"
        "from sterna.gen.tools import progress\nprogress._SOON = 0.05\n"
        "def doctor(_):\n"
        "    with progress.Progress(1).step('long'):\n"
        "        for k in range(8): progress.at(k, 8); time.sleep(0.1)\n"
        "    return {'answer': 42}, 'forty-two', 0\n"
        "networks.doctor = doctor\nsys.exit(cli.main(['doctor', '--json']))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=os.environ | {"TERM": term, "NO_COLOR": "1"},
    )
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    said = b""
    with contextlib.suppress(OSError):  # the other end is closed
        while part := os.read(ours, 1 << 16):
            said += part
    os.close(ours)
    assert process.returncode == 0 and json.loads(out) == {"answer": 42}
    assert said.rstrip().endswith(b" s") and b"\x1b[3" not in said and b"\x1b[9" not in said
    assert (b"%|" in said) is drawn and (b"\r[1/1]" in said) is drawn


def test_a_copy_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from sterna.golden.errors import FileError
    from sterna.golden.files import disk

    def full(path: Path, _data: bytes) -> None:
        raise FileError(f"{path.name}: cannot be written (No space left on device)")

    monkeypatch.setattr(disk, "write_atomic", full)
    assert cli.main(["examples", "mnist", "-o", "a/b"]) == 1
    assert "cannot be written (No space left" in capsys.readouterr().err
    assert list(Path("a").iterdir()) == []
