"""From a model of somebody else to a simulated board, with no import of ours but sterna."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

snn = pytest.importorskip("snntorch")
import torch  # noqa: E402
from torch import nn  # noqa: E402

import sterna  # noqa: E402


def model() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        snn.Leaky(0.5, init_hidden=True, threshold=0.4),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 3),
        snn.Leaky(0.75, init_hidden=True, output=True, threshold=0.4),
    )


def blobs(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes that differ in where the light is."""
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, count)
    images = rng.integers(0, 90, (count, 1, 4, 4))
    for k, label in enumerate(labels):
        images[k, 0, label] += 150
    return images.astype(np.uint8), labels


def test_a_foreign_model_walks_to_a_simulated_board(tmp_path: Path) -> None:
    images, labels = blobs(300)
    found = sterna.from_torch(model(), torch.tensor(images[:2] / 255).float(), steps=4)
    assert found.check((images, labels)).exact
    found = found.calibrate(images)
    seen: list[float] = []
    tell = lambda epoch: seen.append(epoch["loss"])  # noqa: E731
    run = sterna.train(found, (images, labels), tmp_path / "run", epochs=6, callbacks=[tell])
    assert run.done and len(seen) == len(run.history) == 7 and seen[5] < seen[0]
    network, report = sterna.quantize(run, images, name="blobs")
    assert report.images == 256
    real, whole = sterna.evaluate(run, (images, labels)), sterna.evaluate(network, (images, labels))
    assert whole.accuracy > 0.8 and abs(whole.accuracy - real.accuracy) < 0.05
    assert whole.confusion.trace() == whole.right

    assert sterna.load(network.save(tmp_path / "saved")).digest == network.digest
    sterna.FloatNetwork.load(run.network.save(tmp_path / "float"))
    build = sterna.build(network, tmp_path / "build", folding=sterna.fold(network))
    golden = sterna.run(network, images[:20], trace="all")
    shown = sterna.simulate(build, images[:20], trace="all")
    assert sterna.compare(golden, shown) is None and shown.spikes
    assert (
        shown.accuracy(labels[:20]) == sterna.evaluate(build, (images[:20], labels[:20])).accuracy
    )

    assert np.array_equal(on_a_board(build, images[:20]).logits, golden.logits)


def on_a_board(build: Any, images: np.ndarray) -> Any:
    """What a simulated board answers."""
    with subprocess.Popen(
        [sys.executable, "-m", "sterna.cli", "board-sim", str(build.folder), "--json"],
        stdout=subprocess.PIPE,
        text=True,
    ) as simulated:
        assert simulated.stdout is not None
        try:
            port = json.loads(simulated.stdout.readline())["port"]
            with sterna.Board(port, build=build.folder) as board:
                return board.infer(images)
        finally:
            simulated.terminate()


@pytest.mark.slow
def test_a_model_of_counts_walks_to_a_simulated_board(tmp_path: Path) -> None:
    """Frames of 3 bits, whose values mean a quarter each."""
    torch.manual_seed(2)
    one = nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1),
        snn.Leaky(0.5, init_hidden=True, threshold=0.4),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, 3),
        snn.Leaky(0.75, init_hidden=True, output=True, threshold=0.4),
    )
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 200)
    frames = rng.integers(0, 3, (5, 200, 2, 4, 4)).astype(np.uint8)
    for k, label in enumerate(labels):
        frames[:, k, :, label // 2 * 2 :, label % 2 * 2 :] += 2
        frames[:, k, :, label // 2 * 2, label % 2 * 2] += 3
    example = torch.tensor(frames[:, :2] / 4).float()
    found = sterna.from_torch(one, example, steps=5, input="frames", bits=3, scale=0.25)
    assert found.check((frames, labels)).exact
    found = found.calibrate(frames)
    run = sterna.train(found, (frames, labels), tmp_path / "run", epochs=6)
    network, _ = sterna.quantize(run, frames, name="counts")
    whole = sterna.evaluate(network, (frames, labels))
    assert network.maximum["input"] == 7 and whole.accuracy > 0.8, whole
    build = sterna.build(network, tmp_path / "build")
    few = frames[:, :20]
    golden, shown = sterna.run(network, few, "all"), sterna.simulate(build, few, trace="all")
    assert sterna.compare(golden, shown) is None and shown.spikes
    assert np.array_equal(on_a_board(build, few).logits, golden.logits)
