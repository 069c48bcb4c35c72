"""Pages in headless Chromium, which is the system's."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

__all__ = ["chromium", "looked", "need"]

FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
# A window of Chromium's is never narrower than 500 pixels; a frame is as narrow as it is told.
FRAME = """<!doctype html><pre id="looked"></pre><script>
addEventListener("message", (e) => { document.getElementById("looked").textContent = e.data; });
</script><iframe src="looked.html" width="WIDTH" height="900" style="border:0"></iframe>"""


def need() -> None:
    """Fail where there is none."""
    if not FOUND:
        pytest.fail("chromium is missing, which these tests look with; run: apt install chromium")


def chromium(*words: str) -> subprocess.CompletedProcess[str]:
    # No sandbox: it does not start for root, and the page is our own.
    usual = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
    return subprocess.run(
        [FOUND, *usual, "--enable-logging=stderr", *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def looked(page: Path, width: int, *words: str) -> dict[str, Any]:
    """What ``looked.html`` beside a page posts of itself at a width; there is nothing on the
    console."""
    frame = page.parent / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)))
    more = ("--window-size=1400,900", "--virtual-time-budget=4000", "--dump-dom", *words)
    done = chromium(*more, frame.as_uri())
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="looked">(.+?)</pre>', done.stdout, re.S)
    assert found, done.stderr
    return json.loads(found[1].replace("&lt;", "<").replace("&amp;", "&"))
