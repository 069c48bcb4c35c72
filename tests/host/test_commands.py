"""The commands for boards, against a fake board behind a pseudo terminal."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from fakeboard import FakeBoard, FakeNetwork, result_of
from hostonly import run_host_only
from lines import PtyBoard
from owncase import save_picture

from sterna import cli
from sterna.boards import board as board_commands
from sterna.golden.device.weights_image import read_weights_image, write_weights_image
from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import network_files as files
from sterna.golden.files.classes import write_classes
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule


def parse(*arguments: str) -> argparse.Namespace:
    top = argparse.ArgumentParser()
    commands = top.add_subparsers(dest="command")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text)

    board_commands.add_parsers(command)
    return top.parse_args(arguments)


def run(*arguments: str):
    options = parse(*arguments)
    answer, text, code = getattr(board_commands, options.command)(options)
    assert json.loads(json.dumps(answer)) == answer  # --json can print it
    return answer, text, code


@pytest.fixture
def build(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    net = Network(
        1,
        [
            Input("x", (1, 3, 4)),
            Linear("f", "x", rng.integers(-1, 2, (4, 12))),
            Readout("r", ("f",), NeuronRule(threshold=np.zeros(4, int), reset="none")),
        ],
        name="small",
    )
    files.save(net, tmp_path)
    (tmp_path / "design.json").write_text("a design")
    words = {0: rng.integers(0, 2**32, 30, np.uint32)}
    structure = files.structure_id(net, "a design")
    write_weights_image(tmp_path / "weights.sterna", structure, files.weights_id(net), words)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (9, 1, 3, 4)).astype(np.uint8))
    return tmp_path


@pytest.fixture
def line(build: Path):
    structure = read_weights_image(build / "weights.sterna").structure_id
    network = FakeNetwork(int(structure[:16], 16), 4, cores=1, regions=(30,))
    with PtyBoard(FakeBoard(network, image_bytes=12)) as line:
        yield line


def test_load_infer_counters(build: Path, line: PtyBoard) -> None:
    port = f"--port={line.port}"
    answer, text, code = run("identify", port)
    assert answer["weights_id"] is None and "none: no weights" in text and code == 0
    answer, text, code = run("load", str(build), port)
    assert "loaded and verified" in text and len(answer["weights_id"]) == 64
    assert run("load", str(build / "weights.sterna"), port)[0] == answer
    images, output = str(build / "images.npy"), str(build / "out.npz")
    answer, text, code = run("infer", str(build), "--file", images, "-o", output, port)
    rows = np.load(images).reshape(9, 12)
    right = [result_of(row.tobytes(), 4, line.board.network.weights) for row in rows]
    assert answer["classes"] == [words[0] for words in right] and code == 0
    logits = np.load(output)["logits"].view(np.uint32)
    assert logits.tolist() == [words[1:] for words in right]
    assert len(run("infer", str(build), "--file", images, "--images=2", port)[0]["classes"]) == 2
    # The fake board computes something else than the network.
    answer, text, code = run("infer", str(build), "--file", images, "--compare", str(build), port)
    assert code == 1 and "first difference in the logits at image 0" in text
    answer, text, code = run("counters", port, "--clear")
    assert answer["images"] == 20 and list(answer["stalls"]) == ["core0"] and code == 0
    answer, text, code = run("counters", str(build), "--repeat=10", port)
    assert (answer["clocks"], text) == (1000, "10 images in 1000 clocks: 100.0 each")


def test_infer_keeps_a_board_busy(build: Path, line: PtyBoard, capsys) -> None:
    port, images = f"--port={line.port}", ["--file", str(build / "images.npy")]
    run("load", str(build), port)
    answer, text, code = run("infer", str(build), *images, "--repeat=500", port)
    found = answer["repeated"]
    assert (answer["images"], found["images"], found["clocks"], code) == (1, 500, 50_000, 0)
    assert found["images_per_second"] == 500 / found["seconds"]
    assert "500 images, " in text and "100.0 clocks each" in text
    assert "the last image is computed 500 times: read the meter now" in capsys.readouterr().err
    found = run("infer", str(build), *images, "--repeat=0.2s", port)[0]["repeated"]
    assert found["seconds"] >= 0.2 and found["clocks"] == 100 * found["images"] > 100
    answer, _, _ = run("infer", str(build), *images, "--images=3", "--repeat=1", port)
    assert (answer["images"], answer["repeated"]["images"]) == (3, 1)
    for wrong in ("0", "-1", "1.5", "0s", "s", "nans", "1e9s", "-1s", "x"):
        with pytest.raises(SystemExit):
            parse("infer", str(build), f"--repeat={wrong}", port)


def test_refusals(build: Path, line: PtyBoard) -> None:
    port = f"--port={line.port}"
    (build / "weights.sterna").unlink()
    with pytest.raises(FileError, match="has no weights.sterna"):
        run("load", str(build), port)
    with pytest.raises(UsageError, match="give --data or --file"):
        run("infer", str(build), port)
    with pytest.raises(UsageError, match="has 9 images, 10 were asked"):
        run("infer", str(build), "--file", str(build / "images.npy"), "--images=10", port)
    with pytest.raises(FileError, match="is no .npy file"):
        run("infer", str(build), "--file", str(build / "network.json"), port)
    with pytest.raises(SystemExit):
        parse("identify")


def test_failures_are_one_sentence_on_the_command_line(build: Path, line: PtyBoard, capsys) -> None:
    for arguments, code, words in (
        (["identify", "--port=/dev/ttyNOTHING"], 1, "there is no port /dev/ttyNOTHING"),
        (["infer", str(build), f"--port={line.port}"], 2, "give --data or --file"),
        (["counters", f"--port={line.port}", "--repeat=0"], 2, "is not a number of repetitions"),
        (
            ["infer", str(build), "--file", str(build / "images.npy"), f"--port={line.port}"],
            1,
            "load the weights again",
        ),
        (["identify"], 2, "--port"),
    ):
        assert cli.main(arguments) == code
        out, err = capsys.readouterr()
        assert out == "" and words in err and "Traceback" not in err
    assert cli.main(["identify", f"--port={line.port}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["classes"] == 4


def test_a_host_runs_without_torch_and_amaranth(build: Path, line: PtyBoard) -> None:
    """Load and infer in a Python that can import numpy, pyserial and safetensors only."""
    code = f"""
import numpy as np, sterna
from sterna.boards import board as board_commands
with sterna.Board({line.port!r}, build={str(build)!r}) as board:
    board.load()
    result = board.infer(np.load({str(build / "images.npy")!r}))
print(*result.classes)
"""
    assert [int(word) for word in run_host_only(code, build).split()] == run(
        "infer", str(build), "--file", str(build / "images.npy"), f"--port={line.port}"
    )[0]["classes"]


def test_a_picture_goes_to_a_board_as_its_pixels(build: Path, line: PtyBoard, capsys) -> None:
    """By its file, with the names of the build's classes and a table of what came back."""
    pixels = np.load(build / "images.npy")[:2, 0]
    for k, picture in enumerate(pixels):
        save_picture(build / "png" / f"{k}.png", picture)
    write_classes(build, ["a", "b", "c", "d"])
    port, out = f"--port={line.port}", build / "out.csv"
    run("load", str(build), port)
    answer, text, _ = run(
        "infer", str(build), "--file", str(build / "png"), "--predictions", str(out), port
    )
    want = [result_of(p.tobytes(), 4, line.board.network.weights) for p in pixels]
    assert answer["classes"] == [words[0] for words in want]
    assert answer["names"] == ["abcd"[words[0]] for words in want]
    assert text.splitlines()[1] == f"0.png  {answer['names'][0]}"
    rows = [row.split(",") for row in out.read_text().splitlines()]
    assert rows[0] == ["file", "class", "name", "logit a", "logit b", "logit c", "logit d"]
    assert [[int(v) % 2**32 for v in row[3:]] for row in rows[1:]] == [w[1:] for w in want]
