"""The command ``sterna new``: what it would pass over is refused."""

from pathlib import Path

import pytest

from sterna import cli


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "digits", "--steps", "6"], "--steps 6: digits has no frames"),
        (["--data", "digits", "--bits", "2"], "--bits 2: digits has no frames"),
        (["--like", "nmnist", "--steps", "9"], "--steps 9: nmnist has frames of 8; leave"),
    ],
)
def test_what_would_be_passed_over_is_refused(
    words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["new", str(tmp_path / "a"), *words]) == 2
    assert said in capsys.readouterr().err and not (tmp_path / "a").exists()
