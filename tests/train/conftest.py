"""Puts this folder on the import path, so that its tests share their helpers; one precision."""

import sys
from pathlib import Path

import pytest
import torch

if str(Path(__file__).parent) not in sys.path:
    sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def plain_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train in float32 on every machine: what a test's network learns, and whether it then passes,
    must not depend on the matrix unit of a CPU. test_precision.py is about that."""
    if hasattr(torch.cpu, "get_capabilities"):
        monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
