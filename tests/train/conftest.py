"""One precision for every test of training."""

import pytest
import torch


@pytest.fixture(autouse=True)
def plain_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float32 on every machine: what a test's network learns, and whether it then passes,
    must not depend on the matrix unit of a CPU. test_precision.py is about that."""
    if hasattr(torch.cpu, "get_capabilities"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
