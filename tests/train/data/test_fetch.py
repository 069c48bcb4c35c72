"""Downloads: whatever a site sends, its size and time are bounded, and nothing is left of it."""

import hashlib
import http.server
import threading
import time
from pathlib import Path

import pytest

from sterna.golden.errors import FileError
from sterna.train.data import datasets, fetch

BODY = bytes(range(256)) * 8
MD5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()


class Site(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        how = self.path.split("/")[1]
        self.send_response(404 if how == "none" else 200)
        if how == "cut":
            self.send_header("Content-Length", str(len(BODY) + 5))
        elif how == "whole":
            self.send_header("Content-Length", str(len(BODY)))
        elif how == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            if how == "endless":
                for _ in range(1 << 20):
                    self.wfile.write(BODY)
            elif how == "slow":
                for k in range(100):
                    self.wfile.write(BODY[k : k + 1])
                    self.wfile.flush()
                    time.sleep(0.05)
            elif how == "chunked":
                self.wfile.write(b"800\r\n" + BODY[:100])
            else:
                self.wfile.write(BODY[:-1] + b"x" if how == "other" else BODY)
        except OSError:
            pass

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_whole_file_comes(site: str) -> None:
    assert fetch.fetch(site + "whole", MD5, len(BODY)) == BODY
    assert fetch.fetch(site + "plain", MD5, len(BODY)) == BODY


@pytest.mark.parametrize(
    ("how", "cause"),
    [
        ("endless", "sends more than the 2048 bytes of the file"),
        ("cut", "the transfer was cut 5 bytes before its end"),
        ("chunked", "chunked"),
        ("other", "truncated or altered (MD5"),
        ("none", "HTTP Error 404"),
        ("slow", "sends less than 2000 bytes a second"),
    ],
)
def test_anything_else_is_one_sentence(
    site: str, how: str, cause: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "TIMEOUT", 0.5)
    monkeypatch.setattr(fetch, "SLOWEST", 2000 if how == "slow" else 20_000)
    largest = 1000 if how == "slow" else len(BODY)
    start = time.monotonic()
    with pytest.raises(FileError) as error:
        fetch.fetch(site + how, MD5, largest)
    assert cause in str(error.value) and "\n" not in str(error.value), str(error.value)
    assert time.monotonic() - start < 20


def test_nothing_is_left_of_a_refused_download(
    site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for how in ("endless/", "cut/", "other/"):
        monkeypatch.setitem(datasets._FILES, "mnist", ({"x.gz": (MD5, len(BODY))}, (site + how,)))
        monkeypatch.setattr(datasets, "_roots", lambda: [tmp_path / "none"])
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        with pytest.raises(FileError, match="x.gz: not in .STERNA_DATA/mnist and the download"):
            datasets.find_file("mnist", "x.gz")
        assert not [p for p in tmp_path.rglob("*") if p.is_file()]
