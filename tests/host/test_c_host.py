"""The host in C that was written from docs/link.md alone, and that page's numbers."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from fakeboard import FakeBoard, FakeNetwork, result_of
from lines import PtyBoard
from repo import EXAMPLES, ROOT

from sterna.golden.device import link
from sterna.golden.device.link import BoardFrame, HostFrame, ToBoard, ToHost
from sterna.golden.errors import ToolMissing
from sterna.sim.badcable import BadCable, Faults

PAGE = (ROOT / "docs" / "link.md").read_text()


@pytest.fixture(scope="module")
def program(tmp_path_factory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise ToolMissing("cc is not on PATH; install a C compiler: apt install gcc")
    out = tmp_path_factory.mktemp("c_host") / "sterna_host"
    source = EXAMPLES / "c_host" / "sterna_host.c"
    flags = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
    subprocess.run([compiler, *flags, "-o", str(out), str(source)], check=True)
    return out


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_identify(program: Path) -> None:
    board = FakeBoard(FakeNetwork(weights=0x0123456789ABCDEF))
    with PtyBoard(board) as line:
        done = run(program, line.port, "identify")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "structure_id",
        "1122334455667788",
        "weights_id",
        "0123456789abcdef",
        "image_bytes",
        "64",
        "classes",
        "10",
        "buffer",
        "4096",
        "slots",
        "16",
    ]


@pytest.mark.parametrize("rate, classes, slots", [(0, 10, 16), (0.004, 10, 16), (0.004, 100, 2)])
def test_infer(program: Path, tmp_path: Path, rate: float, classes: int, slots: int) -> None:
    """Also over a bad cable, and with results of more than one frame."""
    board = FakeBoard(FakeNetwork(weights=3, classes=classes), image_bytes=50, slots=slots)
    data = np.random.default_rng(0).integers(0, 256, (1000, 50)).astype(np.uint8)
    (tmp_path / "images.raw").write_bytes(data.tobytes())
    cables = BadCable(Faults.each(rate), 1), BadCable(Faults.each(rate), 2)
    with PtyBoard(board, *cables) as line:
        done = run(program, line.port, "infer", str(tmp_path / "images.raw"))
    assert done.returncode == 0, done.stderr
    found = [[int(word) for word in re.split("[: ]+", row)] for row in done.stdout.splitlines()]
    words = [result_of(row.tobytes(), classes, 3) for row in data]
    signed = np.array(words, np.uint32).view(np.int32)
    assert (np.array(found) == signed).all()
    assert board.most_used <= board.identity.buffer
    assert not rate or cables[0].counts.total() > 5


def test_refusals(program: Path, tmp_path: Path) -> None:
    (tmp_path / "images.raw").write_bytes(bytes(65))
    with PtyBoard(FakeBoard()) as line:
        done = run(program, line.port, "infer", str(tmp_path / "images.raw"))
        assert (done.returncode, "no complete weights" in done.stderr) == (1, True)
    with PtyBoard(FakeBoard(FakeNetwork(weights=1))) as line:
        done = run(program, line.port, "infer", str(tmp_path / "images.raw"))
        assert (done.returncode, "65 bytes are no images of 64" in done.stderr) == (1, True)
        for place in (tmp_path, Path("/dev/zero"), tmp_path / "empty"):
            (tmp_path / "empty").touch()
            done = run(program, line.port, "infer", str(place))
            assert (done.returncode, "is empty, no plain file" in done.stderr) == (1, True)
    with PtyBoard(FakeBoard(version=3)) as line:
        done = run(program, line.port, "identify")
        assert (done.returncode, "version 3 of the link" in done.stderr) == (1, True)
    with PtyBoard(FakeBoard(), down=lambda data: b"") as line:
        done = run(program, line.port, "identify")
        assert (done.returncode, "no answer" in done.stderr) == (1, True)
    done = run(program, "/dev/ttyNOTHING", "identify")
    assert (done.returncode, "No such file" in done.stderr) == (1, True)


# --- the page ---------------------------------------------------------------------------------


def table(heading: str, columns: int) -> list[list[str]]:
    """Rows of the first table after a text, with so many columns."""
    rows = []
    for row in PAGE[PAGE.index(heading) :].splitlines():
        if row.startswith("|"):
            rows.append([cell.strip() for cell in row.strip("|").split("|")])
            assert len(rows[-1]) == columns
        elif rows:
            return rows[2:]
    return rows[2:]


def bytes_of(field: str) -> int:
    low, _, high = field.partition("-")
    return int(high or low) - int(low) + 1


@pytest.mark.parametrize(
    "heading, fields",
    [
        ("Header, 5 bytes", link.HOST_HEADER),
        ("Header, 8 bytes", link.BOARD_HEADER),
        ("IDENTITY:", link.IDENTITY),
    ],
)
def test_the_pages_fields(heading: str, fields: tuple[tuple[str, int], ...]) -> None:
    rows = table(heading, 3)
    assert [(row[1], bytes_of(row[0])) for row in rows] == list(fields)
    assert [int(row[0].split("-")[0]) for row in rows] == [
        sum(size for _, size in fields[:k]) for k in range(len(fields))
    ]


def test_the_pages_kinds_and_numbers() -> None:
    kinds = table("| kind | name | sequenced |", 4)
    assert [(row[1], int(row[0])) for row in kinds] == [(k.name, k.value) for k in ToBoard]
    assert {row[1] for row in kinds if row[2] == "yes"} == {k.name for k in link.SEQUENCED}
    kinds = table("| kind | name | body |", 3)
    assert [(row[1], int(row[0])) for row in kinds] == [(k.name, k.value) for k in ToHost]
    for text in (
        f"body, at most {link.MAX_BODY} bytes",
        f"count of words, 1 to {link.MAX_READ}",
        f"up to {link.RESULT_WORDS} u32 words",
        f"its body and {link.FRAME_COST} bytes of",
        f"version ({link.VERSION}) * 16",
    ):
        assert text in PAGE


def test_the_pages_exchange() -> None:
    found: dict[str, bytes] = {}
    for row in PAGE[PAGE.index("byte by byte") :].splitlines():
        if match := re.match("([A-Z]* +)?((?:[0-9a-f]{2} ?)+)$", row):
            name = (match[1] or "").strip() or list(found)[-1]
            found[name] = found.get(name, b"") + bytes.fromhex(match[2])
    identity = link.Identity(0x1122334455667788, 64, 10, 4095, 16)
    read, strn = struct.pack("<HB", 0, 1), struct.pack("<BBHI", 0, 0, 0, link.MAGIC)
    assert found == {
        "HELLO": HostFrame(ToBoard.HELLO, 0x1234, body=b"\0").pack(),
        "IDENTITY": BoardFrame(ToHost.IDENTITY, 0x1234, body=identity.pack()).pack(),
        "READ": HostFrame(ToBoard.READ, 0x1234, 0, 0, read).pack(),
        "ANSWER": BoardFrame(ToHost.ANSWER, 0x1234, 1, 1, body=strn).pack(),
        "POLL": HostFrame(ToBoard.POLL, 0x1234).pack(),
        "ACK": BoardFrame(ToHost.ACK, 0x1234, 1, 1).pack(),
    }
    for content, frame in re.findall(r"content  ([0-9a-f ]+?) +frame  ([0-9a-f ]+)", PAGE):
        assert link.cobs_encode(bytes.fromhex(content)) + b"\0" == bytes.fromhex(frame)
