"""The notebooks of examples/front, each as Jupyter would run it: made of the script by jupytext,
its cells run in order in a process of their own. `make test` has three, small and of two without
the Verilog; `make test-all` runs every cell of all."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from notebook import EXAMPLES, digits, shown, told

MODULES = {"tutorial"}  # what a notebook imports


def tfc(folder: Path) -> str:
    """A graph of TFC's nodes, narrower."""
    pytest.importorskip("onnx")
    from qonnxcase import Writer

    net = Writer((1, 28, 28), 3).add("Flatten", axis=1).times("Mul", 2.0).times("Sub", 1.0)
    net.bipolar()
    size = 784
    for out in (16, 16):
        net.matmul(out, size, "binary", 1.0).norm().bipolar()
        size = out
    net.matmul(10, size, "binary", 1.0).times("Mul", 0.25)
    path = folder / "small.onnx"
    path.write_bytes(net.model().SerializeToString())
    return shown(path)


def sinabs(folder: Path) -> dict[str, Any]:
    """A graph of cnn_sinabs.nir's nodes and frames for it, smaller."""
    nir = pytest.importorskip("nir")
    rng = np.random.default_rng(2)
    full = lambda *axes: np.ones(axes)  # noqa: E731
    fires = lambda *axes: nir.IF(full(*axes), full(*axes), 0 * full(*axes))  # noqa: E731
    conv = lambda o, c, size, s: nir.Conv2d(  # noqa: E731
        (size, size), rng.normal(0, 0.4, (o, c, 3, 3)), (s, s), (1, 1), (1, 1), 1, np.zeros(o)
    )
    pool = lambda: nir.SumPool2d(np.full(2, 2), np.full(2, 2), np.zeros(2, int))  # noqa: E731
    nodes = {
        "input": nir.Input({"input": np.array([2, 12, 12])}),
        "0": conv(4, 2, 12, 2),
        "1": fires(4, 6, 6),
        "2": pool(),
        "3": conv(6, 4, 3, 1),
        "4": fires(6, 3, 3),
        "5": nir.Flatten({"input": np.array([6, 3, 3])}, 0),
        "6": nir.Linear(rng.normal(0, 0.3, (10, 54))),
        "7": fires(10),
        "output": nir.Output({"output": np.array([10])}),
    }
    names = list(nodes)
    nir.write(folder / "small.nir", nir.NIRGraph(nodes, list(zip(names, names[1:]))))
    labels = np.arange(120) % 10
    x = (rng.random((120, 5, 2, 12, 12)) < 0.1 + 0.03 * labels[:, None, None, None, None]) * 1
    np.savez(folder / "frames.npz", images=x.astype(np.uint8), labels=labels)
    data = repr(str(folder / "frames.npz"))
    return {"file": shown(folder / "small.nir"), "data": data, "steps": 5, "tuning": 1}


SMALL = {"channels": 4, "epochs": 1, "tuning": 1}
GIVEN = {
    "tutorial_board": lambda f: {"data": digits(f), "images": 100, "epochs": 1, "tuning": 1},
    "csnn": lambda f: SMALL,
    "sew": lambda f: SMALL,
    "brevitas_tfc": lambda f: {"data": digits(f), "file": tfc(f)},
    "sinabs_nir": sinabs,
    "pictures": lambda f: {"each": 20, "side": 12, "options": ["--untrained"]},
}
NEEDS = {
    "tutorial_board": ["snntorch"],
    "csnn": ["spikingjelly"],
    "sew": ["spikingjelly"],
    "brevitas_tfc": ["qonnx"],
    "sinabs_nir": ["nir", "h5py"],
    "pictures": ["PIL"],
}
QUICK = ("tutorial_board", "sew", "sinabs_nir")
WHOLE = {"sinabs_nir"}


def test_every_example_is_run() -> None:
    assert {p.stem for p in EXAMPLES.glob("*.py")} == set(GIVEN) | MODULES


@pytest.mark.parametrize("name", QUICK)
def test_the_notebook_runs(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, name in WHOLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(GIVEN) - WHOLE))
def test_the_notebook_runs_to_its_verilog(name: str, tmp_path: Path) -> None:
    check(name, tmp_path, True)


def check(name: str, folder: Path, hardware: bool) -> None:
    for package in NEEDS[name]:
        pytest.importorskip(package)
    said = told(name, GIVEN[name](folder), folder, hardware)
    if name == "pictures":
        assert ("bit-exact: 0 mismatches" in said) == hardware
        assert "next: sterna bitstream build/shapes --board ulx3s-85f" in said
        return
    assert "exact" in said and "REFUSED" not in said
    if name in ("tutorial_board", "csnn", "sew", "brevitas_tfc"):
        assert "images: classes agree on 100.00%" in said
    assert (" spikes of build: all equal" in said) == hardware
    if name == "tutorial_board" and hardware:
        assert "the board's logits of 20 images: all equal" in said
