"""report.html in headless Chromium: draws, says no error, fits a phone, sorts, light and dark.

Only in ``make test-report``. The screenshots it looks at lie in the folder of --basetemp, for
people to look at, too.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from repo import ROOT
from smallcores import trits

from sterna.gen.build.report_files import write_report
from sterna.gen.build.stages import ensure
from sterna.golden.network import Input, Linear, Network, Readout
from sterna.golden.rule import NeuronRule

pytestmark = pytest.mark.browser
NAMES = ("digits", "skip4_mix", "resnet20", "one")
FOUND = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")

LOOK = """
<script>
window.addEventListener("load", () => {
  const found = {width: innerWidth, wide: document.documentElement.scrollWidth};
  const colour = () => getComputedStyle(document.body).backgroundColor;
  found.before = colour();
  document.getElementById("theme").click();
  found.after = colour();
  document.getElementById("theme").click();
  const table = document.querySelector("#layers table");
  const numbers = (k) => [...table.tBodies[0].rows].map((r) => Number(r.children[k].dataset.sort));
  const heads = [...table.tHead.rows[0].children];
  const at = heads.findIndex((h) => h.textContent.trim() === "LUTs");
  heads[at].querySelector("button").click();
  found.down = numbers(at); found.said = heads[at].getAttribute("aria-sort");
  heads[at].querySelector("button").click();
  found.up = numbers(at);
  const node = document.getElementById("node-1");
  node.dispatchEvent(new PointerEvent("pointerenter"));
  const details = [...document.querySelectorAll(".detail")];
  found.detail = details.filter((d) => !d.hidden).map((d) => d.id);
  found.marked = document.querySelectorAll("tr.marked").length;
  node.focus();
  found.focus = document.activeElement.id;
  found.small = [...document.querySelectorAll("svg text")]
    .filter((t) => t.getBoundingClientRect().height < 6).length;
  parent.postMessage(JSON.stringify(found), "*");
});
</script>
"""
# A window of Chromium's is never narrower than 500 pixels; a frame is as narrow as it is told.
FRAME = """<!doctype html><pre id="looked"></pre><script>
addEventListener("message", (e) => { document.getElementById("looked").textContent = e.data; });
</script><iframe src="looked.html" width="WIDTH" height="900" style="border:0"></iframe>"""


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


@pytest.fixture(scope="module", params=NAMES)
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not FOUND:
        pytest.fail("chromium is missing, which these tests look with; run: apt install chromium")
    folder, source = tmp_path_factory.mktemp("page"), ROOT / "examples" / request.param
    if request.param == "one":
        rule = NeuronRule([0, 0, 0], "none")
        nodes = [Input("x", (1, 4, 4)), Linear("f", "x", trits(3, 16)), Readout("r", "f", rule)]
        Network(2, nodes, "one").save(folder)
        source = folder
    built = ensure(source, "fold", None, folder)
    answer, path = write_report(built)
    assert path.stat().st_size < 1_500_000 and answer["layers"]
    (folder / "looked.html").write_text(path.read_text() + LOOK)
    return path


def looked(page: Path, width: int, *words: str) -> dict[str, Any]:
    """What the page is like at a width; there is nothing on the console."""
    frame = page.parent / "frame.html"
    frame.write_text(FRAME.replace("WIDTH", str(width)))
    more = ("--window-size=1400,900", "--virtual-time-budget=4000", "--dump-dom", *words)
    done = chromium(*more, frame.as_uri())
    assert "CONSOLE" not in done.stderr, done.stderr
    found = re.search(r'<pre id="looked">(.+?)</pre>', done.stdout, re.S)
    assert found, done.stderr
    return json.loads(found[1].replace("&lt;", "<").replace("&amp;", "&"))


@pytest.mark.parametrize("width", [400, 1280])
def test_it_draws_fits_and_sorts(page: Path, width: int) -> None:
    found = looked(page, width)
    assert found["width"] == width and found["wide"] <= width
    assert found["down"] == sorted(found["down"], reverse=True) and found["said"] == "descending"
    assert found["up"] == sorted(found["up"])
    assert found["detail"] == ["detail-1"] and found["marked"] >= 1
    assert found["focus"] == "node-1" and found["small"] == 0
    assert found["before"] == "rgb(255, 255, 255)" and found["after"] == "rgb(20, 23, 28)"


def test_it_is_dark_where_the_system_is(page: Path) -> None:
    found = looked(page, 1280, "--blink-settings=preferredColorScheme=0")
    assert found["before"] == "rgb(20, 23, 28)" and found["after"] == "rgb(255, 255, 255)"


@pytest.mark.parametrize(("width", "dark"), [(400, False), (1280, False), (1280, True)])
def test_pictures(page: Path, width: int, dark: bool) -> None:
    out = page.parent / f"{width}{'dark' if dark else ''}.png"
    words = ["--blink-settings=preferredColorScheme=0"] if dark else []
    chromium(*words, f"--window-size={width},3000", f"--screenshot={out}", page.as_uri())
    assert out.stat().st_size > 20_000  # something is on it


def test_it_prints(page: Path) -> None:
    out = page.parent / "page.pdf"
    chromium("--no-pdf-header-footer", f"--print-to-pdf={out}", page.as_uri())
    assert out.read_bytes().startswith(b"%PDF") and out.stat().st_size > 20_000
