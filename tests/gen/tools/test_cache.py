"""The cache of built simulators: whole or absent, built once, repaired, bounded."""

import os
import threading
import time
from pathlib import Path

import pytest

from sterna.gen.tools.cache import Cache, key_of
from sterna.gen.tools.trust import cache_folder
from sterna.golden.errors import FileError, SternaError


def put(text: str, calls: list[str]):
    def build(folder: Path) -> None:
        calls.append(text)
        (folder / "sub").mkdir()
        (folder / "sub" / "file").write_text(text)

    return build


def test_built_once_and_found_again(tmp_path):
    calls: list[str] = []
    first = Cache(tmp_path).entry("k", put("a", calls))
    assert Cache(tmp_path).entry("k", put("b", calls)) == first
    assert calls == ["a"] and (first / "sub" / "file").read_text() == "a"


@pytest.mark.parametrize("damage", ["change", "remove", "add", "manifest", "no manifest"])
def test_a_damaged_entry_is_built_again(tmp_path, damage):
    calls: list[str] = []
    place = Cache(tmp_path).entry("k", put("a", calls))
    if damage == "change":
        (place / "sub" / "file").write_text("x")
    elif damage == "remove":
        (place / "sub" / "file").unlink()
    elif damage == "add":
        (place / "more").write_text("x")
    elif damage == "manifest":
        (place / "manifest.json").write_text("{")
    else:
        (place / "manifest.json").unlink()
    Cache(tmp_path).entry("k", put("b", calls))
    assert calls == ["a", "b"]
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "sub"]


@pytest.mark.parametrize("error", [SternaError("no"), KeyboardInterrupt()])
def test_an_interrupted_build_leaves_nothing(tmp_path, error):
    def build(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise error

    with pytest.raises(type(error)):
        Cache(tmp_path).entry("k", build)
    assert [path.name for path in tmp_path.iterdir()] == ["k.lock"]
    calls: list[str] = []
    Cache(tmp_path).entry("k", put("a", calls))
    assert calls == ["a"]


def test_what_a_killed_build_left_is_removed_in_time(tmp_path):
    old, new, own = tmp_path / "j.1.new", tmp_path / "j.2.new", tmp_path / "k.1.new"
    for folder in (old, new, own):
        folder.mkdir()
    long_ago = time.time() - 3 * 86400
    os.utime(old, (long_ago, long_ago))
    Cache(tmp_path).entry("k", put("a", []))
    assert not old.exists() and new.exists()
    assert not own.exists(), "its key is locked, so nobody else builds it"


def test_two_at_once_build_one(tmp_path):
    calls: list[str] = []

    def slowly(folder: Path) -> None:
        time.sleep(0.2)
        put("a", calls)(folder)

    threads = [threading.Thread(target=Cache(tmp_path).entry, args=("k", slowly)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["a"]


def test_the_least_used_go_first(tmp_path):
    store = Cache(tmp_path, limit=2500)
    for k, name in enumerate("abc"):
        place = store.entry(name, put(name * 1000, []))
        os.utime(place / "manifest.json", (k, k))
    calls: list[str] = []
    store.entry("a", put("a", calls))
    assert calls == ["a"], "the oldest was removed when the third came"
    store.entry("c", put("c", calls))
    assert calls == ["a"]


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="file/cache cannot be used: .*; set STERNA_CACHE"):
        Cache(tmp_path / "file" / "cache").entry("k", put("a", []))


def test_keys_tell_parts_apart(monkeypatch):
    assert key_of("ab", "c") != key_of("a", "bc") != key_of("abc")
    assert key_of("a", b"b") == key_of("a", "b") and len(key_of("a")) == 24
    monkeypatch.setenv("STERNA_CACHE", "somewhere")
    assert cache_folder() == Path.cwd() / "somewhere"
