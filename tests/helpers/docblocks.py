"""Blocks of code in the pages: collected, held to a closed list of marks, run as they are printed.

In front of each block of ``sh`` or ``python`` stands a comment that pages do not show, such as
``<!-- run -->``: one of `MARKS`. ``<!-- run refused -->`` says that the last command ends with a
failure. What a block prints is in a ``text`` block behind it that is marked ``<!-- output -->``;
``...`` stands for anything. One marked ``<!-- shown -->`` is what a machine of ours printed where
another's may differ (trained weights, seconds), and is not compared. A comment ``<!-- setup``
before the mark has Python that is run first (files that stand for the reader's own).

``python tests/helpers/docblocks.py`` prints how many there are of each.
"""

import contextlib
import doctest
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from repo import ROOT

__all__ = ["MARKS", "PAGES", "Block", "blocks", "counts", "run_page", "wrong"]

MARKS = {
    "run": "executed by make test",
    "slow": "executed by make test-all",
    "minutes": "trains, places or measures for many minutes",
    "board": "wants a board, or a simulated one in another terminal",
    "vendor": "wants a program that Sterna does not bring",
    "elsewhere": "installs, downloads, or wants other machines",
    "fragment": "stands for what is the reader's own, or is part of a whole",
}
DATA = ("text", "toml", "json", "c", "verilog", "mermaid", "csv")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
_COMMAND = re.compile(r"^(sterna|make|python|pip|torchrun) [a-z]\S*(?<!:)( |$)", re.M)
_EVASIVE = re.compile(r"^ {4,}\S")
_ELLIPSIS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@dataclass
class Block:
    page: Path
    line: int  # of the fence, from 1
    language: str
    mark: str  # '' where there is none; 'output', 'shown'
    refused: bool
    text: str
    setup: str = ""
    output: str | None = None  # what the page says that it prints

    @property
    def place(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, an output with the block that it is of."""
    lines = page.read_text(encoding="utf-8").split("\n")
    found: list[Block] = []
    mark, setup, at = "", "", 0
    while at < len(lines):
        line = lines[at]
        if fence := re.match(r"( *)(`{3,}|~{3,})(.*)$", line):
            end = at + 1
            while not re.match(rf" *{re.escape(fence[2])} *$", lines[end]):
                end += 1
            inside = "\n".join(x.removeprefix(fence[1]) for x in lines[at + 1 : end]) + "\n"
            word, _, refused = mark.partition(" ")
            if word == "output" and found:
                found[-1].output = inside
            found.append(
                Block(page, at + 1, fence[3].strip(), word, refused == "refused", inside, setup)
            )
            mark, setup, at = "", "", end
        elif line == "<!-- setup":
            end = lines.index("-->", at)
            setup, at = "\n".join(lines[at + 1 : end]), end
        elif comment := re.fullmatch(r"<!-- (\w+( refused)?) -->", line):
            mark = comment[1]
        elif line.strip():
            mark, setup = "", ""
        at += 1
    return found


def wrong(page: Path) -> list[str]:
    """What is not as it should be of the blocks of a page, a sentence each."""
    said = []
    for block in blocks(page):
        place = block.place
        if block.language in ("sh", "python"):
            if block.mark not in MARKS:
                said.append(f"{place}: a mark before it is missing: {', '.join(MARKS)}")
        elif block.language not in DATA:
            said.append(f"{place}: name its language: sh, python, {', '.join(DATA)}")
        elif block.mark not in ("", "output", "shown"):
            said.append(f"{place}: {block.language} is not run, so it has no mark")
        elif not block.mark and _COMMAND.search(block.text):
            said.append(f"{place}: has commands: call it sh and mark it")
        with contextlib.suppress(KeyError):
            try:
                {"toml": tomllib.loads, "json": json.loads}[block.language](block.text)
            except ValueError as error:
                said.append(f"{place}: {error}")
    outside = re.sub(r"^( *)(```|~~~).*?^\1\2", "", page.read_text("utf-8"), flags=re.M | re.S)
    for before, line in zip(["", *outside.split("\n")], outside.split("\n")):
        if _EVASIVE.match(line) and not before.strip():
            said.append(f"{page.relative_to(ROOT)}: fence the block: {line.strip()}")
    return said


def counts() -> Counter[str]:
    """How many blocks have which mark, over all pages."""
    return Counter(b.mark for p in PAGES for b in blocks(p) if b.mark in MARKS)


def run_page(page: Path, marks: tuple[str, ...], folder: Path) -> None:
    """Run a page's blocks of these marks, in order, in one folder that has the repository's
    examples; what a block prints is what the page shows."""
    for name in ("examples", "benchmarks"):
        (folder / name).symlink_to(ROOT / name)
    with contextlib.chdir(folder):
        for block in blocks(page):
            if block.mark in marks:
                _run(block)


def _run(block: Block) -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    if block.setup:
        _python(block.setup, block.place, names)
    if block.language == "python":
        printed, failed = _python(block.text, block.place, names), False
    else:
        printed, failed = "", False
        for words, line in _commands(block.text):
            assert not failed, f"{block.place}: failed before: {line}\n{printed}"
            code, out, err = _command(words, line)
            failed = code != 0
            printed += err if failed else out
    assert failed == block.refused, f"{block.place}: {'failed' if failed else 'worked'}:\n{printed}"
    if block.output is not None:
        wanted = "".join(re.split(r"(?m)^ *\n", block.output))
        got = "".join(re.split(r"(?m)^ *\n", printed))
        checker, example = doctest.OutputChecker(), doctest.Example(block.place, wanted)
        if not checker.check_output(wanted, got, _ELLIPSIS):
            diff = doctest.REPORT_NDIFF | _ELLIPSIS
            raise AssertionError(f"{block.place}: {checker.output_difference(example, got, diff)}")


def _python(text: str, place: str, names: dict[str, object]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(text, place, "exec"), names)
    return said.getvalue()


def _commands(text: str) -> Iterator[tuple[list[str], str]]:
    for line in text.replace("\\\n", " ").split("\n"):
        if words := shlex.split(line, comments=True):
            yield words, line


def _command(words: list[str], line: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr. Sterna's commands run in this process: torch is there."""
    if words[0] == "sterna" and not {"|", "&&", ">", ";"} & set(words):
        from sterna.cli import main

        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(words[1:])
        return code, out.getvalue(), err.getvalue()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def main() -> None:
    for mark, number in counts().items():
        print(f"{mark}: {number} ({MARKS[mark]})")


if __name__ == "__main__":
    main()
