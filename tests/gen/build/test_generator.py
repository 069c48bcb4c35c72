"""The hash of the generator covers everything that a build is made by."""

import shutil

import pytest

from sterna.gen.build import generator
from sterna.gen.build.generator import generator_id

FILES = [
    "hw/core/deep/neuron.py",
    "gen/model/token_core.h",
    "gen/model/tokens.cpp",
    "gen/lint.vlt",
    "gen/cost.json",
    "golden/a.py",
]


@pytest.fixture
def tree(tmp_path):
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("1")
    return tmp_path


@pytest.mark.parametrize("name", FILES)
def test_every_source_counts_also_in_folders_of_folders(tree, name):
    before = generator_id.__wrapped__(tree)
    (tree / name).write_text("2")
    assert generator_id.__wrapped__(tree) != before
    (tree / name).write_text("1")
    assert generator_id.__wrapped__(tree) == before
    (tree / name).rename(tree / "hw" / "moved.py")
    assert generator_id.__wrapped__(tree) != before


def test_compiled_files_and_other_folders_do_not_count(tree):
    before = generator_id.__wrapped__(tree)
    shutil.copytree(tree / "hw", tree / "train")
    (tree / "hw" / "x.pyc").write_text("1")
    assert generator_id.__wrapped__(tree) == before


@pytest.mark.parametrize("package", ["amaranth", "amaranth-boards", "numpy"])
def test_another_version_of_amaranth_is_another_generator(tree, package, monkeypatch):
    before = generator_id.__wrapped__(tree)
    kept = generator._version
    monkeypatch.setattr(generator, "_version", lambda p: "9" if p == package else kept(p))
    assert generator_id.__wrapped__(tree) != before
