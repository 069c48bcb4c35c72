"""The command ``sterna new``: what it would pass over is refused."""

from pathlib import Path

import numpy as np
import pytest

from sterna import cli


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "digits", "--steps", "6"], "--steps 6: digits has no frames"),
        (["--data", "digits", "--bits", "2"], "--bits 2: digits has no frames"),
    ],
)
def test_what_would_be_passed_over_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["new", str(tmp_path / "a"), *words]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "a").exists()


def test_steps_beside_a_set_of_frames_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(
        tmp_path / "frames.npz",
        images=np.ones((4, 8, 2, 5, 5), np.uint8),
        labels=np.array([0, 1, 0, 1]),
    )
    words = ["--data", str(tmp_path / "frames.npz"), "--steps", "9"]
    assert cli.main(["new", str(tmp_path / "a"), *words]) == 2
    assert "has frames of 8; leave" in capsys.readouterr().err and not (tmp_path / "a").exists()
