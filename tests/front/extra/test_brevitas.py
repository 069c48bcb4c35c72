"""Networks of Brevitas, as its exporter writes them: FINN's TFC, SFC and CNV, and a two-bit one.

`make test-front-extra` runs them, in an environment of its own: Brevitas asks for another
setuptools than the rest."""

from pathlib import Path

import numpy as np
import pytest
from notebook import digits, told

from sterna.front.qonnx.model import from_qonnx
from sterna.gen.quantize.quantize import quantize
from sterna.golden.exact import run

pytestmark = pytest.mark.extra

NETS = {  # FINN's, untrained: (pixels, scale at which the first quantizer changes none)
    "tfc_1w1a": ((1, 28, 28), 1 / 255),
    "tfc_1w2a": ((1, 28, 28), 1 / 255),
    "tfc_2w2a": ((1, 28, 28), 1 / 255),
    "sfc_1w1a": ((1, 28, 28), 1 / 255),
    "sfc_2w2a": ((1, 28, 28), 1 / 255),
    "cnv_1w1a": ((3, 32, 32), 1 / 256),
    "cnv_2w2a": ((3, 32, 32), 1 / 256),
}


def exported(name: str, folder: Path, shape: tuple[int, ...]) -> Path:
    """The file of a network with random batch norms: untrained ones would hide their order."""
    import torch
    from brevitas.export import export_qonnx
    from brevitas_examples.bnn_pynq.models import model_with_cfg

    torch.manual_seed(len(name))
    model, _ = model_with_cfg(name, pretrained=False)
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            for t, draw in (
                (m.running_mean, "normal_"),
                (m.running_var, "uniform_"),
                (m.weight.data, "normal_"),
                (m.bias.data, "normal_"),
            ):
                getattr(t, draw)()
            m.running_var += 0.5
    path = folder / f"{name}.onnx"
    export_qonnx(model.eval(), torch.rand(1, *shape), export_path=str(path))
    return path


@pytest.mark.parametrize("name", NETS)
def test_networks_of_finn_are_what_brevitas_exports(name: str, tmp_path: Path) -> None:
    shape, scale = NETS[name]
    found = from_qonnx(exported(name, tmp_path, shape), scale=scale)
    images = np.random.default_rng(0).integers(0, 256, (6, *shape)).astype(np.uint8)
    check = found.check(images)
    assert check.exact and check.classes == 1.0, str(check)
    assert all(0 < s.spikes < s.sites for s in check.layers if s.what == "spikes"), str(check)
    network, _ = quantize(found.network, images)
    own = found.replay(images).output.argmax(1)
    assert (run(network, images).classes == own).all()


def test_the_notebook_exports_and_runs(tmp_path: Path) -> None:
    given = {"data": digits(tmp_path), "pretrained": False}
    said = told("brevitas_tfc", given, tmp_path, True)
    assert (tmp_path / "tfc_1w1a.onnx").is_file() and "linear 64x784" in said
    assert "images: classes agree on 100.00%" in said
    assert "100.00% of the classes are the graph's" in said
    assert " spikes of build: all equal" in said
