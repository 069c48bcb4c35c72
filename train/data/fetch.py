"""Files of data sets from their sites, and whether they are what was published."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path

from sterna.golden.errors import FileError

__all__ = ["check_md5", "fetch"]

TIMEOUT = 60  # s without an answer
SLOWEST = 20_000  # bytes a second: with TIMEOUT the longest that a file may take
_CHUNK = 1 << 16


def fetch(url: str, md5: str, largest: int) -> bytes:
    """What a site sends, checked. FileError: the cause.

    Never takes more than ``largest`` bytes, the size of the published file or a bound of it, nor
    longer than ``TIMEOUT`` and ``largest`` at ``SLOWEST``, whatever is sent.
    """
    end, data = time.monotonic() + TIMEOUT + largest / SLOWEST, bytearray()
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            while part := answer.read1(_CHUNK):
                data += part
                if len(data) > largest:
                    raise FileError(f"{url}: sends more than the {largest} bytes of the file")
                if time.monotonic() > end:
                    raise FileError(f"{url}: sends less than {SLOWEST} bytes a second")
            said = answer.headers.get("Content-Length", "")
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as e:
        raise FileError(f"{url}: {e}") from e
    if said.isdecimal() and len(said) < 20 and int(said) > len(data):
        raise FileError(f"{url}: the transfer was cut {int(said) - len(data)} bytes before its end")
    check_md5(url, bytes(data), md5)
    return bytes(data)


def check_md5(where: Path | str, data: bytes, md5: str) -> None:
    """FileError where ``data`` is not what the MD5, published beside the file, is of."""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise FileError(
            f"{where}: truncated or altered (MD5 {found}, published {md5}); delete it and run again"
        )
