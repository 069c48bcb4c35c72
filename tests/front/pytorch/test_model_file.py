"""A user's script and weights: what is taken, and that nothing pickled is run."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sterna.front.pytorch.model_file import load_state, make_model
from sterna.golden.errors import FileError, UsageError

SCRIPT = "import torch.nn as nn\ndef make():\n    return nn.Linear(3, 2)\nnet = make()\nother = 5\n"


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(SCRIPT)
    return path


def test_a_function_or_a_module_is_taken(script: Path) -> None:
    assert isinstance(make_model(f"{script}:make"), nn.Linear)
    assert isinstance(make_model(f"{script}:net"), nn.Linear)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("{}:build", "has no 'build'; it has make"),
        ("{}:other", "is a int, not a function or a module"),
        ("nowhere.py:make", "nowhere.py: is no file; give FILE.py:FUNCTION"),
    ],
)
def test_what_makes_no_model_is_refused(script: Path, name: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        make_model(name.format(script))


def test_a_script_that_fails_says_how(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("raise OSError('no such thing')")
    with pytest.raises(UsageError, match="bad.py: failed when it was run: OSError: no such thing"):
        make_model(f"{tmp_path / 'bad.py'}:make")


def test_a_function_that_fails_says_how(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def make():\n    raise ValueError('my own')")
    with pytest.raises(UsageError, match="bad.py:make: failed when it was called: ValueError: my"):
        make_model(f"{tmp_path / 'bad.py'}:make")


@pytest.mark.parametrize("form", ["safetensors", "pt", "ckpt", "parallel"])
def test_weights_come_by_every_form(tmp_path: Path, form: str) -> None:
    right = nn.Linear(3, 2)
    state = dict(right.state_dict())
    path = tmp_path / f"w.{'pt' if form == 'parallel' else form}"
    if form == "safetensors":
        save_file(state, path)
    elif form == "ckpt":
        torch.save({"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3}, path)
    else:
        torch.save({f"module.{k}" if form == "parallel" else k: v for k, v in state.items()}, path)
    model = nn.Linear(3, 2)
    load_state(model, path)
    assert torch.equal(model.weight, right.weight) and torch.equal(model.bias, right.bias)


def test_what_a_model_was_wrapped_in_is_told(tmp_path: Path) -> None:
    right = nn.Linear(3, 2)
    state = {f"deep.snn.{k}": v for k, v in right.state_dict().items()}
    torch.save({"state_dict": state | {"loss.weight": torch.ones(2)}}, tmp_path / "w.ckpt")
    model = nn.Linear(3, 2)
    assert load_state(model, tmp_path / "w.ckpt") == ["loss.weight"]
    assert torch.equal(model.weight, right.weight)
    torch.save(state | {f"ema.{k}": v for k, v in right.state_dict().items()}, tmp_path / "w.pt")
    with pytest.raises(FileError, match="more than once, as 'deep.snn.' and 'ema.'"):
        load_state(model, tmp_path / "w.pt")
    torch.save(state | {"deep.snn.more": torch.ones(2)}, tmp_path / "w.pt")
    with pytest.raises(FileError, match="has 'more', which the model has not"):
        load_state(model, tmp_path / "w.pt")


class _Trap:
    def __reduce__(self):
        return (open, ("/nowhere/at/all", "w"))


def test_a_pickled_model_is_never_loaded(tmp_path: Path) -> None:
    for content in (nn.Linear(3, 2), _Trap()):
        torch.save(content, tmp_path / "whole.pt")
        with pytest.raises(FileError, match="a whole pickled model is never loaded"):
            load_state(nn.Linear(3, 2), tmp_path / "whole.pt")


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        ({"weight": torch.zeros(2, 3)}, "lacks 'bias'"),
        ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2), "x": torch.zeros(1)}, "has 'x'"),
        ({"weight": torch.zeros(2, 4), "bias": torch.zeros(2)}, r"'weight' is \(2, 4\)"),
        ({"weight": 3}, "holds no state dict"),
    ],
)
def test_weights_of_another_model_are_refused(tmp_path: Path, state, sentence: str) -> None:
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(FileError, match=sentence):
        load_state(nn.Linear(3, 2), tmp_path / "w.pt")
    with pytest.raises(FileError):
        load_state(nn.Linear(3, 2), tmp_path / "none.pt")
    (tmp_path / "cut.safetensors").write_bytes(b"\x10")
    with pytest.raises(FileError, match="cut.safetensors"):
        load_state(nn.Linear(3, 2), tmp_path / "cut.safetensors")
