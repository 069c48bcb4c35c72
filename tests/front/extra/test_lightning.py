"""Layers of `sterna.nn` in a LightningModule: trained, kept as a checkpoint, taken in from there.

`make test-front-extra` runs it where lightning is installed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sterna
from sterna.cli import main
from sterna.front.pytorch.model_file import make_model
from sterna.train.data import datasets

pytestmark = pytest.mark.extra

SCRIPT = """
import torch
from torch import nn
from sterna import nn as st

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.one = st.TernaryConv2d(1, 8, 3, padding=1, norm=True), st.LIF(0.5, steps=4)
        self.pool = st.OverTime(nn.MaxPool2d(2))
        self.full, self.out = st.TernaryLinear(8 * 16, 10, one_scale=True), st.Readout()

    def forward(self, x):
        return self.out(self.full(self.pool(self.one(self.conv(x.unsqueeze(0))))))

def make_model():
    torch.manual_seed(3)
    return Net()
"""


def fitted(script: str, images: Any, labels: Any, checkpoint: Path) -> Any:
    """A LightningModule after sixty steps, kept in ``checkpoint``."""
    reason = "lightning is not installed: pip install lightning"
    lightning = pytest.importorskip("lightning", reason=reason)
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, TensorDataset

    class Lit(lightning.LightningModule):
        def __init__(self, script: str, lr: float = 1e-2) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.snn = make_model(script)
            self.loss = nn.CrossEntropyLoss(weight=torch.ones(10))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.snn(x)

        def training_step(self, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
            return self.loss(self(batch[0]), batch[1])

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.Adam(self.parameters(), self.hparams["lr"])

    trainer = lightning.Trainer(
        max_steps=60,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    lit = Lit(script)
    trainer.fit(lit, DataLoader(TensorDataset(images, torch.tensor(labels)), 64, shuffle=True))
    trainer.save_checkpoint(checkpoint)
    return lit.eval()


def test_a_checkpoint_of_lightning_comes_in(tmp_path: Path, capsys) -> None:
    import torch

    images, labels = datasets.load("digits").train
    x = torch.tensor(images / 255).float()
    script = tmp_path / "mine.py"
    script.write_text(SCRIPT)
    lit = fitted(f"{script}:make_model", x, labels, tmp_path / "x.ckpt")

    # The module itself comes in as it is, and as a checkpoint of what it wraps.
    found = sterna.from_torch(lit, x[:2])
    assert found.check((images[:32], labels[:32])).exact
    words = ["import", f"{script}:make_model", "--state", str(tmp_path / "x.ckpt"), "--data"]
    capsys.readouterr()
    assert main([*words, "digits", "-o", str(tmp_path / "run"), "--json"]) == 0
    out, said = capsys.readouterr()
    assert "loss.weight is not of the model, left out" in said
    answer = json.loads(out)
    assert answer["check"]["exact"] and not answer["calibrated"]
    assert answer["accuracy"] > 0.5, answer["accuracy"]  # trained weights, not those of the seed
    test, right = datasets.load("digits").test
    with torch.no_grad():
        own = lit(torch.tensor(test / 255).float()).argmax(1).numpy()
    assert abs(answer["accuracy"] - np.mean(own == right)) < 0.01
