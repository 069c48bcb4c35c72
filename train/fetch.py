"""Files of data sets from their sites, and whether they are what was published."""

import hashlib
import urllib.error
import urllib.request
from pathlib import Path

from sterna.golden.errors import FileError

__all__ = ["check_md5", "fetch"]

TIMEOUT = 60  # s without an answer


def fetch(url: str, md5: str) -> bytes:
    """What a site sends, checked. FileError: the cause."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            data = answer.read()
    except (urllib.error.URLError, OSError) as e:
        raise FileError(str(e)) from e
    check_md5(url, data, md5)
    return data


def check_md5(where: Path | str, data: bytes, md5: str) -> None:
    """FileError where ``data`` is not what the MD5, published beside the file, is of."""
    found = hashlib.md5(data, usedforsecurity=False).hexdigest()
    if found != md5:
        raise FileError(
            f"{where}: truncated or altered (MD5 {found}, published {md5}); delete it and run again"
        )
