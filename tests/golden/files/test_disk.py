"""The one way in for files: plain, of bounded size, strict JSON and TOML, whatever the locale."""

import errno
import json
import os
import stat
import subprocess
import sys
import threading
import time
import tracemalloc

import pytest

from sterna.golden.errors import FileError, UsageError
from sterna.golden.files import disk
from sterna.golden.files.disk import (
    parse_json,
    parse_toml,
    read_bytes,
    read_text,
    sweep,
    write_atomic,
)
from sterna.golden.files.locks import held, reading


def one_sentence(error):
    text = str(error.value)
    assert "\n" not in text and "Traceback" not in text and len(text) < 600
    return text


def refusal(action, *words):
    with pytest.raises(FileError) as error:
        action()
    text = str(error.value)
    assert "\n" not in text and all(w in text for w in words), text
    return text


def test_only_plain_files_are_read_and_nothing_hangs(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    start = time.process_time()
    refusal(lambda: read_bytes(tmp_path / "pipe", 10), "(it is a pipe, not a file); make it again")
    refusal(lambda: read_bytes("/dev/zero", 10), "it is a device, not a file")
    refusal(lambda: read_bytes(tmp_path, 10, "give a file"), "a folder, not a file); give a f")
    refusal(lambda: read_bytes(tmp_path / "none", 10), "does not exist")
    refusal(lambda: read_bytes("a\0b", 10), "cannot be read (embedded null byte)")
    refusal(lambda: read_bytes(tmp_path / ("x" * 300), 10), "cannot be read (File name too long)")
    assert time.process_time() - start < 1
    assert disk.hash_file(tmp_path / "pipe") is None and disk.hash_file(tmp_path) is None


def test_a_small_file_takes_little_memory_whatever_the_limit(tmp_path):
    """T9: `read(limit + 1)` allocates the limit."""
    (tmp_path / "small").write_bytes(b"x" * 1000)
    tracemalloc.start()
    try:
        assert len(read_bytes(tmp_path / "small", 1 << 34)) == 1000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    refusal(lambda: read_bytes(tmp_path / "small", 999), "is larger than the 999 bytes")
    assert read_bytes("/proc/self/stat", 1 << 20)  # says that it has 0 bytes


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"[" * 100_000, "deeper than 64 levels"),
        (b"[" * 65 + b"]" * 65, "deeper than 64 levels"),
        (b'{"a":' * 70 + b"1" + b"}" * 70, "deeper than 64 levels"),
        (b"1" * 5000, "a number has 5000 digits"),
        (b"-" + b"1" * 41, "a number has 42 digits"),
        (b"1e999", "1e999 is not a number"),
        (b"[NaN]", "NaN is not a number"),
        (b"[-Infinity]", "-Infinity is not a number"),
        (b'{"a": 1, "a": 1}', "a key is used twice"),
        (b'"\xff"', "is not UTF-8 text, byte 1 is no part of a character"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text, it is UTF-16"),
        (b'"\\ud800"', "half of a character"),
        (b'{"\\udc00": 1}', "half of a character"),
        (b"", "Expecting value"),
        (b"{} {}", "Extra data"),
    ],
)
def test_json_is_strict(data, cause):
    refusal(lambda: parse_json(data, "f.json", "do that"), "f.json: ", cause, "; do that")


def test_json_that_is_right_is_read():
    assert parse_json(b'\xef\xbb\xbf{"a": "\\ud83d\\ude00", "b": [1.5, -2]}', "f") == {
        "a": "\U0001f600",
        "b": [1.5, -2],
    }
    deep = json.dumps([1])
    for _ in range(62):
        deep = f"[{deep}]"
    assert parse_json(deep.encode(), "f") and parse_json(b"1" * 40, "f") == int("1" * 40)


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        (b"a = " + b"[" * 100_000, "deeper than 64 levels"),
        (b"a = " + b"[" * 66 + b"]" * 66, "deeper than 64 levels"),
        (b".".join([b"a"] * 400_000) + b" = 1", "deeper than 64 levels"),
        (b"[" + b".".join([b'"a"'] * 100) + b"]", "deeper than 64 levels"),
        (b"a = " + b"1" * 5000, "a number of thousands of digits"),
        (b"a = " + b"1" * 100, "a number has more than 40 digits"),
        (b"a = 0x" + b"f" * 4000, "a number has more than 40 digits"),
        (b"a = nan", "nan is not a number"),
        (b"a = [{b = -inf}]", "-inf is not a number"),
        (b"a = 1\na = 2", "Cannot overwrite"),
        (b"a = '\xff'", "is not UTF-8 text"),
        ("a = 1".encode("utf-16"), "it is UTF-16"),
        (b"a = 2021-13-01", "at line 1"),
    ],
)
def test_toml_is_strict_and_quick(data, cause):
    start = time.process_time()
    refusal(lambda: parse_toml(data, "r.toml", "correct it"), "r.toml: ", cause, "; correct it")
    assert time.process_time() - start < 2


def test_text_has_no_bom_and_plain_line_ends(tmp_path):
    (tmp_path / "t").write_bytes(b"\xef\xbb\xbfa = '\xc3\xa4'\r\nb = 1\n")
    assert read_text(tmp_path / "t", 100) == "a = 'ä'\nb = 1\n"
    assert parse_toml(read_bytes(tmp_path / "t", 100), "t") == {"a": "ä", "b": 1}


def test_a_link_is_replaced_and_not_followed(tmp_path):
    (tmp_path / "other").write_text("mine")
    (tmp_path / "x").symlink_to(tmp_path / "other")
    write_atomic(tmp_path / "x", b"new")
    assert (tmp_path / "other").read_text() == "mine" and not (tmp_path / "x").is_symlink()


def test_no_file_takes_the_place_of_a_device(tmp_path):
    """As root ``-o /dev/null`` would take it from the whole system."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to("/dev/full")
    for place in (pipe, link, "/dev/full"):
        with pytest.raises(FileError, match="is a device, a pipe or a socket"):
            disk.check_new_file(place)
    with pytest.raises(FileError, match="is a device, a pipe or a socket"):
        write_atomic("/dev/full", b"x")
    assert stat.S_ISFIFO(os.lstat(pipe).st_mode) and stat.S_ISCHR(os.lstat("/dev/full").st_mode)


@pytest.mark.parametrize("place", ["/proc/x", "/proc/x/y", "a\0b", "n" * 300, "n" * 300 + "/y"])
def test_a_place_that_takes_no_file_is_known_without_writing_it(place, tmp_path, monkeypatch):
    """Of /proc permissions say nothing: as root it may be written, and is not."""
    monkeypatch.chdir(tmp_path)
    for check in (disk.check_new_file, disk.check_new_folder):
        with pytest.raises(FileError, match="cannot be written"):
            check(place)
    disk.check_new_file("new/file")
    disk.check_new_folder("new/folder")
    assert not list(tmp_path.iterdir())


def test_what_a_killed_writer_left_is_swept_and_a_living_ones_is_not(tmp_path):
    (tmp_path / "sub").mkdir()
    handle, living = disk._temporary(tmp_path / "sub")
    (tmp_path / "sub" / ".sterna-dead.part").write_bytes(b"half")
    (tmp_path / ".mine").write_text("not ours")
    (tmp_path / ".sterna-link.part").symlink_to(tmp_path / ".mine")
    sweep(tmp_path)
    assert sorted(os.listdir(tmp_path / "sub")) == [os.path.basename(living)]
    assert (tmp_path / ".mine").exists()
    os.close(handle)
    (tmp_path / "sub" / "a" / "b").mkdir(parents=True)
    far = tmp_path / "sub" / "a" / "b" / ".sterna-far.part"
    far.write_bytes(b"")
    sweep(tmp_path)
    assert os.listdir(tmp_path / "sub") == ["a"] and far.exists(), "not all of somebody's disk"


def test_a_sentence_stays_one_line_whatever_is_in_a_name():
    assert str(FileError("node 'a\nb\ud800\u2603'")) == "node 'a\\nb\\ud800\u2603'"


# --- locks ----------------------------------------------------------------------------------------

HOLDER = """
import sys, time
from sterna.golden.files.locks import held
with held(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_has_one_writer_and_a_killed_one_lets_go(tmp_path, capsys):
    other = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE)
    assert other.stdout is not None and other.stdout.readline() == b"held\n"
    try:
        for lock in (held, reading):
            with pytest.raises(UsageError, match="another sterna command has been at work in this"):
                with lock(tmp_path, wait=0.1):
                    pass
        assert "waiting for another sterna command in" in capsys.readouterr().err
        (tmp_path / ".sterna-left.part").write_bytes(b"half")
    finally:
        other.kill()
        other.wait()
    with held(tmp_path, wait=1), held(tmp_path, wait=0), reading(tmp_path, wait=0):
        assert os.listdir(tmp_path) == []  # no lock file, and what was left is swept
    with reading(tmp_path), reading(tmp_path, wait=0):
        pass
    with reading(tmp_path / "none"), held(tmp_path / "made"):
        assert (tmp_path / "made").is_dir()


def test_threads_take_turns(tmp_path):
    inside, most = 0, 0

    def work():
        nonlocal inside, most
        for _ in range(20):
            with held(tmp_path):
                inside += 1
                most = max(most, inside)
                time.sleep(0.0005)
                inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1


def test_write_atomic_makes_folders_and_leaves_only_the_file(tmp_path):
    path = tmp_path / "a" / "b.bin"
    disk.write_atomic(path, b"one")
    disk.write_atomic(path, b"two")
    assert path.read_bytes() == b"two" and os.listdir(path.parent) == ["b.bin"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


@pytest.mark.parametrize("stage", ["write", "fsync", "replace"])
@pytest.mark.parametrize(
    "failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()]
)
def test_a_full_disk_or_an_interrupt_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, stage, failure
):
    path = tmp_path / "network.json"
    disk.write_atomic(path, b"old")

    def fail(*args):
        raise failure

    if stage == "write":
        real = os.fdopen

        def opened(handle, mode):
            f = real(handle, mode, buffering=0)
            wrapper = type(
                "Full",
                (),
                {"write": fail, "__enter__": lambda s: s, "__exit__": lambda s, *a: f.close()},
            )
            return wrapper()

        monkeypatch.setattr(disk.os, "fdopen", opened)
    else:
        monkeypatch.setattr(disk.os, stage, fail)
    expected = FileError if isinstance(failure, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as error:
        disk.write_atomic(path, b"new")
    if expected is FileError:
        text = one_sentence(error)
        assert text == (
            f"{path}: cannot be written (No space left on device); free some space or choose "
            "another folder"
        )
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["network.json"]


def test_a_really_full_disk(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    with open("/dev/full", "wb", buffering=0) as f, pytest.raises(OSError):
        f.write(b"x")  # the device does what the test believes
    path = tmp_path / "file"
    path.write_bytes(b"")
    for below in (path / "below_a_file", path / "folder" / "file"):
        with pytest.raises(FileError, match="cannot be written, since .*/file.* is a file") as e:
            disk.write_atomic(below, b"x")
        assert "space" not in str(e.value)


def test_an_oversized_file_is_refused_without_being_read(tmp_path):
    path = tmp_path / "huge"
    with open(path, "wb") as f:
        f.truncate(1 << 40)  # sparse: reading it would take minutes
    with pytest.raises(FileError, match=r"is larger than the 100 bytes it can have; ask again"):
        disk.read_bytes(path, 100, "ask again")
    assert disk.read_bytes(__file__, 1 << 20).startswith(b'"""The one way in')
